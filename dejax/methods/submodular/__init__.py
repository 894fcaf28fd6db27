"""Submodular: online maximization of monotone DR-submodular rewards over a convex set."""

from ._dobga import Dobga as dobga
from ._mono_dmfw import MonoDmfw as mono_dmfw

__all__ = ["dobga", "mono_dmfw"]
