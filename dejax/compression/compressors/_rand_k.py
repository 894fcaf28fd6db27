"""Rand-k: keep k random entries, as they are (contractive) or scaled by d/k (unbiased).

    rand_k:           C(x) = x_S            E ||C(x) - x||^2 = (1 - k/d) ||x||^2
    rand_k_unbiased:  C(x) = (d/k) x_S      E C(x) = x,   E ||C(x) - x||^2 = (d/k - 1) ||x||^2

S is uniform among the subsets of size k, a fresh one for each node and call.
Reference: Stich, Cordonnier and Jaggi, Sparsified SGD with memory, 2018; unbiased: Konecny et al.,
2016.
"""

import jax
import jax.numpy as jnp

from ...core.random import bits
from ...core.struct import struct
from ..encoding import mask_of_largest, mask_of_largest_held
from ._sparsifier import Sparsifier


@struct
class RandK(Sparsifier):
    """Keep k random entries as they are; contractive, for `copies` and `error_feedback`.

    delta = k/d, biased.

    Args:
      k: entries kept, 1 <= k <= d. ratio: instead of k, the share kept, in (0, 1];
        k = max(1, round(ratio d)).
      scope: "global": of the whole flattened message; "leaf": of every tensor (k, or the ratio, in
        each).
    Raises:
      ValueError: both or none of k and ratio, out of range; k > d (by `check`, when d is known).
    Wire: k values. The positions cost nothing: both ends draw them from the sender's id and the
      round.
    Reference: Stich, Cordonnier and Jaggi, Sparsified SGD with memory, 2018.
    Example:
      >>> RandK(ratio=0.1).delta(100)
      0.1
    """

    def apply(self, keys: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        """C(x) for keys [n], x [n, d]."""
        n, d = x.shape
        return jnp.where(_subset(keys, n, d, self.kept(d)), x, 0), None

    def held(self, keys: jax.Array, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """k random ones of the marked entries; of fewer than k all."""
        subset, _, k = _held_subset(self, keys, mask)
        return jnp.where(subset, x, 0), k * x.dtype.itemsize

    def bits(self, d: int, width: int = 32) -> int:
        """k values."""
        return self.kept(d) * width

    def delta(self, d: int) -> float:
        """k/d, with equality in expectation."""
        return self.kept(d) / d

    def omega(self, d: int) -> float:
        """Biased: none."""
        del d
        return float("inf")


@struct
class RandKUnbiased(Sparsifier):
    """Keep k random entries, scaled up by d/k; unbiased, for averages of fresh messages.

    omega = d/k - 1.

    Args:
      k: entries kept, 1 <= k <= d. ratio: instead of k, the share kept, in (0, 1];
        k = max(1, round(ratio d)).
      scope: "global": of the whole flattened message; "leaf": of every tensor (k, or the ratio, in
        each).
    Raises:
      ValueError: both or none of k and ratio, out of range; k > d (by `check`, when d is known).
    Wire: k values. The positions cost nothing: both ends draw them from the sender's id and the
      round.
    Reference: Konecny et al., Federated learning: strategies for improving communication
      efficiency, 2016.
    Example:
      >>> RandKUnbiased(k=20).omega(200)
      9.0
    """

    unbiased = True

    def apply(self, keys: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        """C(x) for keys [n], x [n, d]."""
        n, d = x.shape
        k = self.kept(d)
        return jnp.where(_subset(keys, n, d, k), x * jnp.asarray(d / k, x.dtype), 0), None

    def held(self, keys: jax.Array, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """k random ones of the marked entries, scaled by their number over k; of fewer than k all."""
        subset, count, k = _held_subset(self, keys, mask)
        scale = count.astype(x.dtype) / jnp.maximum(k, 1).astype(x.dtype)
        return jnp.where(subset, x * scale[:, None], 0), k * x.dtype.itemsize

    def bits(self, d: int, width: int = 32) -> int:
        """k values."""
        return self.kept(d) * width

    def delta(self, d: int) -> float:
        """1 - omega where that is positive, else 0: then not contractive."""
        return max(0.0, 1 - self.omega(d))

    def omega(self, d: int) -> float:
        """d/k - 1, with equality."""
        return d / self.kept(d) - 1


def _subset(keys: jax.Array, n: int, d: int, k: int) -> jax.Array:
    """Draw bool [n, d] with k True in each row, every subset equally likely.

    Ties of 30 bits go to the lower index.
    """
    if k == d:
        return jnp.ones((n, d), bool)
    return mask_of_largest(_scores(keys, d), k)


def _held_subset(owner: Sparsifier, keys: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(bool [n, d] with k True among the marked ones, how many are marked [n], k [n])."""
    count, d = mask.sum(1, dtype=jnp.int32), mask.shape[1]
    k = owner.kept_of(d, count)
    return mask_of_largest_held(_scores(keys, d), mask, k), count, k


def _scores(keys: jax.Array, d: int) -> jax.Array:
    """Random positive normal floats [n, d]: top_k of float32 is fast, that of integers is not."""
    return jax.lax.bitcast_convert_type((bits(keys, (d,)) >> 2) + jnp.uint32(2**23), jnp.float32)
