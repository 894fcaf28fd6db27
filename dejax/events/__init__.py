"""Asynchronous schedules: who meets whom, and when, packed into rounds of disjoint events."""

from ._poisson import Poisson as poisson
from ._timetable import Timetable as plan

__all__ = ["plan", "poisson"]
