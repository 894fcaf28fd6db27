"""Back-propagation: the gradient of the mean loss."""

from typing import Any

import jax

from ...core.kinds import LearningRule
from ...core.struct import struct
from ...core.types import Keys, Task, Tree


@struct
class BackPropagation(LearningRule):
    """Descend along the gradient of the (weighted) mean loss: the default."""

    def direction(self, task: Task, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """Loss, gradient and memory of one node."""
        value, grad = jax.value_and_grad(task.loss)(params, batch, key)
        return value, grad, memory


__all__ = ["BackPropagation"]
