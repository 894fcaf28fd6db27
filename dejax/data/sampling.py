"""Draw batches from a node's own rows: with or without replacement, by epochs, or all.

Draws are made on the device. A sampler is `init(n) -> memory` and
`draw(memory, count, index, keys, base_keys) -> (rows, weight, memory)`, where

    memory     what the sampler carries per node: int32 [n], or () for nothing
    count      int32 [n], samples of each node, >= 1
    index      int32 [n, s], their rows, padded
    keys       [n] typed keys of this draw, one per node
    base_keys  [n] typed keys of the node that stay the same in every round
    rows       int32 [n, B], rows of the shared arrays
    weight     float32 [n, B], 1 on samples and 0 on padding; None when nothing is padded
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..core.checks import whole
from ..core.random import bits, draw_index, fold_in, uniform
from ..core.struct import static, struct

PASSES = 24  # of the shuffle; our tests of uniformity pass from 8 on

Drawn = tuple[jax.Array, jax.Array | None, Any]


class Sampler:
    """What most samplers have: no memory, and batches of the size that their weights say."""

    def expected(self, count: jax.Array) -> Any:
        """float32 [n], the public size of batches, where what was drawn is a secret; else None."""
        del count

    def init(self, n: int) -> Any:
        """The memory of n nodes: none."""
        del n
        return ()


@struct
class Replacement(Sampler):
    """B uniform draws with replacement from the node's own samples.

    Args:
      batch_size: B >= 1, also where it exceeds the node's samples; static.
    """

    batch_size: int = static(check=whole)

    even = True  # no batch is padded

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """Rows [n, B], no weights."""
        del base_keys
        place = draw_index(uniform(keys, (self.batch_size,)), count[:, None])
        return jnp.take_along_axis(index, place, axis=1), None, memory


@struct
class Epoch(Sampler):
    """Draw every sample once per epoch, in an order drawn afresh for each (node, epoch).

    The last batch of an epoch may be smaller. The memory is the number of batches that a node has
    drawn. The order of epoch e is a permutation keyed by (base key of the node, e), evaluated at
    the B places of the batch instead of stored or sorted.

    Args:
      batch_size: B >= 1; a node with fewer samples than B gets all of them in each batch, padded;
        static.
      even: promise that all counts are equal to s, and s divisible by B: no weights are returned;
        static, default False.
    """

    batch_size: int = static(check=whole)
    even: bool = static(default=False)

    def init(self, n: int) -> jax.Array:
        """Batches drawn so far, int32 [n]."""
        return jnp.zeros((n,), jnp.int32)

    def draw(
        self, memory: jax.Array, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array
    ) -> Drawn:
        """Rows [n, B] of the batch after the last one, and weights [n, B] that sum to its real size."""
        del keys
        batches = -(-count // self.batch_size)  # per epoch, rounded up
        epoch, step = memory // batches, memory % batches

        place = step[:, None] * self.batch_size + jnp.arange(self.batch_size, dtype=jnp.int32)[None, :]
        real = place < count[:, None]
        place = jnp.where(real, place, 0)
        order_keys = fold_in(base_keys, epoch)
        rows = jnp.take_along_axis(index, permuted(order_keys, place, count), axis=1)
        return rows, None if self.even else real.astype(jnp.float32), memory + 1


@struct
class WithoutReplacement(Sampler):
    """B distinct samples of the node, drawn afresh for every batch.

    Args:
      batch_size: B >= 1; a node with fewer samples than B gets all of them, padded; static.
      even: promise that all nodes have B samples or more: no weights are returned; static, default False.
    """

    batch_size: int = static(check=whole)
    even: bool = static(default=False)

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """Rows [n, B], and weights [n, B], 1 on the first min(B, count)."""
        del base_keys
        place = jnp.broadcast_to(jnp.arange(self.batch_size, dtype=jnp.int32), (index.shape[0], self.batch_size))
        real = place < count[:, None]
        rows = jnp.take_along_axis(index, permuted(keys, jnp.where(real, place, 0), count), axis=1)
        return rows, None if self.even else real.astype(jnp.float32), memory


@struct
class Full(Sampler):
    """All samples of the node in each batch.

    Args:
      even: promise that all nodes have equally many samples: no weights are returned; static,
        default False.
    """

    even: bool = static(default=False)

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """All rows [n, s], weights 1 on the first count[i] of node i."""
        del keys, base_keys
        real = jnp.arange(index.shape[1], dtype=jnp.int32)[None, :] < count[:, None]
        return index, None if self.even else real.astype(jnp.float32), memory


@struct
class Poisson(Sampler):
    """Every sample enters every batch on its own.

    Its probability is q = min(1, B / samples of the node).

    Batches differ in size, B on average; they are padded to `width`, which fewer than 1e-15 of the draws exceed. Of a draw
    that does the last samples are left out.

    Args:
      batch_size: B >= 1, expected; static.
    Reference: Mironov, Talwar and Zhang, Renyi differential privacy of the sampled Gaussian mechanism, 2019.
    """

    batch_size: int = static(check=whole)

    even = False

    def expected(self, count: jax.Array) -> jax.Array:
        """float32 [n]: q times the samples of each node, the public size of its batches."""
        return jnp.minimum(count, self.batch_size).astype(jnp.float32)

    def rates(self, count: Any) -> np.ndarray:
        """Return the probability with which a sample is drawn: float64 [n], on the host.

        It is that of uniform draws of 24 bits.
        """
        at = np.minimum(np.float32(1), np.float32(self.batch_size) / np.asarray(count).astype(np.float32))
        return np.ceil(at.astype(np.float64) * 2**24) / 2**24

    def width(self, samples: int) -> int:
        """Return the places of a batch where nodes have up to `samples`.

        log P(k or more) <= k - B + k log(B / k) (Chernoff), here below -34.6 for one more.
        """
        k = self.batch_size
        while k < samples and (k + 1) - self.batch_size + (k + 1) * math.log(self.batch_size / (k + 1)) > -34.6:
            k += 1
        return min(k, samples)

    def draw(self, memory: Any, count: jax.Array, index: jax.Array, keys: jax.Array, base_keys: jax.Array) -> Drawn:
        """Rows [n, width], weights 1 on those drawn."""
        del base_keys
        n, samples = index.shape
        width = self.width(samples)
        q = jnp.minimum(jnp.float32(1), jnp.float32(self.batch_size) / count.astype(jnp.float32))
        real = jnp.arange(samples, dtype=jnp.int32)[None] < count[:, None]
        drawn = real & (uniform(keys, (samples,)) < q[:, None])
        order = jnp.cumsum(drawn, 1, dtype=jnp.int32)
        place = jnp.where(drawn, order - 1, width)  # beyond the width: dropped
        rows = jnp.tile(index[:, :1], (1, width)).at[jnp.arange(n)[:, None], place].set(index, mode="drop")
        return rows, (jnp.arange(width)[None] < order[:, -1:]).astype(jnp.float32), memory


def permuted(keys: jax.Array, place: jax.Array, count: jax.Array) -> jax.Array:
    """Return where place p goes under a random permutation of 0 .. count - 1, one per key.

    O(B), nothing stored or sorted. The swap-or-not shuffle: each pass pairs x with K - x (mod
    count) and swaps the pair on a random bit that both share. Exactly a permutation for any number
    of passes; after `PASSES` of them no test of ours tells it from a uniform one.

    Args:
      keys: [n] typed keys. place: int32 [n, B] in [0, count). count: int32 [n], >= 1.
    Returns:
      int32 [n, B] in [0, count).
    Reference: Hoang, Morris and Rogaway, An enciphering scheme based on a card shuffle, 2012.
    """
    count = count[:, None]
    random = bits(keys, (2, PASSES))
    fraction = (random[:, 0] >> 8).astype(jnp.float32) * jnp.float32(2**-24)
    pair, salt = draw_index(fraction, count), random[:, 1]

    def one_pass(r: jax.Array, x: jax.Array) -> jax.Array:
        other = lax.dynamic_index_in_dim(pair, r, 1) - x
        other = jnp.where(other < 0, other + count, other)
        bit = _mix(jnp.maximum(x, other).astype(jnp.uint32) ^ lax.dynamic_index_in_dim(salt, r, 1)) >> 31
        return jnp.where(bit == 1, other, x)

    return lax.fori_loop(0, PASSES, one_pass, place)


def _mix(h: jax.Array) -> jax.Array:
    """A 32-bit integer hash (two multiplications, three shifts)."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x7FEB352D)
    h = (h ^ (h >> 15)) * jnp.uint32(0x846CA68B)
    return h ^ (h >> 16)


__all__ = ["Epoch", "Full", "Poisson", "Replacement", "WithoutReplacement", "permuted"]
