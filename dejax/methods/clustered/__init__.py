"""Clustered: several models, each for a group of nodes."""

from ._ifca import Ifca as ifca
from ._pens import Pens as pens

__all__ = ["ifca", "pens"]
