"""Asynchronous schedules: who meets whom, and when, packed into rounds of disjoint events."""

from ._plan import Plan as plan
from ._poisson import Poisson as poisson

__all__ = ["plan", "poisson"]
