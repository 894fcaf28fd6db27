"""What a learning rule sees: one node's task, with the loss that the method asked for."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ..core.kinds import LearningRule
from ..core.stacks import Stacks
from ..core.types import Keys, Problem, Tree


@dataclasses.dataclass(frozen=True)
class Lesson:
    """One node's task for one direction, the `task` of `LearningRule.direction`.

    Attributes:
      task: the problem's own task. common: a key that all nodes share in this call (under events,
        those whose event has the same number).
    """

    problem: Problem
    fn: Callable[..., Any]  # the loss: the task's, or the method's own
    extra: tuple[Any, ...]
    whole: Callable[..., Any]
    common: Any
    architecture: str | None = None  # of the node, where there are several

    @property
    def task(self) -> Any:
        """The problem's own task; of several architectures that of the node."""
        task = self.problem.task
        return task if self.architecture is None else task.tasks[task.names.index(self.architecture)]

    def loss(self, params: Tree, batch: Tree, key: Keys) -> jax.Array:
        """Mean loss of a batch over its real samples, scalar: to be descended.

        params: the leaves that are trained, as `direction` gets them. batch: a `Batch` of one node,
          `data` [B, ...] and `weight` [B] or None.
        """
        params = params if self.architecture is None else Stacks({self.architecture: params})
        return self.problem.scalar_loss(self.fn, batch.data, batch.weight, key, *self.extra)(params)

    def model(self, params: Tree) -> Any:
        """The whole model, leaves of all roles, out of those that are trained."""
        return self.whole(params, *self.extra)


def finishes(rule: Any) -> bool:
    """Whether a learning rule has something to do after each local step."""
    own = getattr(type(rule), "finish", None)
    return own is not None and own is not LearningRule.finish


__all__ = ["Lesson", "finishes"]
