"""Graphs: what nodes can learn of the network itself, and energies over it."""

from ._k_core import KCore as k_core
from ._quadratic_energy import QuadraticEnergy as quadratic_energy

__all__ = ["k_core", "quadratic_energy"]
