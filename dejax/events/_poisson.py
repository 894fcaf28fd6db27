"""Poisson clocks: every node fires on its own and averages with a random neighbor."""

from typing import Any

import numpy as np

from ..core import checks
from ..core.arrays import device_array
from ..core.checks import Several, above, or_none, whole
from ..core.kinds import Events
from ..core.struct import static, struct
from ..core.types import Topology
from ..errors import NULL
from ._clocks import Packed, first_rounds, neighbors_of
from ._timetable import Timetable, pack


@struct
class Poisson(Events):
    """Events by Poisson clocks of the nodes: a gradient, and an average with a neighbor.

    The neighbor is drawn uniformly. Events are packed into rounds of disjoint pairs, exactly equal
    to one event at a time. A round of a run is a packed round; virtual seconds come from the
    clocks.

    Args:
      rate: events per second and node, > 0, or a tuple of n rates.
      width: most events in a round, >= 1; default n/8 (at least 1), so that about as many gradients
        are computed as events.
      stale: gradients at the node's value after its own last event, as in AD-PSGD; False takes the
        present value.
      seed: of clocks and partners.
    Reference: Boyd, Ghosh, Prabhakar and Shah, Randomized gossip algorithms, 2006 (clocks); Lian,
      Zhang, Zhang and Liu, Asynchronous decentralized parallel stochastic gradient descent, 2018
      (stale gradients).
    """

    rate: Any = static(default=1.0, check=Several(above(0, infinite=True), "a number > 0, or one per node", alone=True))
    width: int | None = static(default=None, check=or_none(whole, "or " + NULL + " for n/8"))
    stale: bool = static(default=True)
    seed: int = static(default=0, check=checks.seed)

    def plan(self, topology: Topology, rounds: int | None) -> Timetable:
        """The first `rounds` packed rounds; a longer plan starts with the same ones."""
        n, near = topology.n, neighbors_of(topology)
        width = max(1, n // 8) if self.width is None else self.width
        degree, last = np.array([len(others) for others in near]), np.zeros(n)

        def block(rng: np.random.Generator, first: np.ndarray, times: np.ndarray) -> Packed:
            at = np.minimum((rng.random(len(first)) * degree[first]).astype(int), degree[first] - 1)
            second = np.array([near[i][k] for i, k in zip(first, at, strict=True)])
            return pack(first, second, times, n, width, last=last)

        found = first_rounds(self, n, rounds, block)
        return Timetable(**{k: device_array(v) for k, v in found.items()}, stale=self.stale)


__all__ = ["Poisson"]
