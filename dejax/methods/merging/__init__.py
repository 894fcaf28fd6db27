"""Merging: average neighbors' models with hidden units in the own order."""

from ._dimat import Dimat as dimat
from ._weight_matching import WeightMatching as weight_matching

__all__ = ["dimat", "weight_matching"]
