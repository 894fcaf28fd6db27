"""One mixing kernel per shape of W."""

from .circulant import Circulant as Circulant, CirculantSequence as CirculantSequence
from .dense import Complete as Complete, Dense as Dense
from .hubs import Hubs as Hubs
from .neighbor_lists import NeighborLists as NeighborLists

__all__ = ["Circulant", "CirculantSequence", "Complete", "Dense", "Hubs", "NeighborLists"]
