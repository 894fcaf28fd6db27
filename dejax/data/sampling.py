"""How a node draws a batch from its own rows, on the device: with replacement, by epochs, or everything.

A sampler is `init(n) -> memory` and `draw(memory, count, index, keys, base_keys) -> (rows, weight, memory)`, where

    memory     what the sampler carries per node: int32 [n], or () for nothing
    count      int32 [n], samples of each node, >= 1
    index      int32 [n, s], their rows, padded
    keys       [n] typed keys of this draw, one per node
    base_keys  [n] typed keys of the node that stay the same in every round
    rows       int32 [n, B], rows of the shared arrays
    weight     float32 [n, B], 1 on samples and 0 on padding; None when nothing is padded
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import random

from .._keys import draw_index
from .._struct import static, struct
from ._parts import check_count

Drawn = tuple[jax.Array, jax.Array | None, Any]


@struct
class Replacement:
    """B uniform draws with replacement from the node's own samples.

    Args:
      batch_size: B >= 1, also where it exceeds the node's samples; static.
    """

    batch_size: int = static()

    def __post_init__(self) -> None:
        check_count(self, "batch_size", self.batch_size)

    def init(self, n: int) -> Any:
        """No memory."""
        del n
        return ()

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """Rows [n, B], no weights."""
        del base_keys
        uniform = jax.vmap(lambda k: random.uniform(k, (self.batch_size,), jnp.float32))(keys)
        place = draw_index(uniform, count[:, None])
        return jnp.take_along_axis(index, place, axis=1), None, memory


@struct
class Epoch:
    """Every sample once per epoch, in an order drawn afresh for each (node, epoch); the last batch may be smaller.

    The memory is the number of batches that a node has drawn. The order of epoch e is a permutation keyed by
    (base key of the node, e), sorted again at each draw instead of stored.

    Args:
      batch_size: B >= 1; a node with fewer samples than B gets all of them in each batch, padded; static.
      even: promise that all counts are equal to s, and s divisible by B: no weights are returned; static, default False.
    """

    batch_size: int = static()
    even: bool = static(False)

    def __post_init__(self) -> None:
        check_count(self, "batch_size", self.batch_size)

    def init(self, n: int) -> jax.Array:
        """Batches drawn so far, int32 [n]."""
        return jnp.zeros((n,), jnp.int32)

    def draw(
        self, memory: jax.Array, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array
    ) -> Drawn:
        """Rows [n, B] of the batch after the last one, and weights [n, B] that sum to its real size."""
        del keys
        width = index.shape[1]
        batches = -(-count // self.batch_size)  # per epoch, rounded up
        epoch, step = memory // batches, memory % batches

        def order(key: jax.Array, e: jax.Array, c: jax.Array) -> jax.Array:
            bits = random.bits(random.fold_in(key, e), (width,), jnp.uint32)
            return jnp.lexsort((bits, jnp.arange(width) >= c)).astype(jnp.int32)  # padding goes last

        place = step[:, None] * self.batch_size + jnp.arange(self.batch_size, dtype=jnp.int32)[None, :]
        real = place < count[:, None]
        place = jnp.where(real, place, 0)
        rows = jnp.take_along_axis(index, jnp.take_along_axis(jax.vmap(order)(base_keys, epoch, count), place, 1), 1)
        return rows, None if self.even else real.astype(jnp.float32), memory + 1


@struct
class Full:
    """All samples of the node in each batch.

    Args:
      even: promise that all nodes have equally many samples: no weights are returned; static, default False.
    """

    even: bool = static(False)

    def init(self, n: int) -> Any:
        """No memory."""
        del n
        return ()

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """All rows [n, s], weights 1 on the first count[i] of node i."""
        del keys, base_keys
        real = jnp.arange(index.shape[1], dtype=jnp.int32)[None, :] < count[:, None]
        return index, None if self.even else real.astype(jnp.float32), memory


__all__ = ["Epoch", "Full", "Replacement"]
