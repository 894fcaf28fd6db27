"""The memory and the meters of a round while it is traced, both by name.

This is the only thing behind a Round that changes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.types import Tree
from ..errors import bad
from .meters import NO_NODE, Meters, limbs


class Store:
    """Slots (memory that a round carries for verbs and options) and meters of one traced round.

    In recording mode a slot that does not exist yet is created from its initial value, and
    `initial` keeps that value, not what the recording step leaves in the slot.
    """

    def __init__(self, slots: dict[str, Any], record: bool = False):
        self.slots, self.record = dict(slots), record
        self.initial = dict(slots)
        self.per_node: dict[str, bool] = {}  # which slots have a node axis, found when recording
        self.used: set[str] = set()
        self.counts: dict[str, Any] = {}
        self.units: dict[str, int] = {}
        self.values: dict[str, Any] = {}
        self.shares: dict[str, Any] = {}  # name -> [2]: a part, and the whole it is of
        self.sent: dict[str, jax.Array] = {}
        self.bad_node: jax.Array = jnp.int32(NO_NODE)
        self.unfinished: list[str] = []  # gradients whose steps the learning rule has not finished
        self.asked: list[list[Any]] = []  # [batch or None, uses, times] of mechanisms of privacy, found when recording

    def child(self, slots: dict[str, Any] | None = None) -> "Store":
        """Make a store for an inner round.

        When recording it shares slots and what is sent; else it starts from the `slots` given.
        """
        inner = Store(self.slots if slots is None else slots, self.record)
        if self.record:
            inner.slots, inner.initial, inner.per_node = self.slots, self.initial, self.per_node
            inner.sent, inner.asked, inner.unfinished = self.sent, self.asked, self.unfinished
        return inner

    def meter(self, name: str, count: jax.Array, unit: int) -> None:
        """Add int32 counts (scalar or [n]) of `unit` bits to meter `name`."""
        if self.units.setdefault(name, unit) != unit:
            raise _two_units(name, self.units[name], unit)
        new = limbs(count)
        self.counts[name] = tree.add(self.counts[name], new) if name in self.counts else new

    def value(self, name: str, value: jax.Array) -> None:
        """Record a float value; the last one of a round stands."""
        self.values[name] = value

    def share(self, name: str, part: jax.Array, whole: jax.Array) -> None:
        """Add to a share: parts over wholes of the round, 0 where there was nothing (a loss NaN).

        It becomes a value of the meters.
        """
        both = jnp.stack([part.astype(float), whole.astype(float)])
        self.shares[name] = self.shares[name] + both if name in self.shares else both

    def node_sent(self, name: str, count: jax.Array) -> None:
        """Add messages (or units) [n] that each node sent under `name`."""
        self.sent[name] = self.sent[name] + count if name in self.sent else count

    def ask(self, batch: Tree = None) -> None:
        """Count a mechanism of privacy, on a fresh batch (None) or on one that others may use too."""
        known = next((entry for entry in self.asked if batch is not None and entry[0] is batch), None)
        if known is None:
            self.asked.append([batch, 1, 1])
        else:
            known[1] += 1

    def queries(self) -> list[tuple[int, int]]:
        """(times, uses of one batch) of each mechanism of a round."""
        return [(times, uses) for _, uses, times in self.asked]

    def repeated(self, k: int, before: list[tuple[int, int]]) -> None:
        """Count what was asked since `before` k times.

        Of a batch drawn inside it is asked anew, of one from outside again.
        """
        for i, entry in enumerate(self.asked):
            if i < len(before):
                entry[1] += (k - 1) * (entry[1] - before[i][1])
            else:
                entry[2] *= k

    def bad(self, node: jax.Array) -> None:
        """Remember the lowest id of a node with a non-finite loss."""
        self.bad_node = jnp.minimum(self.bad_node, node)

    def observed(self) -> tuple[Any, Any, Any, Any, Any]:
        """What an inner scan or cond must hand out as arrays."""
        return self.counts, self.values, self.bad_node, self.sent, self.shares

    def absorb(self, observed: Tree, units: dict[str, int]) -> None:
        """Add what an inner round observed."""
        counts, values, bad_node, sent, shares = observed
        for name, count in counts.items():
            if self.units.setdefault(name, units[name]) != units[name]:
                raise _two_units(name, self.units[name], units[name])
            self.counts[name] = tree.add(self.counts[name], count) if name in self.counts else count
        self.values |= values
        self.bad(bad_node)
        for name, count in sent.items():
            self.node_sent(name, count)
        for name, (part, whole) in shares.items():
            self.share(name, part, whole)

    def meters(self, time: tuple[jax.Array, jax.Array]) -> Meters:
        """The meters of this round as a pytree."""
        of_loss = lambda name: name.split("/")[0] == "loss"  # NaN in a round in which no honest node computes
        shares = {
            name: jnp.where(whole > 0, part / jnp.maximum(whole, 1), jnp.nan if of_loss(name) else 0)
            for name, (part, whole) in self.shares.items()
        }
        return Meters(self.counts, self.values | shares, self.bad_node, time, self.units)


def _two_units(name: str, old: int, new: int) -> Exception:
    says = f"counted messages of {old} bits and now of {new}"
    return bad(
        "name",
        name,
        owner=f"meter {name!r}",
        says=says,
        instead="give calls whose messages differ in size names of their own",
    )


__all__ = ["Store"]
