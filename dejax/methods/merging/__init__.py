"""Merging: neighbors' hidden units are brought into the own order before models are averaged."""

from ._dimat import Dimat as dimat
from ._weight_matching import WeightMatching as weight_matching

__all__ = ["dimat", "weight_matching"]
