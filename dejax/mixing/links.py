"""What every mixing kernel offers: one W_t, seen as n receivers with k ports each.

A kernel holds a self weight per node and one weight per port, and owns the loop over neighbors, so
that rules and mixing never form an [n, k, d] array. Padding ports hold the receiver's own id and
weight 0; a port is real exactly when its weight is not 0.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from ..core import tree
from ..core.types import Dtype, NodeFloat, NodeTree, Tree, Values
from ..errors import bad
from .edges import Edges

UNROLL = 16  # ports written out one after another, so that XLA fuses them into one loop; more are scanned


class Links(ABC):
    """One mixing matrix W_t as receivers x ports.

    W[i, senders[i, s]] = weights[i, s], and W[i, i] = self_weights[i]. A kernel says who sends,
    with which weight, and how a port's rows are taken; the rest follows port by port. It overrides
    what it can do faster, or what its values need otherwise.
    """

    one_product = False  # W is one matrix product or one mean: the compiler shares it out over devices as it stands
    split = False  # leaves of two axes or more have the node axis first (after the period's), for devices to divide

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of nodes."""

    @property
    @abstractmethod
    def num_ports(self) -> int:
        """k: ports per node, the largest number of senders that a node hears."""

    @abstractmethod
    def senders(self) -> Int[Array, "n k"]:
        """Who sends on each port; the own id on padding."""

    @abstractmethod
    def weights(self) -> Float[Array, "n k"]:
        """Weight of each port; 0 on padding."""

    @abstractmethod
    def self_weights(self) -> NodeFloat:
        """Weight of the own value."""

    @abstractmethod
    def take(self, values: NodeTree, s: int | Values) -> NodeTree:
        """Row i of the result is row senders[i, s] of `values`; s is a Python int or a traced int32."""

    def ends(self) -> tuple[Int[Array, "n k"], Int[Array, "n k"]]:
        """Node ids of receiver and sender of every port."""
        senders = self.senders().astype(jnp.int32)
        return jnp.broadcast_to(jnp.arange(self.n, dtype=jnp.int32)[:, None], senders.shape), senders

    def on_ports(self, matrix: Float[Array, "n n"]) -> Float[Array, "n k"]:
        """The entries (i, senders[i, s]) of a matrix of the caller's own, on ports; 0 on padding.

        Raises:
          FieldError: a matrix of another shape.
        """
        if jnp.shape(matrix) != (self.n, self.n):
            says, way = f"has shape {jnp.shape(matrix)}", f"give one of shape ({self.n}, {self.n})"
            raise bad("matrix", matrix, owner="links.on_ports", says=says, instead=way)
        receivers, senders = self.ends()
        return jnp.where(self.weights() != 0, matrix[receivers, senders], 0)

    def with_neighbors(self, values: NodeTree) -> Any:
        """Exchange `values` between devices once, for `take`, `weighted`, `sq_distances`, `fold`.

        Those four also take the values themselves, and then exchange on their own. On one device
        every row is at hand.
        """
        return values

    def mix(self, values: NodeTree) -> NodeTree:
        """W values. Each leaf keeps its dtype; sums are taken in at least float32."""
        weights, own, k = self.weights(), self.self_weights(), self.num_ports
        return tree.map(lambda x: sum_ports(self.take, x, x, lambda s: weights[:, s], own, k), values)

    def weighted(
        self,
        values: NodeTree,
        weights: Shaped[Array, "n k"],
        self_weights: Shaped[Array, " n"],
        own: NodeTree | None = None,
    ) -> NodeTree:
        """Return at row i: self_weights[i] own[i] + sum_s weights[i, s] values[senders[i, s]].

        A zero weight silences NaN and Inf. Whole numbers under whole weights (int or bool) are summed exactly.
        """
        own = values if own is None else own
        share, k = lambda s: weights[:, s], self.num_ports

        def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
            dtype = accumulator(x, whole(weights, self_weights))
            return sum_ports(self.take, x, mine, share, self_weights, k, silenced, dtype).astype(summed(x, dtype))

        return tree.map(leaf, values, own)

    def sq_distances(self, values: NodeTree, own: NodeTree | None = None) -> Float[Array, "n k"]:
        """Return ||own_i - values[senders[i, s]]||^2, summed over leaves.

        Differences come first, so that nothing cancels.
        """
        own = values if own is None else own
        k = self.num_ports

        def one(s: int | Values) -> jax.Array:
            def leaf(mine: jax.Array, x: jax.Array) -> jax.Array:
                dtype = accumulator(x)
                gap = mine.astype(dtype) - self.take(x, s).astype(dtype)
                return jnp.sum(jnp.square(gap.reshape(gap.shape[0], -1)), 1)

            parts = tree.leaves(tree.map(leaf, own, values))
            return functools.reduce(jnp.add, parts)

        if k == 0:
            return jnp.zeros((self.n, 0), jnp.float32)
        # one port after another: written out, XLA on CPUs keeps the differences of all ports at
        # once (measured: k copies of X)
        return jax.lax.map(one, jnp.arange(k, dtype=jnp.int32)).T

    def fold(self, fn: Callable[[Any, NodeTree, Any], Any], carry: Tree, values: NodeTree) -> Any:
        """Iterate carry <- fn(carry, take(values, s), s) over all ports in order.

        Up to 16 ports are unrolled; more are scanned.
        """
        k = self.num_ports
        if k <= UNROLL:
            for s in range(k):
                carry = fn(carry, self.take(values, s), s)
            return carry

        def one(carry: Tree, s: jax.Array) -> tuple[Any, None]:
            return fn(carry, self.take(values, s), s), None

        return jax.lax.scan(one, carry, jnp.arange(k, dtype=jnp.int32))[0]

    # ---- asked on the host, where leaves are concrete
    def host_edges(self) -> Edges:
        """The non-zero weights of one phase, in float64."""
        senders, weights = np.asarray(self.senders(), np.int64), np.asarray(self.weights(), np.float64)
        receivers, ports = np.nonzero(weights)
        own = np.asarray(self.self_weights())
        return Edges.sorted(self.n, receivers, senders[receivers, ports], weights[receivers, ports], own)

    def offset_weights(self) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return (offsets, weights) of each phase of a circulant W; None of any other W.

        The own value is at offset 0.
        """
        return None

    def pair_weights(self) -> tuple[float, float] | None:
        """Return (share, extra) of W = extra I + share 11^T; None of any other W."""
        return None


class SizeOfLinks:
    """Of the size of its `links`."""

    links: Any

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.links.n

    @property
    def num_ports(self) -> int:
        """k."""
        return self.links.num_ports


class Through(SizeOfLinks, Links):
    """Links of `links`, of which the values are others than rows [n, ...] of senders."""

    def senders(self) -> jax.Array:
        """[n, k]."""
        return self.links.senders()

    def weights(self) -> jax.Array:
        """[n, k]."""
        return self.links.weights()

    def self_weights(self) -> jax.Array:
        """[n]."""
        return self.links.self_weights()


class DrawnLinks(SizeOfLinks):
    """Links that are drawn afresh in every phase, `draw(key) -> Links`, of the size of `links`."""


def whole(*weights: jax.Array) -> bool:
    """Whether weights are whole numbers, by their dtypes."""
    return all(not jnp.issubdtype(w.dtype, jnp.inexact) for w in weights)


def accumulator(x: jax.Array, whole: bool = False) -> Any:
    """The dtype in which sums over a leaf are taken: its own, or float32 (int32) if wider.

    Args:
      whole: the weights are whole numbers.
    Raises:
      TypeError: the leaf is not floating, but the weights are: a weighted mean of integers is not an integer.
    """
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return jnp.promote_types(x.dtype, jnp.float32)
    if not whole:
        raise TypeError(
            f"a leaf to be mixed has dtype {x.dtype}, which cannot hold a mean; sum whole numbers by whole weights, as in "
            "got.weighted(got.mask, jnp.ones(round.n, int)) or edges.sum(rows), or send them as floats"
        )
    return x.dtype if x.dtype.itemsize >= 4 else jnp.dtype(jnp.int32)


def summed(x: jax.Array, dtype: Dtype) -> Any:
    """The dtype of a sum over a leaf: the leaf's; of whole numbers that in which it was taken."""
    return x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else dtype


