"""Convex combinations of pairs of samples and of their labels."""

from typing import Any

import jax
import jax.numpy as jnp

from ...core.checks import above
from ...core.random import draw_index, fold_name, uniform
from ...core.struct import number, struct
from ...core.types import FloatLike, PRNGKey
from ...errors import bad
from .augment import Augmentation


@struct
class Mixup(Augmentation):
    """Train on lambda x_i + (1 - lambda) x_j, with both labels.

    Their losses count by lambda and 1 - lambda.

    lambda ~ Beta(alpha, alpha), one for a node's batch; j is drawn for each i among the samples of the batch. For cross
    entropy that is the loss of the mixed label. The batch has each mixed sample twice, once with either label, weighted by
    lambda and 1 - lambda: twice the work of a step. No gradient belongs to one sample, so that clipping per example is
    refused.

    Args:
      alpha: > 0; default 1, lambda uniform.
    Raises:
      ValueError: samples that are no floating numbers.
    Reference: Zhang, Cisse, Dauphin and Lopez-Paz, mixup: beyond empirical risk minimization, 2018.
    """

    alpha: FloatLike = number(default=1.0, check=above(0))

    mixes = True

    def mix(self, key: PRNGKey, batch: Any, weight: Any) -> tuple[Any, Any]:
        """One node's batch [B, ...] as [2 B, ...], and weights [2 B]."""
        x = batch["x"]
        if not jnp.issubdtype(x.dtype, jnp.floating):
            why = f"but samples are {x.dtype}"
            says, way = "holds mixup, which averages samples", "give floating x, or leave mixup out"
            raise bad("augment", x.dtype, owner="Problem", says=says, why=why, instead=way)
        size = x.shape[0]
        real = jnp.ones((size,), jnp.float32) if weight is None else weight.astype(jnp.float32)
        alpha = jnp.asarray(self.alpha, jnp.float32)
        lam = jax.random.beta(fold_name(key, "lambda"), alpha, alpha, dtype=jnp.float32)
        count = jnp.maximum(real.sum().astype(jnp.int32), 1)  # real samples stand before padding
        other = draw_index(uniform(fold_name(key, "partners"), (size,)), count)
        share = lam.astype(x.dtype)
        mixed = share * x + (1 - share) * x[other]
        twice = jax.tree.map(lambda v: jnp.concatenate([v, v[other]]), {**batch, "x": x})
        both = {**twice, "x": jnp.concatenate([mixed, mixed])}
        return both, jnp.concatenate([lam * real, (1 - lam) * real])


__all__ = ["Mixup"]
