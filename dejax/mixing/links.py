"""What every mixing kernel offers: one W_t, seen as n receivers with k slots each.

A kernel holds a self weight per node and one weight per slot, and owns the loop over neighbors, so that rules and
mixing never form an [n, k, d] array. Padding slots hold the receiver's own id and weight 0; a slot is real exactly when
its weight is not 0.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..core import tree
from ..core.types import NodeFloat, NodeTree

UNROLL = 16  # slots written out one after another, so that XLA fuses them into one loop; more are scanned


@runtime_checkable
class Links(Protocol):
    """One mixing matrix W_t as receivers x slots: W[i, senders[i, s]] = weights[i, s], W[i, i] = self_weights[i]."""

    @property
    def n(self) -> int:
        """Number of nodes."""

    @property
    def num_slots(self) -> int:
        """k: slots per node, the largest number of senders that a node hears."""

    def senders(self) -> Int[Array, "n k"]:
        """Who sends on each slot; the own id on padding."""

    def weights(self) -> Float[Array, "n k"]:
        """Weight of each slot; 0 on padding."""

    def self_weights(self) -> NodeFloat:
        """Weight of the own value."""

    def spread(self, tree: NodeTree) -> Any:
        """`tree` as `take`, `weighted`, `sq_distances` and `fold` read it: the one exchange between devices, where there are several.

        Those four also take `tree` itself, and then exchange for themselves.
        """

    def take(self, tree: NodeTree, s: Any) -> NodeTree:
        """Row i of the result is row senders[i, s] of `tree`; s is a Python int or a traced int32."""

    def mix(self, tree: NodeTree) -> NodeTree:
        """W tree. Each leaf keeps its dtype; sums are taken in at least float32."""

    def weighted(
        self, tree: NodeTree, weights: Float[Array, "n k"], self_weights: NodeFloat, own: NodeTree | None = None
    ) -> NodeTree:
        """Row i: self_weights[i] own[i] + sum_s weights[i, s] tree[senders[i, s]]; a zero weight silences NaN and Inf."""

    def sq_distances(self, tree: NodeTree, own: NodeTree | None = None) -> Float[Array, "n k"]:
        """||own_i - tree[senders[i, s]]||^2, summed over leaves; differences first, so that nothing cancels."""

    def fold(self, fn: Callable[[Any, NodeTree, Any], Any], carry: Any, tree: NodeTree) -> Any:
        """carry <- fn(carry, take(tree, s), s) over all slots in order."""


class Whole:
    """What kernels of one device share: every row is at hand."""

    def spread(self, values: Any) -> Any:
        """The values themselves."""
        return values


def accumulator(x: jax.Array) -> Any:
    """The dtype in which sums over a leaf are taken: its own, or float32 where that is wider.

    Raises:
      TypeError: the leaf is not floating: a weighted mean of integers is not an integer.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"a leaf to be mixed has dtype {x.dtype}, which cannot hold a mean; keep integers out of the tree"
        )
    return jnp.promote_types(x.dtype, jnp.float32)


def silenced(w: jax.Array, x: jax.Array) -> jax.Array:
    """w * x with w [n] or scalar, and 0 where w is 0, whatever x is there."""
    return jnp.where(tree.over(w != 0, x), x, jnp.zeros((), x.dtype)) * tree.over(w, x)


def plain(w: jax.Array, x: jax.Array) -> jax.Array:
    """w * x with w [n] or scalar."""
    return tree.over(w, x) * x


def sum_slots(
    take: Callable[[jax.Array, Any], jax.Array],
    x: jax.Array,
    own: jax.Array,
    weight: Callable[[Any], jax.Array],
    self_weight: jax.Array,
    k: int,
    times: Callable[[jax.Array, jax.Array], jax.Array] = plain,
    out_dtype: Any = None,
) -> jax.Array:
    """self_weight own + sum_s weight(s) take(x, s) for one leaf: one fused loop per 16 slots, no [n, k, d]."""
    dtype = accumulator(x)

    def term(s: Any) -> jax.Array:
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
    return out.astype(x.dtype if out_dtype is None else out_dtype)


def fold_slots(links: Any, fn: Callable[[Any, NodeTree, Any], Any], carry: Any, values: NodeTree) -> Any:
    """The fold of every kernel: written out up to 16 slots, scanned beyond."""
    k = links.num_slots
    if k <= UNROLL:
        for s in range(k):
            carry = fn(carry, links.take(values, s), s)
        return carry

    def one(carry: Any, s: jax.Array) -> tuple[Any, None]:
        return fn(carry, links.take(values, s), s), None

    return jax.lax.scan(one, carry, jnp.arange(k, dtype=jnp.int32))[0]


def slot_sq_distances(links: Any, values: NodeTree, own: NodeTree | None) -> jax.Array:
    """[n, k]: squared distances by differences, slot by slot."""
    own = values if own is None else own
    k = links.num_slots

    def one(s: Any) -> jax.Array:
        def leaf(mine: jax.Array, x: jax.Array) -> jax.Array:
            dtype = accumulator(x)
            gap = mine.astype(dtype) - links.take(x, s).astype(dtype)
            return jnp.sum(jnp.square(gap.reshape(gap.shape[0], -1)), 1)

        parts = tree.leaves(tree.map(leaf, own, values))
        return sum(parts[1:], parts[0])

    if k == 0:
        return jnp.zeros((links.n, 0), jnp.float32)
    # one slot after another: written out, XLA on CPUs keeps the differences of all slots at once (measured: k copies of X)
    return jax.lax.map(one, jnp.arange(k, dtype=jnp.int32)).T


__all__ = [
    "UNROLL",
    "Links",
    "Whole",
    "accumulator",
    "fold_slots",
    "plain",
    "silenced",
    "slot_sq_distances",
    "sum_slots",
]