def silenced(w: jax.Array, x: jax.Array) -> jax.Array:
    """w * x with w [n] or scalar, and 0 where w is 0, whatever x is there."""
    return jnp.where(tree.over(w != 0, x), x, jnp.zeros((), x.dtype)) * tree.over(w, x)


def plain(w: jax.Array, x: jax.Array) -> jax.Array:
    """w * x with w [n] or scalar."""
    return tree.over(w, x) * x


def sum_ports(
    take: Callable[[jax.Array, Any], jax.Array],
    x: jax.Array,
    own: jax.Array,
    weight: Callable[[Any], jax.Array],
    self_weight: jax.Array,
    k: int,
    times: Callable[[jax.Array, jax.Array], jax.Array] = plain,
    dtype: Dtype | None = None,
) -> jax.Array:
    """Return self_weight own + sum_s weight(s) take(x, s) for one leaf.

    One fused loop per 16 ports; no [n, k, d] is formed. Summed and returned in `dtype`; None: summed in
    that of `accumulator`, returned in the leaf's.
    """
    out_dtype = x.dtype if dtype is None else dtype
    dtype = accumulator(x) if dtype is None else dtype

    def term(s: int | Values) -> jax.Array:
        return times(weight(s).astype(dtype), take(x, s).astype(dtype))

    out = times(self_weight.astype(dtype), own.astype(dtype))
    first = k % UNROLL if k > UNROLL else k
    for s in range(first):
        out = out + term(s)
    if k > first:

        def block(out: jax.Array, start: jax.Array) -> tuple[jax.Array, None]:
            for j in range(UNROLL):
                out = out + term(start + j)
            return out, None

        out, _ = jax.lax.scan(block, out, jnp.arange(first, k, UNROLL, dtype=jnp.int32))
    return out.astype(out_dtype)


__all__ = ["UNROLL", "DrawnLinks", "Links", "accumulator", "plain", "silenced", "sum_ports", "summed", "whole"]
