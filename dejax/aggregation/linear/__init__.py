"""Linear rules: sums under W."""

from ._weighted_mean import WeightedMean as weighted_mean

__all__ = ["weighted_mean"]
