"""One mixing kernel per shape of W."""

from .circulant import Circulant as Circulant, CirculantSequence as CirculantSequence
from .dense import Complete as Complete, Dense as Dense
from .hubs import Hubs as Hubs
from .slots import Slots as Slots

__all__ = ["Circulant", "CirculantSequence", "Complete", "Dense", "Hubs", "Slots"]
