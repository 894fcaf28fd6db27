"""Decoupled clocks: gradients at nodes, and meetings along edges."""

from typing import Any

import numpy as np

from ..core import checks
from ..core.arrays import device_array
from ..core.checks import above, choice, or_none, whole
from ..core.kinds import Events
from ..core.struct import static, struct
from ..core.types import Topology
from ..errors import NULL
from ..mixing.edge_rates import fewest_meetings
from ._clocks import Packed, neighbors_of, of_clocks
from ._timetable import Timetable, pack


@struct
class Decoupled(Events):
    """Events of two kinds by Poisson clocks: gradients of nodes, and meetings of pairs.

    Neither waits for the other. Events are packed into rounds that share no node, exactly equal to one event at a
    time; virtual seconds come from the clocks. Gradients are taken at present values.

    Args:
      rate: gradients per second and node, > 0.
      meetings: meetings per second in the whole network, > 0; None: as many as an accelerated method
        needs, sqrt(2 chi_1 chi_2), which follows from the graph (`dejax.topology.edge_rates`).
      shares: of the edges in the meetings, "equal", or "best" (default), which lower chi_1 chi_2.
      width: most events in a round, >= 1; default n/8 (at least 1).
      seed: of the clocks.
    Reference: Nabli and Oyallon, DADAO: decoupled accelerated decentralized asynchronous optimization, 2023.
    """

    rate: float = static(default=1.0, check=above(0))
    meetings: float | None = static(default=None, check=or_none(above(0), "or " + NULL + " for what the graph needs"))
    shares: str = static(default="best", check=choice("best", "equal"))
    width: int | None = static(default=None, check=or_none(whole, "or " + NULL + " for n/8"))
    seed: int = static(default=0, check=checks.seed)

    apart = True

    def plan(self, topology: Topology, rounds: int | None) -> Timetable:
        """The first `rounds` packed rounds; a longer plan starts with the same ones."""
        n = topology.n
        neighbors_of(topology)  # which refuses lonely nodes
        found = fewest_meetings(n, topology.edges(), 0 if self.shares == "equal" else 300)
        width = max(1, n // 8) if self.width is None else self.width
        scale = 1.0 if self.meetings is None else self.meetings / found.rates.sum()
        first = np.concatenate([np.arange(n), found.pairs[:, 0]])
        second = np.concatenate([np.arange(n), found.pairs[:, 1]])
        last = np.zeros(n)

        def block(rng: np.random.Generator, which: np.ndarray, times: np.ndarray) -> Packed:
            del rng
            meets = (which >= n).astype(np.int64)
            return pack(first[which], second[which], times, n, width, last=last, meetings=meets)

        rates = np.concatenate([np.full(n, self.rate), scale * found.rates])
        packed: Any = of_clocks(self, rates, 8 * n, rounds, block)
        return Timetable(**{k: device_array(v) for k, v in packed.items()}, stale=False)


__all__ = ["Decoupled"]
