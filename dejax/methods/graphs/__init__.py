"""Graphs: what nodes can learn of the network itself."""

from ._k_core import KCore as k_core

__all__ = ["k_core"]
