"""Mixing when nodes are spread over devices: only the rows that cross are sent."""

from .exchange_plan import Wires as Wires, crossing as crossing, relabelling as relabelling
from .halo import Everywhere as Everywhere, Halo as Halo, relabel as relabel

__all__ = ["Everywhere", "Halo", "Wires", "crossing", "relabel", "relabelling"]
