"""Asynchronous schedules: which nodes act, and when, packed into rounds of events."""

from ._decoupled import Decoupled as decoupled
from ._poisson import Poisson as poisson
from ._timetable import Timetable as plan
from ._updates import Updates as updates, UpdateTable as update_plan

__all__ = ["decoupled", "plan", "poisson", "update_plan", "updates"]
