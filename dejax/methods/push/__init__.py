"""Push: directed graphs, whose weights need only unit column sums."""

from ._sgp import Sgp as sgp

__all__ = ["sgp"]
