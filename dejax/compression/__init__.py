"""Compressors with exact bit counts, and the codecs around them."""

from ._copies import Copies as copies
from ._direct import Direct as direct
from ._encoding import Compressor as Compressor, Size as Size
from ._error_feedback import ErrorFeedback as error_feedback
from ._identity import Identity as identity
from ._qsgd import Qsgd as qsgd, QsgdUnbiased as qsgd_unbiased
from ._rand_k import RandK as rand_k, RandKUnbiased as rand_k_unbiased
from ._top_k import TopK as top_k

__all__ = [
    "Compressor",
    "Size",
    "copies",
    "direct",
    "error_feedback",
    "identity",
    "qsgd",
    "qsgd_unbiased",
    "rand_k",
    "rand_k_unbiased",
    "top_k",
]
