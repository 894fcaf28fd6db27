"""Proximal operators: the simple part r of a composite loss f + r, as objects with `prox`."""

from ._box import Box as box
from ._budget import Budget as budget
from ._l1 import L1 as l1
from ._none import NoRegularizer as none

__all__ = ["box", "budget", "l1", "none"]
