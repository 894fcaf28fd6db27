"""Compressors: what leaves a node in place of its value, and in how many bits."""

from ._identity import Identity as identity
from ._qsgd import Qsgd as qsgd, QsgdUnbiased as qsgd_unbiased
from ._rand_k import RandK as rand_k, RandKUnbiased as rand_k_unbiased
from ._top_k import TopK as top_k

__all__ = ["identity", "qsgd", "qsgd_unbiased", "rand_k", "rand_k_unbiased", "top_k"]
