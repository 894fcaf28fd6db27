"""Combination rules: how a node makes one value of its own and the received ones."""

from ._coordinate_median import CoordinateMedian as coordinate_median
from ._nna import Nna as nna
from ._trimmed_mean import TrimmedMean as trimmed_mean
from ._weighted_mean import WeightedMean as weighted_mean

__all__ = ["coordinate_median", "nna", "trimmed_mean", "weighted_mean"]
