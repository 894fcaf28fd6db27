"""Checks that a learning rule fits the task, by shapes, before anything is compiled."""

import dataclasses
import inspect
from typing import Any

import jax

from ..core.abstract import key_like, model_like
from ..core.architectures import tasks_of
from ..core.types import Problem, Tree
from ..errors import bad
from .batch import Batch
from .learning_rules import back_propagation as BackPropagation
from .lesson import Lesson, finishes, of_first
from .roles import path_of
from .task_check import ROWS


def check_rule(problem: Problem) -> None:
    """The learning rule suits the task: it gives a loss, a direction like the model, memory.

    Raises:
      TypeError, ValueError: functions of other arguments; a task that the rule refuses; results of
        other shapes.
    """
    rule, task, data = problem.rule, problem.task, problem.data
    name = type(rule).__name__
    hooks = {"init": "(params, key)", "direction": "(task, params, batch, key, memory)"}
    if finishes(rule):
        hooks["finish"] = "(params, memory, key)"
    for fn, want in hooks.items():
        try:
            inspect.signature(getattr(rule, fn)).bind(*want.split(", "))
        except TypeError as error:
            says, way = f"cannot be called with {want}: {error}", f"write def {fn}(self, {want[1:]}"
            raise bad(f"{name}.{fn}", says=says, instead=way) from None
    if finishes(rule) and problem.rules:
        why = "but the leaves have roles, and methods, nodes and the model move some of them each"
        raise bad(
            "rule", owner="Problem", says=f"is {name}, which has finish", why=why, instead="leave one of them out"
        )
    for own in tasks_of(task):
        rule.check(own)
        if problem.source is None and type(rule) is not BackPropagation:  # which fits every loss
            _fits(problem if own is task else dataclasses.replace(problem, task=own), data)


def _fits(problem: Problem, data: Any) -> None:
    """Its shapes fit one task."""
    rule, task, name = of_first(problem.rule), problem.task, type(problem.rule).__name__
    params, key = model_like(task), key_like()
    shapes = data.like(ROWS)
    lesson = lambda common: Lesson(problem, task.loss, (), lambda p: p, common)
    one = lambda p, b, k, m: rule.direction(lesson(k), p, Batch(b), k, m)
    memory = jax.eval_shape(rule.init, params, key)
    found = jax.eval_shape(one, params, shapes, key, memory)
    if not isinstance(found, tuple) or len(found) != 3:
        says, way = f"gives {type(found).__name__}", "return (loss, direction, memory)"
        raise bad(f"{name}.direction", says=says, instead=way)
    number = jax.ShapeDtypeStruct((), found[0].dtype)
    wanted = [
        ("direction", "a loss", found[0], number, "one number"),
        ("direction", "a direction", found[1], params, "one like the parameters"),
        ("direction", "a memory", found[2], memory, "one like that of init"),
    ]
    if finishes(rule):
        ended = jax.eval_shape(rule.finish, params, memory, key)
        if not isinstance(ended, tuple) or len(ended) != 2:
            says, way = f"gives {type(ended).__name__}", "return (params, memory)"
            raise bad(f"{name}.finish", says=says, instead=way)
        wanted.append(("finish", "parameters", ended[0], params, "such as it got"))
        wanted.append(("finish", "a memory", ended[1], memory, "one like that of init"))
    form = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    for fn, what, got, want, like in wanted:
        if jax.tree.structure(got) != jax.tree.structure(want) or form(got) != form(want):
            says = f"gives {what} of {_form(got)}"
            raise bad(f"{name}.{fn}", says=says, instead=f"give {like}: {_form(want)}")


def _form(tree: Tree) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return ", ".join(f"{path_of(path) or 'one'} {x.dtype}{list(x.shape)}" for path, x in leaves) or "nothing"


__all__ = ["check_rule"]
