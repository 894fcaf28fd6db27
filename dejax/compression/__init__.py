"""Compressors with exact bit counts, and the codecs around them."""

from ._copies import Copies as copies
from ._direct import Direct as direct
from ._encoding import Compressor as Compressor
from ._encoding import Size as Size
from ._error_feedback import ErrorFeedback as error_feedback
from ._identity import Identity as identity
from ._top_k import TopK as top_k

__all__ = ["Compressor", "Size", "copies", "direct", "error_feedback", "identity", "top_k"]
