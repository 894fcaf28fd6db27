"""Updates: every node acts on its own, with what it last heard of its neighbors.

    node i fires:   h_i <- F_i(h_i, h_j of up to `age` of j's own updates ago)       partial asynchronism

Reference: Bertsekas and Tsitsiklis, Parallel and distributed computation, 1989, chapters 6 and 7;
Solodova, Richardson, Oktay and Adams, Graph neural networks gone hogwild, 2025.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import checks
from ..core.arrays import device_array
from ..core.checks import Several, Whole, above, or_none, whole
from ..core.kinds import Events
from ..core.struct import grows, static, struct
from ..core.types import Topology
from ..errors import NULL, bad
from ._clocks import Packed, first_rounds, neighbors_of, packed

AGE = Whole(0, 1000)


@struct
class UpdateTable(Events):
    """Updates of single nodes, packed into rounds: row t holds up to m nodes of round t.

    Args:
      nodes: int32 [T, m], who updates; n pads. Those of one round read what the others held before it.
      ticks: int32 [T, m], the event's number in the original order: randomness is indexed by it.
      whole, times: int32 and floating [T], virtual seconds of the latest event so far, in whole
        seconds and the rest.
      age: most updates of a neighbor that a node may not have heard of yet, from 0 to 1000; static.
    """

    nodes: jax.Array = grows()
    ticks: jax.Array = grows()
    times: jax.Array
    whole: jax.Array
    age: int = static(default=0, check=AGE)

    footprint = "neighbors"

    @property
    def rounds(self) -> int:
        """Packed rounds, T."""
        return self.nodes.shape[0]

    def at(self, t: object, n: int) -> "UpdateRound":
        """The updates of round t."""
        nodes, tick = self.nodes[t], self.ticks[t]
        ticks = jnp.zeros((n,), jnp.int32).at[nodes].set(tick, mode="drop")
        awake = jnp.zeros((n,), bool).at[nodes].set(True, mode="drop")
        return UpdateRound(nodes, ticks, awake, awake, self.times[t], self.whole[t])


@struct
class UpdateRound:
    """One round of updates as a Round sees it: masks and event numbers per node."""

    initiators: jax.Array
    tick: jax.Array
    awake: jax.Array
    computes: jax.Array
    time: jax.Array
    whole: jax.Array

    elapsed = None  # updates read what others published; how long ago is not told

    def links(self, n: int) -> None:
        """Those of the graph."""
        del n


@struct
class Updates(Events):
    """Events by Poisson clocks: a node updates itself by what it heard of its neighbors.

    Nothing waits: a node that fires reads the value of each neighbor as that stood some of the
    neighbor's own updates ago, 0 to `age` of them, drawn uniformly for every event and neighbor.
    Its own value is always fresh. Where a message is lost, the last that came stands. Updates are
    packed into rounds in which no two are neighbors, with the numbers of one update at a time. A round of
    a run is a packed round; virtual seconds come from the clocks.

    Args:
      rate: updates per second and node, > 0, or a tuple of n rates.
      age: most updates of a neighbor that a node may not have heard of yet, from 0 to 1000; static.
      width: most updates in a round, >= 1; default n/8 (at least 1), so that about as many gradients
        are computed as updates.
      seed: of the clocks.
    Raises:
      ValueError: a rate that is not positive, or another number of rates than nodes; a negative age.
    Memory: age + 1 values per node; where messages may be lost, one per directed edge.
    Identity: every width draws the same events, ages, losses and noise: packed updates equal one at a time
      up to the rounding of sums.
    Reference: Bertsekas and Tsitsiklis, 1989; Solodova et al., 2025.
    Example:
      >>> Updates(rate=2.0, age=3).footprint
      'neighbors'
    """

    rate: Any = static(default=1.0, check=Several(above(0, infinite=True), "a number > 0, or one per node", alone=True))
    age: int = static(default=0, check=AGE)
    width: int | None = static(default=None, check=or_none(whole, "or " + NULL + " for n/8"))
    seed: int = static(default=0, check=checks.seed)

    footprint = "neighbors"

    def plan(self, topology: Topology, rounds: int | None) -> UpdateTable:
        """The first `rounds` packed rounds; a longer plan starts with the same ones."""
        n, near = topology.n, neighbors_of(topology)
        width = max(1, n // 8) if self.width is None else self.width
        block = lambda rng, nodes, times: pack_updates(nodes, times, near, width)
        found = first_rounds(self, n, rounds, block)
        return UpdateTable(**{k: device_array(v) for k, v in found.items()}, age=self.age)


def pack_updates(nodes: np.ndarray, times: np.ndarray, near: list[np.ndarray], width: int) -> Packed:
    """Put each update into the earliest round after the last ones of its node and neighbors.

    Args:
      nodes: int [E]. times: float [E], ascending. near: the neighbors of each node. width: most
        updates per round, >= 1.
    Returns:
      nodes, ticks int32 [T, width], times float64 [T] and whole int32 [T] of `UpdateTable`.
    """
    alone = [(int(i),) for i in nodes]
    return packed({"nodes": nodes}, ((*i, *near[i[0]]) for i in alone), alone, times, len(near), width)


def updates_of(nodes: Any, topology: Topology, times: Any = None, *, width: int = 1, age: int = 0) -> UpdateTable:
    """Make a timetable from an explicit order of updates; width 1 runs them one at a time.

    Args:
      nodes: int [E], who updates. times: float [E], ascending seconds; default 0, 1, 2, ...
    Raises:
      ValueError: an id that no node has.
    """
    order = np.asarray(nodes, np.int64)
    if order.ndim != 1 or order.min() < 0 or order.max() >= topology.n:
        raise bad("nodes", nodes, owner="updates_of", instead=f"give a list of ids from 0 to {topology.n - 1}")
    when = np.arange(len(order), dtype=float) if times is None else np.asarray(times, float)
    found = pack_updates(order, when, neighbors_of(topology), width)
    return UpdateTable(**{k: device_array(v) for k, v in found.items()}, age=age)


__all__ = ["UpdateRound", "UpdateTable", "Updates", "pack_updates", "updates_of"]
