"""Forward-forward: every layer tells right labels from wrong ones by itself.

    g_l(x, c) = mean square of layer l's activations on x with label c;   its input is the layer below, normalized
    loss of layer l = softplus(t - g_l(x, y)) + softplus(g_l(x, c) - t),   c a wrong label drawn at random

Nothing goes back from one layer to the layers below.
Reference: Hinton, The forward-forward algorithm: some preliminary investigations, 2022 (there the sum of
squares; here the mean, so that the threshold does not depend on widths).
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from ...core.checks import above
from ...core.kinds import LearningRule
from ...core.random import fold_name
from ...core.struct import number, struct
from ...core.types import FloatLike, Keys, Tree
from ...errors import bad, call


@runtime_checkable
class HasGoodness(Protocol):
    """A task that says how good a label is, layer by layer."""

    goodness: Any
    classes: Any


@struct
class ForwardForward(LearningRule):
    """Descend along local losses, one for each layer.

    The loss that it gives is their sum.

    Args:
      threshold: t, the goodness that parts right from wrong labels, > 0.
    Raises:
      ValueError: threshold <= 0; a task without goodness by layers (`dejax.tasks.goodness_mlp` has it).
    Reference: Hinton, 2022.
    """

    threshold: FloatLike = number(default=2.0, check=above(0))

    any_loss = False

    def check(self, task: Any) -> None:
        """The task says how good labels are, layer by layer."""
        if not isinstance(task, HasGoodness):
            raise bad(
                "rule",
                self,
                owner="Problem",
                why="which needs the goodness of a label in every layer, and the task has no goodness(params, x, labels)",
                instead="give a task that has it, e.g. " + call("dejax.tasks.goodness_mlp", hidden=[64, 64]),
            )

    def direction(self, task: Any, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """Sum of the local losses, their gradients and memory of one node."""
        x, y, classes = batch.data["x"], batch.data["y"], task.task.classes
        other = jax.random.randint(fold_name(key, "wrong"), y.shape, 1, classes, y.dtype)
        wrong = (y + other) % classes

        def local(params: Tree) -> jax.Array:
            model = task.model(params)
            right = task.task.goodness(model, x, y)  # [layers, B]; each reaches its own layer alone
            false = task.task.goodness(model, x, wrong)
            losses = jax.nn.softplus(self.threshold - right) + jax.nn.softplus(false - self.threshold)
            return batch.mean(losses.sum(0))

        value, grad = jax.value_and_grad(local)(params)
        return value, jax.tree.map(jnp.asarray, grad), memory


__all__ = ["ForwardForward"]
