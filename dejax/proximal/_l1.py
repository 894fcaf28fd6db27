"""The l1 norm: sparse models by soft thresholds."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.checks import at_least
from ..core.struct import number, struct
from ..core.types import FloatLike, NodeFloatLike, NodeTree


@struct
class L1:
    """r(x) = strength |x|_1 over all entries of a model: numbers near zero become zero.

    Args:
      strength: lambda >= 0. Published runs of LeNet on Fashion-MNIST used 1e-4.
    Identity: strength 0 changes nothing; a zero of the result is exact.
    Reference: Parikh and Boyd, Proximal algorithms, 2014.
    Example:
      >>> L1(strength=1.0).prox(0.5, jnp.asarray([[2.0, -0.25]])).tolist()
      [[1.5, -0.0]]
    """

    strength: FloatLike = number(check=at_least(0))

    def prox(self, step: NodeFloatLike, values: NodeTree) -> Any:
        """sign(u) max(|u| - step strength, 0) of every number u.

        Args:
          step: a number, or one per node [n]. values: tree of [n, ...].
        Returns:
          A tree of the same shapes and dtypes.
        """
        threshold = tree.scale(step, tree.map(lambda u: jnp.full_like(u, self.strength), values))

        def shrink(u: jax.Array, t: jax.Array) -> jax.Array:
            return jnp.sign(u) * jnp.maximum(jnp.abs(u) - t, 0)

        return tree.map(shrink, values, threshold)


__all__ = ["L1"]
