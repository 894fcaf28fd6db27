"""A budget: numbers between zero and a bound, whose sum is limited."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.checks import above
from ..core.struct import number, struct
from ..core.types import FloatLike, NodeFloatLike, NodeTree

HALVINGS = 60


@struct
class Budget:
    """r(x) = 0 where all numbers lie in [0, high] and sum to at most `total`, else infinite.

    The nearest point is clip(u - t, 0, high) with the smallest t >= 0 that keeps the budget, found by
    halving. The sum is that over all numbers of a node's model.

    Args:
      total, high: > 0.
    Raises:
      ValueError: a number that is not > 0.
    Identity: it does not depend on the step; a budget that does not bind is a box.
    Reference: Parikh and Boyd, Proximal algorithms, 2014.
    Example:
      >>> Budget(total=1.0).prox(0.1, jnp.asarray([[0.75, 0.75, -1.0]])).tolist()
      [[0.5, 0.5, 0.0]]
    """

    total: FloatLike = number(check=above(0))
    high: FloatLike = number(default=1.0, check=above(0))

    def prox(self, step: NodeFloatLike, values: NodeTree) -> Any:
        """The nearest models within the budget; `values` is a tree of [n, ...]."""
        del step
        flat = tree.flat(values)
        flat = flat.astype(jnp.promote_types(flat.dtype, jnp.float32))
        total, high = (jnp.asarray(b).astype(flat.dtype) for b in (self.total, self.high))
        fit = lambda t: jnp.clip(flat - t[:, None], 0, high)

        def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, most = ends
            middle = (low + most) / 2
            over = fit(middle).sum(1) > total
            return jnp.where(over, middle, low), jnp.where(over, most, middle)

        none = jnp.zeros(flat.shape[:1], flat.dtype)
        found = jax.lax.fori_loop(0, HALVINGS, halve, (none, jnp.maximum(flat.max(1), 0)))[1]
        return tree.unflat(fit(jnp.where(fit(none).sum(1) > total, found, none)), values)


__all__ = ["Budget"]
