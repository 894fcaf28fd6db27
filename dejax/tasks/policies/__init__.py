"""Policies: what a node learns by acting in a small world."""

from ._grid_walk import grid_walk as grid_walk

__all__ = ["grid_walk"]
