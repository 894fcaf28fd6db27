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
      partners: int32 [T, m], the neighbor each one averages with; n pads. Itself where an event is a gradient alone.
      gaps, partner_gaps: floating [T, m], seconds since the last event before of an initiator, and of its partner.
      ticks: int32 [T, m], the event's number in the original order: randomness is indexed by it.
      whole, times: int32 and floating [T], virtual seconds of the latest event so far, in whole
        seconds and the rest.
      meetings: int32 [T, m] where some events are a meeting alone: 1 at those; None: every event holds a gradient.
      stale: whether gradients are taken at the node's value after its last own event (as in
        AD-PSGD); static.
    """

    initiators: jax.Array = grows()
    partners: jax.Array = grows()
    ticks: jax.Array = grows()
    gaps: jax.Array = grows()
    partner_gaps: jax.Array = grows()
    times: jax.Array
    whole: jax.Array
    meetings: jax.Array | None = grows(default=None)
    stale: bool = static(default=True)

    @property
    def apart(self) -> bool:
        """Whether an event is a gradient or a meeting, not both."""
        return self.meetings is not None

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
        works = first if self.meetings is None else jnp.where(self.meetings[t] == 1, n, first)
        computes = zeros.astype(bool).at[works].set(True, mode="drop")
        partner = jnp.arange(n, dtype=jnp.int32).at[both].set(jnp.concatenate([second, first]), mode="drop")
        gaps = jnp.concatenate([self.gaps[t], self.partner_gaps[t]])
        elapsed = jnp.zeros((n,), gaps.dtype).at[both].set(gaps, mode="drop")
        return EventRound(works, partner, ticks, awake, computes, elapsed, self.times[t], self.whole[t])


@struct
class EventRound:
    """One round of a timetable as a Round sees it: masks and event numbers per node."""

    initiators: jax.Array
    partner: jax.Array
    tick: jax.Array
    awake: jax.Array
    computes: jax.Array
    elapsed: jax.Array
    time: jax.Array
    whole: jax.Array

    def links(self, n: int) -> NeighborLists:
        """Pairs average with weights one half; the others keep their value."""
        meets = self.awake & (self.partner != jnp.arange(n, dtype=jnp.int32))
        half = jnp.where(meets, jnp.float32(0.5), jnp.float32(0))
        return NeighborLists(self.partner[:, None], half[:, None], 1 - half)


def pack(
    initiators: np.ndarray,
    partners: np.ndarray,
    times: np.ndarray,
    n: int,
    width: int,
    *,
    last: np.ndarray | None = None,
    meetings: np.ndarray | None = None,
) -> Packed:
    """Put each event into the earliest round after the last ones of its two nodes that has room.

    Running the rounds in order then equals running the events one at a time: events of a round
    touch disjoint nodes, and every node sees its own events in their order.

    Args:
      initiators, partners: int [E]. times: float [E], ascending. n: nodes. width: most events per
        round, >= 1.
      last: float [n], seconds of each node's last event so far, brought up to date in place; default zeros.
      meetings: int [E], 1 where an event is a meeting alone; None: nowhere.
    Returns:
      initiators, partners, ticks int32 [T, width] (padded with n), gaps, partner_gaps and times float64
      [T, width] and [T], and whole int32 [T], which add up to seconds.
    """
    last = np.zeros(n) if last is None else last
    pairs, gaps = list(zip(initiators.tolist(), partners.tolist(), strict=True)), np.zeros((2, len(times)))
    for e, ((i, j), now) in enumerate(zip(pairs, times.tolist(), strict=True)):
        gaps[:, e] = now - last[i], now - last[j]
        last[i] = last[j] = now
    columns = {"initiators": initiators, "partners": partners, "gaps": gaps[0], "partner_gaps": gaps[1]}
    columns |= {} if meetings is None else {"meetings": meetings}
    return packed(columns, pairs, pairs, times, n, width)


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
