"""A list of pair events, packed into rounds of disjoint pairs with a static width."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.arrays import device_array
from ..core.kinds import Events
from ..core.struct import grows, static, struct
from ..mixing import NeighborLists
from ._clocks import Packed, packed


@struct
class Timetable(Events):
    """Events packed into rounds: row t holds up to m disjoint pairs that happen in round t.

    Args:
      initiators: int32 [T, m], nodes that finish a gradient; n pads.
      partners: int32 [T, m], the neighbor each one averages with; n pads.
      ticks: int32 [T, m], the event's number in the original order: randomness is indexed by it.
      whole, times: int32 and floating [T], virtual seconds of the latest event so far, in whole
        seconds and the rest.
      stale: whether gradients are taken at the node's value after its last own event (as in
        AD-PSGD); static.
    """

    initiators: jax.Array = grows()
    partners: jax.Array = grows()
    ticks: jax.Array = grows()
    times: jax.Array
    whole: jax.Array
    stale: bool = static(default=True)

    @property
    def rounds(self) -> int:
        """Packed rounds, T."""
        return self.initiators.shape[0]

    def at(self, t: object, n: int) -> "EventRound":
        """The events of round t."""
        first, second, tick = self.initiators[t], self.partners[t], self.ticks[t]
        both = jnp.concatenate([first, second])
        zeros = jnp.zeros((n,), jnp.int32)
        ticks = zeros.at[both].set(jnp.concatenate([tick, tick]), mode="drop")
        awake = zeros.astype(bool).at[both].set(True, mode="drop")
        computes = zeros.astype(bool).at[first].set(True, mode="drop")
        partner = jnp.arange(n, dtype=jnp.int32).at[both].set(jnp.concatenate([second, first]), mode="drop")
        return EventRound(first, partner, ticks, awake, computes, self.times[t], self.whole[t])


@struct
class EventRound:
    """One round of a timetable as a Round sees it: masks and event numbers per node."""

    initiators: jax.Array
    partner: jax.Array
    tick: jax.Array
    awake: jax.Array
    computes: jax.Array
    time: jax.Array
    whole: jax.Array

    def links(self, n: int) -> NeighborLists:
        """Pairs average with weights one half; the others keep their value."""
        del n
        half = jnp.where(self.awake, jnp.float32(0.5), jnp.float32(0))
        return NeighborLists(self.partner[:, None], half[:, None], 1 - half)


def pack(initiators: np.ndarray, partners: np.ndarray, times: np.ndarray, n: int, width: int) -> Packed:
    """Put each event into the earliest round after the last ones of its two nodes that has room.

    Running the rounds in order then equals running the events one at a time: events of a round
    touch disjoint nodes, and every node sees its own events in their order.

    Args:
      initiators, partners: int [E]. times: float [E], ascending. n: nodes. width: most events per
        round, >= 1.
    Returns:
      initiators, partners, ticks int32 [T, width] (padded with n) times float64 [T] and whole int32
      [T], which add up to seconds.
    """
    pairs = list(zip(initiators.tolist(), partners.tolist(), strict=True))
    return packed({"initiators": initiators, "partners": partners}, pairs, pairs, times, n, width)


def timetable_of(
    initiators: Any, partners: Any, times: Any = None, *, n: int, width: int = 1, stale: bool = True
) -> Timetable:
    """A timetable from an explicit list of events; width 1 runs them one at a time."""
    first, second = np.asarray(initiators, np.int64), np.asarray(partners, np.int64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"initiators and partners have shapes {first.shape} and {second.shape}; give two lists of equal length"
        )
    if (first == second).any() or min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= n:
        raise ValueError(
            f"an event pairs a node with itself, or with an id outside 0..{n - 1}; give two different nodes"
        )
    when = np.arange(len(first), dtype=float) if times is None else np.asarray(times, float)
    packed = pack(first, second, when, n, width)
    return Timetable(**{k: device_array(v) for k, v in packed.items()}, stale=stale)


__all__ = ["EventRound", "Timetable", "pack", "timetable_of"]
