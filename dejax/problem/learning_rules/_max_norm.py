"""Max-norm: after every local step, the weights into a unit are cut to a bound.

    w <- w min(1, limit / ||w||),   w all weights into one unit: a kernel's column

Reference: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, Dropout: a simple way to prevent neural
networks from overfitting, 2014 (there 3 to 4, beside dropout).
"""

from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above
from ...core.kinds import Slot
from ...core.struct import number, option, struct
from ...core.types import FloatLike, Keys, Tree
from ._back_propagation import BackPropagation
from .around import Around, Inside


@struct
class MaxNorm(Around):
    """Project onto units of bounded weights after every local step.

    Leaves of one axis, such as biases, stay as they are. What neighbors or a server average meets the
    bound, too: the set is convex.

    Args:
      limit: the longest norm of the weights into one unit (all but the last axis of a leaf), > 0.
      rule: the learning rule that finds directions; default back-propagation.
    Raises:
      ValueError: limit <= 0.
    Reference: Srivastava et al., 2014.
    """

    limit: FloatLike = number(default=3.0, check=above(0))
    rule: Inside = option(default=BackPropagation(), check=Slot("learning_rule"))

    def finish(self, params: Tree, memory: Tree, key: Keys) -> tuple[Any, Any]:
        """The rule inside, then the projection."""
        params, memory = self.rule.finish(params, memory, key)

        def cut(w: jax.Array) -> jax.Array:
            if w.ndim < 2:
                return w
            wide = w.astype(jnp.promote_types(w.dtype, jnp.float32))
            into = {"axis": range(w.ndim - 1), "keepdims": True}
            s = tree.easing(jnp.abs(wide).max(**into, initial=0)).astype(wide.dtype)
            norm = jnp.sqrt(jnp.square(wide * s).sum(**into))
            limit = jnp.asarray(self.limit, wide.dtype)
            return (wide * s * (limit / jnp.maximum(norm, limit * s))).astype(w.dtype)

        return tree.map(cut, params), memory


__all__ = ["MaxNorm"]
