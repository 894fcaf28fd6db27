"""Poisson clocks: every node fires on its own and averages with a random neighbor."""

from typing import Any

import numpy as np

from ..core import checks
from ..core.arrays import device_array
from ..core.checks import Several, above, or_none, whole
from ..core.kinds import Events
from ..core.struct import static, struct
from ..core.types import Topology
from ..errors import NULL, bad
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
        if rounds is None:
            raise bad(
                "events",
                self,
                owner="network",
                says="needs the number of rounds to draw its plan",
                instead="give rounds",
            )
        n = topology.n
        width = max(1, n // 8) if self.width is None else self.width
        rates = (
            np.broadcast_to(np.asarray(self.rate, float), (n,))
            if np.ndim(self.rate) == 0
            else np.asarray(self.rate, float)
        )
        if rates.shape != (n,) or (rates <= 0).any():
            raise bad(
                "rate",
                self.rate,
                owner="Poisson",
                says=f"has shape {rates.shape} for n = {n} nodes, or a rate <= 0",
                instead="give one number > 0 per node",
            )
        edges = topology.edges()
        order = np.argsort(edges[:, 0], kind="stable")
        receivers, senders = edges[order, 0], edges[order, 1]
        degree = np.bincount(receivers, minlength=n)
        start = np.concatenate([[0], np.cumsum(degree)[:-1]])
        if (degree == 0).any():
            raise ValueError(
                f"node {int(np.argmin(degree))} of {topology.name!r} has no neighbor to meet; use a connected graph"
            )
        rng, parts, done, time, ticks = np.random.default_rng(self.seed), [], 0, 0.0, 0
        while done < rounds:  # blocks of events, each packed on its own, so that a longer plan has the same beginning
            events = 8 * n
            time_of = time + np.cumsum(rng.exponential(1 / rates.sum(), events))
            first = rng.choice(n, events, p=rates / rates.sum())
            second = senders[
                start[first] + np.minimum((rng.random(events) * degree[first]).astype(int), degree[first] - 1)
            ]
            block = pack(first, second, time_of, n, width)
            block["ticks"] = block["ticks"] + np.int32(ticks)
            parts.append(block)
            time, ticks, done = float(time_of[-1]), ticks + events, done + len(block["times"])
        joined = {k: np.concatenate([b[k] for b in parts])[:rounds] for k in parts[0]}
        return Timetable(**{k: device_array(v) for k, v in joined.items()}, stale=self.stale)


__all__ = ["Poisson"]
