"""Batches: the samples of one gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core.struct import static, struct


@struct
class Batch:
    """One batch per node: `data` [n, B, ...] and `weight` [n, B].

    weight: 1 on samples, 0 on padding; None if there is no padding.

    places: int32 [n, B], where each sample stands in its node's own list, from 0; on padding the length of
    that list, so that scatters with mode="drop" leave it out. None unless asked for.

    rows: `data` are row numbers [n, B] of the problem's arrays, to be looked up by `Problem.fetch`.

    One of `public` rows has no node axis: [B, ...], the same for all nodes.
    """

    data: Any
    weight: Any = None
    public: bool = static(default=False)
    rows: bool = static(default=False)
    places: Any = None

    def mean(self, values: jax.Array) -> jax.Array:
        """The mean of numbers [B] of one node's samples, padding left out."""
        if self.weight is None:
            return values.mean()
        weight = self.weight.astype(values.dtype)
        return (values * weight).sum() / jnp.maximum(weight.sum(), 1)


__all__ = ["Batch"]
