"""Mixing when nodes are spread over devices: only the rows that cross are sent."""

from .halo import Everywhere as Everywhere, Halo as Halo, relabel as relabel
from .routes import Routes as Routes, crossing as crossing, relabelling as relabelling

__all__ = ["Everywhere", "Halo", "Routes", "crossing", "relabel", "relabelling"]
