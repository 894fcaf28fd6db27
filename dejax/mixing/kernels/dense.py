"""Dense W: a full matrix, and the complete graph with equal weights, which needs none.

Port s of receiver i is sender (i + 1 + s) mod n, so k = n - 1 and an entry 0 of the matrix is a
port of weight 0.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core import tree
from ...core.struct import grows, static, struct
from ...core.types import Tree, Values
from ...xla.take_rows import take_rows
from ..edges import Edges
from ..links import Links, accumulator, summed, whole

GRAM_FROM = 32  # nodes: from here squared distances come from one Gram matrix instead of n - 1 passes


@struct
class Dense(Links):
    """A full mixing matrix, applied by one matrix product in full precision.

    Args:
      matrix: [n, n]; row i holds the weights of receiver i.
    Example:
      >>> Dense(jnp.full((2, 2), 0.5, jnp.float32)).mix(jnp.array([0.0, 2.0], jnp.float32)).tolist()
      [1.0, 1.0]
    """

    matrix: jax.Array = grows(2)

    one_product = split = True

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.matrix.shape[-1]

    @property
    def num_ports(self) -> int:
        """n - 1."""
        return self.n - 1

    def senders(self) -> jax.Array:
        """[n, n - 1]."""
        return _senders(self.n)

    def weights(self) -> jax.Array:
        """[n, n - 1]."""
        return jnp.take_along_axis(self.matrix, self.senders(), 1)

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.diagonal(self.matrix)

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row (i + 1 + s) mod n at row i."""
        return _take(values, self.n, s)

    def mix(self, values: Tree) -> Any:
        """W values."""
        return tree.map(lambda x: matmul(self.matrix, x).astype(x.dtype), values)

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Apply the caller's weights [n, n - 1].

        A receiver that weighs a non-finite row gets NaN in the whole leaf.
        """
        return weighted_dense(values, weights, self_weights, own)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """Return squared distances [n, n - 1].

        For large n they come from one Gram matrix of values centered on the bulk of the nodes.
        """
        if self.n < GRAM_FROM:
            return super().sq_distances(values, own)
        return jnp.take_along_axis(gram_sq_distances(values, own), self.senders(), 1)

    def host_edges(self) -> Edges:
        """The non-zero entries."""
        return Edges.from_matrix(np.asarray(self.matrix))


@struct
class Complete(Links):
    """All pairs with one weight: W = extra I + share 11^T, applied as a mean, without a matrix.

    Args:
      share: scalar weight of each other node.
      extra: scalar, self weight minus `share`; exactly 0 for W = 11^T / n.
      size: n, static.
    Example:
      >>> w = Complete(jnp.full((), 0.5, jnp.float32), jnp.zeros((), jnp.float32), 2)
      >>> w.mix(jnp.array([0.0, 2.0], jnp.float32)).tolist()
      [1.0, 1.0]
    """

    share: jax.Array
    extra: jax.Array
    size: int = static()

    one_product = True

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    @property
    def num_ports(self) -> int:
        """n - 1."""
        return self.size - 1

    def senders(self) -> jax.Array:
        """[n, n - 1]."""
        return _senders(self.size)

    def weights(self) -> jax.Array:
        """[n, n - 1]."""
        return jnp.broadcast_to(self.share, (self.size, self.size - 1))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return jnp.broadcast_to(self.share + self.extra, (self.size,))

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row (i + 1 + s) mod n at row i."""
        return _take(values, self.size, s)

    def mix(self, values: Tree) -> Any:
        """W values."""

        def leaf(x: jax.Array) -> jax.Array:
            dtype = accumulator(x)
            total = jnp.sum(x.astype(dtype), 0, keepdims=True)
            return (self.extra.astype(dtype) * x.astype(dtype) + self.share.astype(dtype) * total).astype(x.dtype)

        return tree.map(leaf, values)

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Apply the caller's weights [n, n - 1].

        A receiver that weighs a non-finite row gets NaN in the whole leaf.
        """
        return weighted_dense(values, weights, self_weights, own)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """[n, n - 1]."""
        if self.size < GRAM_FROM:
            return super().sq_distances(values, own)
        return jnp.take_along_axis(gram_sq_distances(values, own), self.senders(), 1)

    def host_edges(self) -> Edges:
        """All pairs.

        Raises:
          ValueError: too many for a list.
        """
        n, i = self.size, np.arange(self.size)
        if n > 4096:
            raise ValueError(
                f"the complete graph of n = {n} has {n * (n - 1):,} edges, too many for a list; its W is known"
            )
        share, extra = float(np.asarray(self.share)), float(np.asarray(self.extra))
        senders = np.stack([np.delete(i, r) for r in i]).ravel()
        return Edges(n, np.repeat(i, n - 1), senders, np.full(n * (n - 1), share), np.full(n, share + extra))

    def pair_weights(self) -> tuple[float, float]:
        """Of the first phase."""
        share, extra = (float(np.ravel(np.asarray(a))[0]) for a in (self.share, self.extra))
        return share, extra


def _senders(n: int) -> jax.Array:
    return (jnp.arange(n, dtype=jnp.int32)[:, None] + 1 + jnp.arange(n - 1, dtype=jnp.int32)[None]) % n


def _take(values: Tree, n: int, s: int | Values) -> Any:
    rows = (jnp.arange(n, dtype=jnp.int32) + 1 + s) % n
    return tree.map(lambda x: take_rows(x, rows), values)


def _matrix(weights: jax.Array, self_weights: jax.Array) -> jax.Array:
    """[n, n] from ports by offset and self weights."""
    n = self_weights.shape[0]
    dtype = jnp.promote_types(weights.dtype, self_weights.dtype)
    shifted = jnp.concatenate([self_weights[:, None].astype(dtype), weights.astype(dtype)], 1)  # column o: sender i + o
    columns = (jnp.arange(n, dtype=jnp.int32)[None] - jnp.arange(n, dtype=jnp.int32)[:, None]) % n
    return jnp.take_along_axis(shifted, columns, 1)


def matmul(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """matrix [m, n] times x [n, ...] in full precision, result in the accumulation dtype."""
    dtype = accumulator(x, whole(matrix))
    flat = x.reshape(x.shape[0], -1).astype(dtype)
    out = jnp.matmul(matrix.astype(dtype), flat, precision=jax.lax.Precision.HIGHEST)
    return out.reshape(matrix.shape[:1] + x.shape[1:])


def silent_matmul(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """Multiply as `matmul`, but let a zero entry silence a row that is not finite.

    Receivers that weigh such a row get NaN.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return matmul(matrix, x)
    finite = jnp.isfinite(x).reshape(x.shape[0], -1).all(1)
    out = matmul(matrix, jnp.where(tree.over(finite, x), x, jnp.zeros((), x.dtype)))
    poisoned = ((matrix != 0) & ~finite[None]).any(1)
    return jnp.where(tree.over(poisoned, out), jnp.full((), jnp.nan, out.dtype), out)


