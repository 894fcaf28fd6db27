"""An l2 penalty: directions that also lead back to zero.

    d <- d + weight x,   the derivative of weight / 2 ||x||^2

Reference: Krogh and Hertz, A simple weight decay can improve generalization, 1991.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import at_least
from ...core.kinds import Slot
from ...core.struct import number, option, struct
from ...core.types import Keys, NodeFloatLike, Task, Tree
from ._back_propagation import BackPropagation
from .around import Changing, Inside


@struct
class L2Penalty(Changing):
    """Add `weight` times the model to every direction, whatever the method does with it.

    All leaves that are trained take part, biases, scales of norms and personal ones, too; frozen ones do not. The loss
    that is recorded stays that of the task, without the penalty, so that losses in training and of tests compare.

    Args:
      weight: of the penalty weight / 2 ||x||^2, >= 0; one number or one per node.
      rule: the learning rule that finds directions, to which the penalty is added; default back-propagation.
    Raises:
      ValueError: weight < 0. With clipping per example, which would clip the penalty with each example, and with
        losses that a method brings, it is refused.
    Reference: Krogh and Hertz, 1991.
    """

    weight: NodeFloatLike = number(check=at_least(0))
    rule: Inside = option(default=BackPropagation(), check=Slot("learning_rule"))

    def direction(self, task: Task, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """That of the rule inside, and the penalty's."""
        loss, found, memory = self.rule.direction(task, params, batch, key, memory)
        return loss, tree.map(lambda d, x: d + jnp.asarray(self.weight, d.dtype) * x, found, params), memory


__all__ = ["L2Penalty"]
