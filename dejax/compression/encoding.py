"""How many bits a message takes, and what a compressor must offer."""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..core.checks import choice
from ..core.struct import static, struct

SCOPE = choice("global", "leaf")


@struct
class Size:
    """The size of one message: `bits`, times `units` [n] where it depends on the value.

    bits: a Python int. units: int32.

    A sender's message takes `bits * units[i]` bits, or `bits` when `units` is None.
    """

    bits: int = static()
    units: Any = None


@runtime_checkable
class Compressor(Protocol):
    """What a codec needs of a compressor; rows are nodes, d numbers each.

    Attributes:
      unbiased: E C(x) = x. lossless: C(x) = x. scope: "global" (one row is the whole flattened
        tree) or "leaf".
    """

    unbiased: bool
    lossless: bool
    scope: str

    def apply(
        self, keys: Key[Array, " n"], x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "n d"], Int[Array, " n"] | None]:
        """C(x) as the receiver rebuilds it, and the units of each row's size (None: fixed size)."""
        ...

    def bits(self, d: int, width: int = 32) -> int:
        """Bits of a row of d numbers of `width` bits (times the row's units, where sizes vary)."""
        ...

    def check(self, d: int) -> None:
        """Raise ValueError if rows of d numbers are impossible."""
        ...

    def delta(self, d: int) -> float:
        """E ||C(x) - x||^2 <= (1 - delta) ||x||^2; 0 if no such bound holds."""
        ...

    def omega(self, d: int) -> float:
        """E ||C(x) - x||^2 <= omega ||x||^2 for unbiased compressors; inf for biased ones."""
        ...

    # optional, for parts of models: held(keys, x [n, d], mask bool [n, d]) -> (C of the marked entries, int32 [n] bytes)


def index_bits(d: int, k: int) -> int:
    """Count the bits that say which k of d entries were kept.

    A list of ceil(log2 d) bits each, or a bitmap of d, the smaller. Both ends know d and k, so they
    know which of the two it is; nothing when k = d.

    Example:
      >>> index_bits(1000, 10), index_bits(16, 8), index_bits(4, 4)
      (100, 16, 0)
    """
    return 0 if k == d else min(k * math.ceil(math.log2(d)), d)


def index_bytes(count: jax.Array, k: jax.Array) -> jax.Array:
    """The same of rows [n] that know which `count` entries they choose from, in whole bytes."""
    each = 32 - jax.lax.clz(jnp.maximum(count - 1, 0))  # ceil(log2(count))
    return jnp.where(k == count, 0, (jnp.minimum(k * each, count) + 7) // 8)


BISECT_SHARE = 0.03  # between 1 %, where top_k is faster, and 10 %, where it is slower: docs/performance-log.md


def mask_of_largest(score: jax.Array, k: int) -> jax.Array:
    """Mark exactly the k largest of each row of scores >= 0: bool [n, d].

    Ties go to the lower index; NaN counts as largest. On a CPU, where `lax.top_k` costs in
    proportion to k, the k-th largest is found by bisection of its bits once k is some percent.
    Scores of 16 bits are compared there as float32, which holds each of them: XLA sorts whole rows
    for their `top_k`.
    """
    on_cpu, low = jax.default_backend() == "cpu", 0
    if jnp.issubdtype(score.dtype, jnp.floating):
        if on_cpu:
            low = max(0, 23 - jnp.finfo(score.dtype).nmant)
            score = score.astype(jnp.promote_types(score.dtype, jnp.float32))
        score = jnp.where(jnp.isnan(score), jnp.inf, score)
    if on_cpu and score.dtype == jnp.float32 and k > score.shape[1] * BISECT_SHARE:
        return _mask_by_bits(score, k, low)
    return _mask_by_top_k(score, k)


def mask_of_largest_held(score: jax.Array, mask: jax.Array, k: jax.Array) -> jax.Array:
    """Mark the k[i] largest of the entries that `mask` marks in row i.

    Ties and NaN are as in `mask_of_largest`.
    """
    score = jnp.where(jnp.isnan(score), jnp.inf, score)
    if score.dtype.itemsize > 4:
        order = jnp.argsort(jnp.where(mask, -score, 1), 1, stable=True)
        return jnp.argsort(order, 1) < k[:, None]
    low = max(0, 23 - jnp.finfo(score.dtype).nmant)
    return _mask_by_bits(jnp.where(mask, score.astype(jnp.float32), -1), k[:, None], low)


def _mask_by_bits(score: jax.Array, k: int | jax.Array, low: int = 0) -> jax.Array:
    """`mask_of_largest` of float32 whose lowest `low` bits are 0.

    k may be [n, 1], of rows whose scores < 0 are no entries.
    """
    bits = jax.lax.bitcast_convert_type(score, jnp.int32)  # floats >= 0 are in the order of their bits
    count = lambda mask: mask.sum(1, dtype=jnp.int32, keepdims=True)

    def largest(high: int, low: int, holds: Any) -> jax.Array:
        """Find the largest multiple [n, 1] of 2^low below 2^(high + 1) for which `holds`.

        `holds` is True up to it.
        """

        def one(i: jax.Array, found: jax.Array) -> jax.Array:
            trial = found | (jnp.int32(1) << (high - i))
            return jnp.where(holds(trial), trial, found)

        return jax.lax.fori_loop(0, high + 1 - low, one, jnp.zeros((score.shape[0], 1), jnp.int32))

    threshold = largest(30, low, lambda t: count(bits >= t) >= k)
    above, tie = bits > threshold, bits == threshold
    room = k - count(above)
    column = jax.lax.broadcasted_iota(jnp.int32, score.shape, 1)
    high = score.shape[1].bit_length()
    first = lambda: above | (tie & (column < largest(high, 0, lambda c: count(tie & (column < c)) <= room)))
    return jax.lax.cond(jnp.any(count(tie) > room), first, lambda: above | tie)


def _mask_by_top_k(score: jax.Array, k: int) -> jax.Array:
    value, index = jax.lax.top_k(score, k)  # ties come in the order of their index
    threshold = value.min(1, keepdims=True)  # not value[:, -1:]: a slice makes XLA sort whole rows, 40 times slower
    last = jnp.where(value == threshold, index, -1).max(1, keepdims=True)
    column = jax.lax.broadcasted_iota(index.dtype, score.shape, 1)
    return (score > threshold) | ((score == threshold) & (column <= last))
