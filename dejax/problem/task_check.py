"""Checks that a task fits its data and a node axis.

The loss is traced on shapes, before anything is compiled.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ..core.abstract import key_like, model_like
from ..core.architectures import tasks_of
from ..core.arguments import evenly, with_key
from ..core.types import Keys, Problem, Task, Tree
from ..data.augmentations.augment import augmented
from ..errors import a_name, bad

ROWS = 5  # of the batch that a loss is tried on: a number that no model is likely to have of anything else


def check_task(task: Task) -> None:
    """A task has `init` and `loss`.

    Raises:
      TypeError: a function or class that was not called, or something else altogether.
    """
    if isinstance(task, type) or not (callable(getattr(task, "init", None)) and callable(getattr(task, "loss", None))):
        name = getattr(task, "__name__", None)
        hint = f"call it: dejax.tasks.{name}(...)" if name else "give one of dejax.tasks, e.g. classifier(factory)"
        raise bad(
            "task", task, owner="Problem", why="which has no init(key) and loss(params, batch, key)", instead=hint
        )


def check_fit(problem: Problem) -> None:
    """The task's loss takes batches of these data, and a classifier has a score for every class.

    Raises:
      ValueError: names shapes of the batch, and what the task said of them.
    """
    if problem.source is not None:  # what it collects is seen when the first step is traced
        return
    data = problem.data
    jax.eval_shape(lambda key, batch: augmented(problem.augment, key, batch, None), key_like(), data.like(ROWS))
    leaves, structure = jax.tree.flatten(data.like(ROWS))
    for task in tasks_of(problem.task):
        _fits(task, tuple((x.shape, x.dtype) for x in leaves), structure, data.num_classes, data.name)
    if data.test is not None:
        leaves, structure = jax.tree.flatten(data.like(ROWS, data.test))
        for task in tasks_of(problem.task):
            if callable(getattr(task, "metrics", None)):
                _measures(task, tuple((x.shape, x.dtype) for x in leaves), structure)


@lru_cache(maxsize=64)
def _fits(task: Task, shapes: Tree, structure: Any, classes: int, name: str) -> None:
    batch = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*s) for s in shapes])
    params, key = model_like(task), key_like()
    said = ", ".join(f"{k} {v.dtype}{['B', *v.shape[1:]]}".replace("'", "") for k, v in _items(batch))
    try:
        losses = jax.eval_shape(_as_given(evenly(task.loss)), params, batch, key)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        says = f"{task!r} does not take batches of data {name!r} ({said}): {type(error).__name__}: {error}"
        raise bad("task", task, owner="Problem", says=says) from error
    _check_losses(task, losses)
    scores = getattr(task, "num_scores", None)
    scores = scores(params, batch) if scores is not None and classes else None
    if scores is not None and scores < classes:
        raise bad(
            "task",
            task,
            owner="Problem",
            says=f"{task!r} gives {scores} class scores",
            why=f"but data {name!r} have {classes} classes",
            instead=f"give the model {classes} outputs",
        )

    if isinstance(batch, dict):
        from ..layers.slow_layers import warn_if_slow

        warn_if_slow(task, batch)


@lru_cache(maxsize=64)
def _measures(task: Task, shapes: tuple[tuple[tuple[int, ...], Any], ...], structure: Any) -> None:
    """Check that the task's metrics are numbers by name, one per example.

    Where its loss is one per batch they may be so, too.
    """
    batch = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*s) for s in shapes])
    params, want = model_like(task), "return a dict of names and numbers, one per example: {name: [B]}"
    try:
        found = jax.eval_shape(_by_name(task.metrics), params, batch, key_like())
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        says = f"{a_name(task)} has metrics that do not take test batches: {type(error).__name__}: {error}"
        raise bad("task", task, owner="Problem", says=says, instead=want) from error
    if isinstance(found, _Other):
        what = "None" if found.value is None else a_name(found.value)
        raise bad(
            "task", task, owner="Problem", says=f"{a_name(task)} gives as metrics {what}", why="no dict", instead=want
        )
    per_batch = (
        jax.eval_shape(evenly(task.loss), params, batch, key_like()).ndim == 0
        if any(x.ndim == 0 for x in found.values())
        else False
    )
    for name, x in found.items():
        if x.shape != (ROWS,) and not (per_batch and x.ndim == 0):
            says = f"{a_name(task)} gives the metric {name!r} of shape {_shape(x.shape)}"
            way = (
                ": sum or average over the other axes"
                if x.shape
                else "; a number of a whole test set is a metric fn(view) of the run"
            )
            raise bad("task", task, owner="Problem", says=says, instead=want + way)


def _shape(shape: tuple[int, ...]) -> str:
    """A shape in words, B for the rows of the batch."""
    return "[" + ", ".join("B" if i == 0 and s == ROWS else str(s) for i, s in enumerate(shape)) + "]"


def _as_given(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss, in a box where it gives no array."""
    return lambda *given: value if isinstance(value := loss(*given), jax.Array) else _Other(value)


def _by_name(metrics: Callable[..., Any]) -> Callable[..., Any]:
    """The metrics as arrays by name, in a box where they are no dict."""

    def boxed(params: Tree, batch: Tree, key: Keys) -> Any:
        value = with_key(metrics, params, batch, key=key)
        return {name: jnp.asarray(x) for name, x in value.items()} if isinstance(value, dict) else _Other(value)

    return boxed


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Other:
    value: Any

    def __hash__(self) -> int:
        return 0


def _check_losses(task: Task, losses: Tree) -> None:
    """One floating number per example, or one per batch."""
    want = "return one loss per example, shape [B]"
    if isinstance(losses, _Other):
        says = f"{task!r} gives as loss {losses.value!r} ({type(losses.value).__name__})"
        raise bad("task", task, owner="Problem", says=says, why="no array of jax.numpy", instead=want)
    if losses.shape not in ((), (ROWS,)):
        says = f"{task!r} gives losses of shape {_shape(losses.shape)}"
        raise bad("task", task, owner="Problem", says=says, instead=want + ": sum or average over the other axes")
    if not jax.numpy.issubdtype(losses.dtype, jax.numpy.floating):
        says = f"{task!r} gives losses of dtype {losses.dtype}"
        raise bad("task", task, owner="Problem", says=says, instead="return floating numbers, which have gradients")


def _items(batch: Tree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path).strip("[]'."), x) for path, x in jax.tree_util.tree_leaves_with_path(batch)]


__all__ = ["ROWS", "check_fit", "check_task"]
