"""Combination rules: how a node makes one value of its own and the received ones."""

from . import linear, robust
from .linear import *
from .robust import *

__all__ = [*linear.__all__, *robust.__all__]
