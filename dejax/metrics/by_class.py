"""Measures of one model class by class."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core.types import Task, Tree


def shares_of_classes(labels: jax.Array, classes: int) -> tuple[jax.Array, jax.Array]:
    """Weights [B, C] for means over the rows of each class; which classes [C] have rows."""
    members = jax.nn.one_hot(labels, classes, dtype=jnp.float32)
    return members / jnp.maximum(members.sum(0), 1)[None], members.sum(0) > 0


def of_classes(values: dict[str, jax.Array], labels: jax.Array, classes: int) -> dict[str, jax.Array]:
    """The mean of every measure [B] over the rows of each class [C]; NaN without rows."""
    shares, present = shares_of_classes(labels, classes)
    mean = lambda v: jnp.where(present, jnp.dot(v, shares.astype(v.dtype), precision="highest"), jnp.nan)
    return {name: mean(v) for name, v in values.items() if v.ndim}


def taken_for(task: Task, model: Tree, batch: Tree, classes: int) -> jax.Array:
    """[C, C]: how many rows of each class (first axis) a model takes for each class."""
    guess = answer_of(task)(model, batch).argmax(-1)
    one_hot = lambda y: jax.nn.one_hot(y, classes, dtype=jnp.float32)
    return jnp.dot(one_hot(batch["y"]).T, one_hot(guess), precision="highest")


def answer_of(task: Any) -> Any:
    """(params, batch) -> scores [B, C], of a task or what answers in its place; None: none."""
    predict = getattr(task, "predict", None)
    return getattr(task, "answer", None) if predict is None else predict


__all__ = ["answer_of", "of_classes", "shares_of_classes", "taken_for"]
