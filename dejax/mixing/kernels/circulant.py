"""Circulant W: receiver i hears (i + offset) mod n, with the same weights at every node."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...core import tree
from ...core.struct import static, struct
from ...xla.take_rows import take_rows
from ..links import Whole, fold_slots, silenced, slot_sq_distances, sum_slots

ROLL_UP_TO = 2  # offsets: on a CPU a roll per offset is as fast as a gather up to here; 4 take 1.3 times as long, 4 times in the cache


@struct
class Circulant(Whole):
    """A fixed circulant graph: offsets are part of the program, weights are data.

    Args:
      share: [k] weight of each offset.
      own: scalar self weight.
      size: n, static.
      offsets: k distinct offsets in 1..n-1, static; () is W = I.
    Example:
      >>> w = Circulant(jnp.full((2,), 0.25, jnp.float32), jnp.full((), 0.5, jnp.float32), 4, (1, 3))
      >>> w.mix(jnp.array([4.0, 0.0, 0.0, 0.0], jnp.float32)).tolist()
      [2.0, 1.0, 0.0, 1.0]
    """

    share: jax.Array
    own: jax.Array
    size: int = static()
    offsets: tuple[int, ...] = static()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    @property
    def num_slots(self) -> int:
        """k."""
        return len(self.offsets)

    def senders(self) -> jax.Array:
        """[n, k]."""
        return _ids(self.size, jnp.asarray(self.offsets, jnp.int32))

    def weights(self) -> jax.Array:
        """[n, k]."""
        return jnp.broadcast_to(self.share[None], (self.size, self.num_slots))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.broadcast_to(self.own, (self.size,))

    def take(self, values: Any, s: Any) -> Any:
        """Row (i + offsets[s]) mod n at row i: two slices for a Python s, a gather for a traced one, and on CPUs where there are many."""
        if not isinstance(s, int):
            return _shift(values, self.size, jnp.asarray(self.offsets, jnp.int32)[s])
        roll = lambda values: tree.map(lambda x: jnp.roll(x, -self.offsets[s], 0), values)
        if self.num_slots <= ROLL_UP_TO:
            return roll(values)
        gather = lambda values: _shift(values, self.size, self.offsets[s])
        return lax.platform_dependent(values, cpu=gather, default=roll)

    def mix(self, values: Any) -> Any:
        """W values."""
        return tree.map(lambda x: sum_slots(self.take, x, x, lambda s: self.share[s], self.own, self.num_slots), values)

    def weighted(self, values: Any, weights: jax.Array, self_weights: jax.Array, own: Any = None) -> Any:
        """Weights [n, k] of the caller's own on these links."""
        return weighted_slots(self, values, weights, self_weights, own)

    def sq_distances(self, values: Any, own: Any = None) -> jax.Array:
        """[n, k]."""
        return slot_sq_distances(self, values, own)

    def fold(self, fn: Callable[..., Any], carry: Any, values: Any) -> Any:
        """Over slots, in order."""
        return fold_slots(self, fn, carry, values)


@struct
class CirculantSequence(Whole):
    """A circulant graph whose offsets change with the phase: offsets are data, so that one program serves the period.

    Args:
      share: [k] weight of each offset.
      own: scalar self weight.
      offsets: int32 [k].
      size: n, static.
    """

    share: jax.Array
    own: jax.Array
    offsets: jax.Array
    size: int = static()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    @property
    def num_slots(self) -> int:
        """k."""
        return self.offsets.shape[-1]

    def senders(self) -> jax.Array:
        """[n, k]."""
        return _ids(self.size, self.offsets)

    def weights(self) -> jax.Array:
        """[n, k]."""
        return jnp.broadcast_to(self.share[None], (self.size, self.num_slots))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.broadcast_to(self.own, (self.size,))

    def take(self, values: Any, s: Any) -> Any:
        """Row (i + offsets[s]) mod n at row i."""
        return _shift(values, self.size, self.offsets[s])

    def mix(self, values: Any) -> Any:
        """W values."""
        return tree.map(lambda x: sum_slots(self.take, x, x, lambda s: self.share[s], self.own, self.num_slots), values)

    def weighted(self, values: Any, weights: jax.Array, self_weights: jax.Array, own: Any = None) -> Any:
        """Weights [n, k] of the caller's own on these links."""
        return weighted_slots(self, values, weights, self_weights, own)

    def sq_distances(self, values: Any, own: Any = None) -> jax.Array:
        """[n, k]."""
        return slot_sq_distances(self, values, own)

    def fold(self, fn: Callable[..., Any], carry: Any, values: Any) -> Any:
        """Over slots, in order."""
        return fold_slots(self, fn, carry, values)


def _ids(n: int, offsets: jax.Array) -> jax.Array:
    ids = jnp.arange(n, dtype=jnp.int32)
    return (ids[:, None] + offsets.astype(jnp.int32)[None]) % n


def _shift(values: Any, n: int, offset: Any) -> Any:
    rows = (jnp.arange(n, dtype=jnp.int32) + offset) % n
    return tree.map(lambda x: take_rows(x, rows), values)


def weighted_slots(links: Any, values: Any, weights: jax.Array, self_weights: jax.Array, own: Any) -> Any:
    """`weighted` of every kernel that gathers slot by slot."""
    own = values if own is None else own
    return tree.map(
        lambda x, mine: sum_slots(
            links.take, x, mine, lambda s: weights[:, s], self_weights, links.num_slots, silenced
        ),
        values,
        own,
    )


__all__ = ["Circulant", "CirculantSequence", "weighted_slots"]
