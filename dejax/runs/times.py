"""Evaluations at virtual times: chunks of rounds that end where a clock passes one of them.

A clock is read on the host after a chunk. One that went too far is taken back and run again for fewer rounds, by
the same program, so that records depend neither on the cut into chunks nor on a resume.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..core.types import Tree
from .cadence import Cadence
from .counters import Counters


class Times:
    """The next virtual time of each lane that goes on.

    Args:
      cadence: says which times. counters: of these lanes, before a chunk.
    """

    def __init__(self, cadence: Cadence, counters: Sequence[Counters]):
        self.counters, self.next = counters, [cadence.next_time(c.seconds) for c in counters]

    @property
    def pending(self) -> bool:
        """Whether any lane has one before it."""
        return any(t < math.inf for t in self.next)

    def likely(self) -> int:
        """In how many rounds the first one comes, >= 1, by the mean round so far; 1 before any."""
        left = [
            math.ceil((t - own.seconds) / own.seconds * own.rounds) if own.seconds > 0 else 1
            for own, t in zip(self.counters, self.next, strict=True)
            if t < math.inf
        ]
        return max(1, min(left, default=1))

    def wanted(self, meters: Tree, lanes: Sequence[int]) -> int:
        """How many rounds of a chunk are wanted: until the first lane is at its time, or all.

        meters: of the chunk on the host, [count] or [runs, count] each; lanes: which of the runs these are.
        """
        seconds = np.atleast_2d(meters.seconds)
        ends = [seconds.shape[1]]
        for lane, own, t in zip(lanes, self.counters, self.next, strict=True):
            there = np.maximum(seconds[lane], own.seconds) >= t
            ends += [int(there.argmax()) + 1] if there.any() else []
        return min(ends)

    def met(self) -> bool:
        """Whether a lane has come to its time, as the counters say now."""
        return any(own.seconds >= t for own, t in zip(self.counters, self.next, strict=True))


__all__ = ["Times"]
