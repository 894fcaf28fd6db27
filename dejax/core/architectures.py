"""The task of a population of several architectures: one for each, and the nodes of each."""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..errors import bad
from .arguments import with_key
from .made import pass_on
from .stacks import Ids, Stacks
from .types import Tree


@dataclasses.dataclass(frozen=True)
class Architectures:
    """Several tasks by name, made by `dejax.tasks.architectures`.

    A model is that of one architecture: `Stacks` with its name as the only entry, whose tree the task
    of that name reads.

    Args:
      names, tasks: of each architecture.
      nodes: how many nodes have it, or which; as given.
      ids: which nodes have it, ascending; None until `build(data)` has seen how many there are.
    """

    names: tuple[str, ...]
    tasks: tuple[Any, ...]
    nodes: tuple[int | tuple[int, ...], ...]
    ids: Ids | None = None

    averageable = False  # models of several forms have no mean

    def build(self, data: Any) -> "Architectures":
        """The same for these data: with sizes of models, and ids of nodes.

        Raises:
          ValueError: nodes without an architecture, or with two; nodes that the data do not have.
          TypeError, ValueError: a task with batch statistics, or with a loss that weighs its samples.
        """
        if data is None and self.ids is not None:  # while a mesh takes a problem apart
            return self
        assert data is not None, "architectures are built for data"
        tasks = tuple(task.build(data) if getattr(task, "build", None) else task for task in self.tasks)
        for name, task in zip(self.names, tasks, strict=True):
            if not (callable(getattr(task, "init", None)) and callable(getattr(task, "loss", None))):
                why = "which has no init(key) and loss(params, batch, key)"
                raise _bad(
                    f"tasks[{name!r}]", task, why=why, instead="give a member of dejax.tasks, or a task of your own"
                )
            if getattr(task, "roles", ()):
                says, why = "has running statistics", "which nodes of one architecture would keep apart from all others"
                raise _bad(f"tasks[{name!r}]", task, says=says, why=why, instead="use nnx.LayerNorm or nnx.GroupNorm")
            if "weight" in inspect.signature(task.loss).parameters:
                says = "has a loss that weighs its samples itself"
                raise _bad(f"tasks[{name!r}]", task, says=says, instead="return one loss per example, shape [B]")
        return pass_on(self, dataclasses.replace(self, tasks=tasks, ids=_ids(self.names, self.nodes, data.n)))

    def items(self) -> list[tuple[str, tuple[int, ...], Any]]:
        """(name, ids, task) of each architecture."""
        return list(zip(self.names, self.ids or (), self.tasks, strict=True))

    def init(self, key: jax.Array) -> Stacks:
        """One model of each, without node axis: from the same key as the task alone would take."""
        return Stacks({name: task.init(key) for name, task in zip(self.names, self.tasks, strict=True)}, self.ids)

    def loss(self, params: Tree, batch: Tree, key: Any = None) -> jax.Array:
        """The loss [B] of one model, by the task of its architecture."""
        task, params = self._of(params)
        return task.loss(params, batch, key)

    def metrics(self, params: Tree, batch: Tree, key: Any = None) -> dict[str, jax.Array]:
        """Name -> [B], by the task of the model's architecture."""
        task, params = self._of(params)
        return with_key(task.metrics, params, batch, key=key)

    def module(self, params: Tree) -> Any:
        """What the task of the model's architecture makes of its parameters: the user's own module."""
        task, params = self._of(params)
        make = getattr(task, "module", None)
        return params if make is None else make(params)

    def function(self, name: str, default: Callable[..., Any] | None = None) -> Callable[..., Any] | None:
        """The function `name` of each task, as one of a model of any; None where a task lacks it."""
        found: list[Any] = [getattr(task, name, None) or default for task in self.tasks]
        if None in found:
            return None

        def of(params: Tree, *rest: Any) -> Any:
            task, own = self._of(params)
            return found[self.tasks.index(task)](own, *rest)

        return of

    def _of(self, params: Tree) -> tuple[Any, Any]:
        if not isinstance(params, Stacks) or len(params) != 1:
            says = f"got a {type(params).__name__}" + (f" of {len(params)}" if isinstance(params, Stacks) else "")
            way = "call it in round.forward, round.gradient or round.map, which hand over one model"
            raise bad(
                "params", owner="Architectures", says=says, why="but needs one model of one architecture", instead=way
            )
        ((name, own),) = params.items()
        return self.tasks[self.names.index(name)], own


def tasks_of(task: Any) -> tuple[Any, ...]:
    """The tasks of all architectures; of a plain task that one alone."""
    return task.tasks if isinstance(task, Architectures) else (task,)


def _ids(names: Sequence[str], nodes: Sequence[int | tuple[int, ...]], n: int) -> Ids:
    """The nodes of each architecture: those listed; a number takes the next that nobody lists."""
    listed = [i for some in nodes if isinstance(some, tuple) for i in some]
    order = sorted(listed)
    twice = next((a for a, b in itertools.pairwise(order) if a == b), None)
    if twice is not None:
        raise _bad(
            "nodes", dict(zip(names, nodes, strict=True)), says=f"lists node {twice} twice", instead="list it once"
        )
    if listed and order[-1] >= n:
        raise _bad(
            "nodes",
            order[-1],
            says=f"lists node {order[-1]}",
            why=f"but there are {n} nodes",
            instead=f"give ids below {n}",
        )
    counted = sum(some for some in nodes if isinstance(some, int))
    if len(listed) + counted != n:
        says = f"speaks of {len(listed) + counted} nodes"
        raise _bad(
            "nodes", None, says=says, why=f"but the data are split over {n}", instead="give each node one architecture"
        )
    free, taken = iter(sorted(set(range(n)) - set(listed))), []
    for some in nodes:
        taken.append(tuple(sorted(some)) if isinstance(some, tuple) else tuple(next(free) for _ in range(some)))
    return tuple(taken)


def _bad(field: str, got: Any, **words: Any) -> Exception:
    return bad(field, got, owner="architectures", **words)


__all__ = ["Architectures", "tasks_of"]
