"""Codecs: a compressor with the memory that its two ends keep."""

from ._copies import Copies as copies
from ._direct import Direct as direct
from ._error_feedback import ErrorFeedback as error_feedback

__all__ = ["copies", "direct", "error_feedback"]
