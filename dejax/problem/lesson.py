"""What a learning rule sees: one node's task, with the loss that the method asked for."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ..core.fields import declared
from ..core.kinds import LearningRule
from ..core.stacks import Stacks
from ..core.types import Keys, Problem, Tree
from .learning_rules.around import Around


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
    if own is Around.finish:
        return finishes(rule.rule)
    return own is not None and own is not LearningRule.finish


def by_node(rule: Any, by_id: Callable[[Any], jax.Array]) -> tuple[list[jax.Array], Callable[[Any], Any]]:
    """Part a learning rule by node: (its numbers per node [m, ...], row -> the rule of one).

    by_id: from an array by node id to the rows at hand.
    """
    leaves, form = jax.tree.flatten(rule)
    own = jax.tree.leaves(declared(rule))

    def of_node(row: Any) -> Any:
        mine = iter(row)
        return jax.tree.unflatten(form, [next(mine) if flag else x for x, flag in zip(leaves, own, strict=True)])

    return [by_id(x) for x, flag in zip(leaves, own, strict=True) if flag], of_node


def of_first(rule: Any) -> Any:
    """The learning rule of the first node."""
    row, of_node = by_node(rule, lambda values: values[0])
    return of_node(row)


__all__ = ["Lesson", "by_node", "finishes", "of_first"]
