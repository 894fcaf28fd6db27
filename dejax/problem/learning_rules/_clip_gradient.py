"""Clipped directions: no entry, and no direction as a whole, is longer than a bound.

    d <- max(-value, min(value, d)), entry by entry;   then   d <- d min(1, norm / ||d||)

Reference: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, or_none
from ...core.kinds import Slot
from ...core.struct import number, option, struct
from ...core.types import Keys, NodeFloatLike, Task, Tree
from ...errors import bad, keyword
from ._back_propagation import BackPropagation
from .around import Changing, Inside


@struct
class ClipGradient(Changing):
    """Clip every direction before the method sees it, whatever the method does with it.

    The norm is that of all leaves that are trained at a time: personal ones count, frozen ones do not; of a method
    that moves parts of the model in turn, those of the part. The loss that is recorded is that of the rule inside.

    Args:
      norm: the longest direction, > 0; one number or one per node. None: any length.
      value: the largest entry, > 0, likewise; cut before the norm is taken. One of both is given.
      rule: the learning rule that finds directions; default back-propagation.
    Raises:
      ValueError: neither norm nor value, or one that is not > 0. With clipping per example, which bounds each
        example by itself, and with losses that a method brings, it is refused.
    Reference: Pascanu et al., 2013.
    """

    norm: NodeFloatLike = number(default=None, check=or_none(above(0)))
    value: NodeFloatLike = number(default=None, check=or_none(above(0)))
    rule: Inside = option(default=BackPropagation(), check=Slot("learning_rule"))

    def __post_init__(self) -> None:
        if self.norm is None and self.value is None:
            raise bad("", owner=self, says="got neither norm nor value", instead="give " + keyword("norm", 1.0))

    def direction(self, task: Task, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """That of the rule inside, clipped."""
        loss, found, memory = self.rule.direction(task, params, batch, key, memory)
        if self.value is not None:
            most = lambda d: jnp.asarray(self.value, d.dtype)
            found = tree.map(lambda d: jnp.clip(d, -most(d), most(d)), found)
        if self.norm is not None:
            wide, s = tree.eased(tree.map(lambda d: d.astype(jnp.promote_types(d.dtype, jnp.float32)), found), axes=0)
            size = jnp.sqrt(sum(jnp.square(d).sum() for d in tree.leaves(wide)))
            norm = jnp.asarray(self.norm, size.dtype)
            share = norm / jnp.maximum(size, norm * s)
            found = tree.map(lambda w, d: (w * share.astype(w.dtype)).astype(d.dtype), wide, found)
        return loss, found, memory


__all__ = ["ClipGradient"]