def weighted_dense(values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree) -> Any:
    """`weighted` by one matrix product; the own values, where they differ, are added afterwards."""
    matrix = _matrix(weights, jnp.zeros_like(self_weights) if own is not None else self_weights)

    def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
        out = silent_matmul(matrix, x)
        if own is not None:
            w = self_weights.astype(out.dtype)
            out = out + jnp.where(tree.over(w != 0, mine), mine.astype(out.dtype), 0) * tree.over(w, mine)
        return out.astype(summed(x, out.dtype))

    return tree.map(leaf, values, values if own is None else own)


def gram_sq_distances(values: Tree, own: Tree = None) -> jax.Array:
    """Return [n, n]: ||own_i - values_j||^2 through one centered Gram matrix.

    Centering keeps small distances from cancelling. The center is the mean of the half of the rows
    that lie nearest to a first guess, twice refined: a minority of far or non-finite rows cannot
    move it. The relative error of a distance is about 1e-7 times (distance of the farther row from
    the center / distance)^2 in float32. Rows that are not finite are NaN.
    """
    rows = tree.flat(values)
    rows = rows.astype(accumulator(rows))
    mine = rows if own is None else tree.flat(own).astype(rows.dtype)
    n = rows.shape[0]
    center = jnp.zeros((1, rows.shape[1]), rows.dtype)
    for _ in range(3):
        far = jnp.sum(jnp.square(rows - center), 1)
        far = jnp.where(jnp.isfinite(far), far, jnp.inf)
        near = far <= jnp.sort(far)[(n - 1) // 2]
        near &= jnp.isfinite(far)
        center = jnp.sum(jnp.where(near[:, None], rows, 0), 0, keepdims=True) / jnp.maximum(near.sum(), 1).astype(
            rows.dtype
        )
    rows, mine = rows - center, mine - center
    product = jnp.matmul(mine, rows.T, precision=jax.lax.Precision.HIGHEST)
    out = jnp.sum(jnp.square(mine), 1)[:, None] + jnp.sum(jnp.square(rows), 1)[None] - 2 * product
    return jnp.where(jnp.isnan(out), out, jnp.maximum(out, 0))


__all__ = ["Complete", "Dense", "gram_sq_distances", "matmul", "silent_matmul", "weighted_dense"]
