"""Clustered: several models, each for a group of nodes."""

from ._ifca import Ifca as ifca

__all__ = ["ifca"]
