"""Whether the mean of several models is a model: what a task says, whole or by leaf.

A task says `averageable = False`, or of single leaves `averageable = {"table": False}` by their paths,
as `Problem.roles` names them.
"""

from collections.abc import Mapping
from typing import Any

import jax

from ..core.abstract import model_like
from ..core.parts import matched
from ..core.tree import path_of
from ..core.types import Problem, Task
from ..errors import bad
from .roles import split

WHOLE = "the task says averageable = False"


def has_mean(task: Task) -> bool:
    """Whether the mean of whole models is a model."""
    said = getattr(task, "averageable", True)
    return all(said.values()) if isinstance(said, Mapping) else bool(said)


def no_mean(problem: Problem) -> str | None:
    """Who says so, where the mean of what nodes share is no model; None: it is one."""
    said = getattr(problem.task, "averageable", True)
    if not isinstance(said, Mapping):
        return None if said else WHOLE
    shared = split(problem.rules, model_like(problem.task)).shared
    paths = [path_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(shared)]
    found = next((p for p in paths if _said(said, p) is False), None)
    return None if found is None else f"the task says averageable = False of the leaf {found!r}"


def check(problem: Problem) -> None:
    """Refuse an `averageable` that says nothing.

    Raises:
      TypeError, ValueError: neither a truth value nor paths and such; a path without a leaf.
    """
    said: Any = getattr(problem.task, "averageable", True)
    way = "say averageable = False, or of leaves {'path': False}"
    if isinstance(said, bool):
        return
    if not isinstance(said, Mapping) or not all(isinstance(value, bool) for value in said.values()):
        raise bad("averageable", said, owner="task", instead=way)
    paths = [path_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(model_like(problem.task))]
    for pattern in said:
        if not any(matched(pattern, path) for path in paths):
            why = f"but the leaves are {', '.join(paths)}"
            raise bad("averageable", dict(said), owner="task", says=f"names {pattern!r}", why=why, instead=way)


def _said(said: Mapping[str, bool], path: str) -> bool:
    """What is said of a leaf by the pattern that names most of its path; True where nothing is."""
    depths = [(matched(pattern, path), value) for pattern, value in said.items()]
    return max(depths, key=lambda d: d[0])[1] if any(d for d, _ in depths) else True


__all__ = ["check", "has_mean", "no_mean"]
