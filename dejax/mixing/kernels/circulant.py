"""Circulant W: receiver i hears (i + offset) mod n, with the same weights at every node."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ...core import tree
from ...core.struct import static, struct
from ...core.types import Tree, Values
from ...xla.take_rows import take_rows
from ..edges import Edges
from ..links import Links, sum_ports

ROLL_UP_TO = 2  # offsets: on a CPU a roll per offset is as fast as a gather up to here; 4 take 1.3 times as long, 4 times in the cache


@struct
class Circulant(Links):
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
    def num_ports(self) -> int:
        """k."""
        return len(self.offsets)

    def senders(self) -> jax.Array:
        """[n, k]."""
        return _ids(self.size, jnp.asarray(self.offsets, jnp.int32))

    def weights(self) -> jax.Array:
        """[n, k]."""
        return jnp.broadcast_to(self.share[None], (self.size, self.num_ports))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.broadcast_to(self.own, (self.size,))

    def take(self, values: Tree, s: int | Values) -> Any:
        """Return row (i + offsets[s]) mod n at row i.

        Two slices for a Python s; a gather for a traced s, and on CPUs where there are many ports.
        """
        if not isinstance(s, int):
            return _shift(values, self.size, jnp.asarray(self.offsets, jnp.int32)[s])
        roll = lambda values: tree.map(lambda x: jnp.roll(x, -self.offsets[s], 0), values)
        if self.num_ports <= ROLL_UP_TO:
            return roll(values)
        gather = lambda values: _shift(values, self.size, self.offsets[s])
        return lax.platform_dependent(values, cpu=gather, default=roll)

    def mix(self, values: Tree) -> Any:
        """W values."""
        return tree.map(lambda x: sum_ports(self.take, x, x, lambda s: self.share[s], self.own, self.num_ports), values)

    def host_edges(self) -> Edges:
        """Of one phase, in float64."""
        return _edges(self.size, self.offsets, self.share, self.own)

    def offset_weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Offset 0 and the others, once: the graph is fixed."""
        offsets = np.concatenate([[0], np.asarray(self.offsets, np.int64)])
        return [(offsets, np.concatenate([np.asarray(self.own), np.asarray(self.share)[0]]))]


@struct
class CirculantSequence(Links):
    """A circulant graph whose offsets change with the phase.

    Offsets are data, so that one program serves the whole period.

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
    def num_ports(self) -> int:
        """k."""
        return self.offsets.shape[-1]

    def senders(self) -> jax.Array:
        """[n, k]."""
        return _ids(self.size, self.offsets)

    def weights(self) -> jax.Array:
        """[n, k]."""
        return jnp.broadcast_to(self.share[None], (self.size, self.num_ports))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.broadcast_to(self.own, (self.size,))

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row (i + offsets[s]) mod n at row i."""
        return _shift(values, self.size, self.offsets[s])

    def mix(self, values: Tree) -> Any:
        """W values."""
        return tree.map(lambda x: sum_ports(self.take, x, x, lambda s: self.share[s], self.own, self.num_ports), values)

    def host_edges(self) -> Edges:
        """Of one phase, in float64."""
        return _edges(self.size, self.offsets, self.share, self.own)

    def offset_weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Offset 0 and the others, of each phase."""
        own, share, at = (np.asarray(a) for a in (self.own, self.share, self.offsets))
        return [
            (np.concatenate([[0], a]), np.concatenate([w[None], s])) for a, w, s in zip(at, own, share, strict=True)
        ]


def _ids(n: int, offsets: jax.Array) -> jax.Array:
    ids = jnp.arange(n, dtype=jnp.int32)
    return (ids[:, None] + offsets.astype(jnp.int32)[None]) % n


def _edges(n: int, offsets: Any, share: Any, own: Tree) -> Edges:
    offsets, share = np.asarray(offsets, np.int64), np.asarray(share, np.float64)
    receivers = np.repeat(np.arange(n), len(offsets))
    senders = (receivers + np.tile(offsets, n)) % n
    return Edges.sorted(n, receivers, senders, np.tile(share, n), np.full(n, float(np.asarray(own))))


def _shift(values: Tree, n: int, offset: Any) -> Any:
    rows = (jnp.arange(n, dtype=jnp.int32) + offset) % n
    return tree.map(lambda x: take_rows(x, rows), values)


__all__ = ["Circulant", "CirculantSequence"]
