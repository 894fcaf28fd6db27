"""Robust rules: they bound what a few bad values can do."""

from ._coordinate_median import CoordinateMedian as coordinate_median
from ._nna import Nna as nna
from ._trimmed_mean import TrimmedMean as trimmed_mean

__all__ = ["coordinate_median", "nna", "trimmed_mean"]
