"""What a metric may look at: one moment of a run."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import population
from ..core import tree
from ..core.abstract import model_like
from ..core.architectures import Architectures
from ..core.arguments import called_with, with_key
from ..core.random import seeded
from ..core.stacks import Stacks, is_stacks
from ..core.types import Keys, NodeTree, Place, Problem, Task, Tree
from ..core.views import Grouped, Joint
from ..devices.processes import to_host
from ..errors import FieldError, bad
from ..problem.averaging import has_mean, no_mean
from . import direction

Metric = Callable[["View"], dict[str, Any]]  # names -> numbers or arrays; runs on the host, on concrete arrays


class View:
    """One moment of a run, as a metric sees it: concrete arrays, outside of any jit.

    Attributes:
      params: what is evaluated, `method.model(state)`: tree of [n, ...] by node id, or of [...]
        where `shared`.
      rows: the same as it lies on the devices of a mesh, where nodes may have changed places: row i
        is of node `ids[i]`. `params` brings all rows into order, which moves them between devices.
      shared: the method keeps one model for all (a server's); then `params` has no node axis.
      state: the method's whole state. problem, network: as given to the run. index: rounds done so
        far.
      n: number of nodes. honest: int32 [h] ids of the nodes that numbers are of: they are no
        adversaries, and were there in the last round. key: depends on the run's seed.
      nodes: how many node models the run asks to evaluate; None: all. width: how many of them one
        program evaluates.
      place: where rows lie on a mesh (`dejax.devices.placement`); None without one.
      together: (`Together`, which of its runs this is), where several runs are measured at once;
        else None.
      others: further models that the method asks to evaluate, as views by name.
      members: int32 [m] ids of the nodes that `rows` are of, where they are those of one architecture
        (see `of`); None: all.
      counted: what honest nodes have spent so far, by name: "bytes", "gradients", "forwards" and so on, and of bytes
        "bytes/wire" (between nodes), "bytes/up" and "bytes/down" (to and from a server); {} outside of a run.
      groups: int32 [n], which of the models `rows` [G, ...] each node has; None: one of its own.
      averageable: the mean of the models is a model; not so where they answer together, or where
        the task says `averageable = False`.
    """

    def __init__(
        self, params: Tree, problem: Problem, network: Any = None, *, state: Tree = None, index: int = 0,
        key: Keys | None = None, nodes: int | None = None, width: int | None = None, place: Place | None = None, together: Any = None,
        others: Callable[[], dict[str, Any]] | None = None, predict: Any = None, members: Any = None,
        counted: Mapping[str, float] | None = None,
    ):  # fmt: skip
        params, joint = (params.tree, True) if isinstance(params, Joint) else (params, False)
        params, groups = (
            (params.models, np.asarray(to_host(params.ids))) if isinstance(params, Grouped) else (params, None)
        )
        self._others, self._predict, self.members, self.groups = others, predict, members, groups
        self._rows, self.problem, self.network, self.place = params, problem, network, place
        self._state, self.index, self.nodes, self.width = state, index, nodes, width or nodes
        self.together, self.counted = together, dict(counted or {})
        self.kept: dict[Hashable, Any] = {}  # what a metric has computed and another may ask for
        self.key = seeded(0) if key is None else key
        self.averageable = predict is None and has_mean(problem.task)
        if groups is not None:
            _check_groups(groups, params, problem.n)
        if members is not None or groups is not None or joint:
            self.shared = joint
        elif predict is not None:
            self.shared = not is_stacks(params) and any(np.shape(x)[:1] != (problem.n,) for x in tree.leaves(params))
        else:
            self.shared = is_shared(problem.task, params if together is None else together[0].one, problem.n)

    @cached_property
    def others(self) -> dict[str, "View"]:
        """Further models that the method asks to evaluate, as views by name."""
        kw = {"index": self.index, "key": self.key, "nodes": self.nodes, "width": self.width, "place": self.place}
        found = {} if self._others is None else self._others()
        whole = lambda v: (v.predict, v) if isinstance(v, Joint) else (None, v)
        pairs = {name: v if isinstance(v, tuple) else whole(v) for name, v in found.items()}
        return {
            name: View(params, self.problem, self.network, state=self._state, predict=predict, **kw)
            for name, (predict, params) in pairs.items()
        }

    @cached_property
    def rows(self) -> Tree:
        """What is evaluated, as it lies on devices."""
        return self._rows() if isinstance(self._rows, Lazy) else self._rows

    @cached_property
    def params(self) -> Tree:
        """What is evaluated, by node id."""
        if self.groups is not None:
            return _take(self.rows, self.groups)
        return self.rows if self.shared or self.place is None else _in_order(self.place, self.rows)

    @cached_property
    def state(self) -> Any:
        """The method's whole state, by node id; on a mesh brought into order when it is asked for."""
        return self._state() if isinstance(self._state, Lazy) else self._state

    @cached_property
    def ids(self) -> np.ndarray:
        """int32 [n]: the node that each row is of."""
        order = None if self.place is None else self.place.ids
        return np.arange(self.n, dtype=np.int32) if order is None else to_host(order)

    @cached_property
    def positions(self) -> np.ndarray:
        """[n]: the row of each node; where nodes of other architectures have none, of them the last."""
        if self.groups is not None:
            return self.groups
        if self.members is None:
            return np.argsort(self.ids)
        return np.minimum(np.searchsorted(self.members, self.ids), len(self.members) - 1)

    def of(self, name: str) -> "View":
        """The nodes of one architecture, as a view whose `rows` are its stack and `task` its task."""
        stacks: Any = self.rows
        at = list(stacks).index(name)
        return View(
            stacks[name], dataclasses.replace(self.problem, task=self.problem.task.tasks[at]), self.network, key=self.key,
            index=self.index, nodes=self.nodes, width=self.width, members=np.asarray(stacks.ids[at], np.int32),
            predict=None if self._predict is None else OfStack(self._predict, name),
        )  # fmt: skip

    @property
    def task(self) -> Any:
        """What one node learns, measured by what answers where that is not one model."""
        return self.problem.task if self._predict is None else Predicted(self.problem.task, self._predict)

    def higher(self, name: str) -> bool | None:
        """Whether more of a number is better, by its task or its name; None if unknown."""
        return direction.higher(name, direction.declared(self.problem.task))

    @property
    def data(self) -> Any:
        """The nodes' data."""
        return self.problem.data

    @property
    def n(self) -> int:
        """Number of nodes, adversaries included."""
        return self.problem.n

    @cached_property
    def honest(self) -> np.ndarray:
        """int32 [h]: ids of the nodes that are no adversaries, and that faults left there."""
        there, absent = self._loyal.copy(), getattr(self.network, "absent", None)
        away = None if absent is None else absent(max(self.index - 1, 0), self.n)
        if away is not None and (there & ~away).any():  # where nobody is left, the models that they left
            there &= ~away
        return np.flatnonzero(there).astype(np.int32)

    @cached_property
    def _loyal(self) -> np.ndarray:
        """Bool [n]: who is no adversary."""
        attack = getattr(self.network, "attack", None)
        return np.ones(self.n, bool) if attack is None else ~np.asarray(attack.is_adversary(self.n))

    @property
    def loyal(self) -> np.ndarray:
        """int32 [m]: ids of the nodes that are no adversaries, there or not."""
        return np.flatnonzero(self._loyal).astype(np.int32)

    @cached_property
    def honest_params(self) -> NodeTree:
        """The honest nodes' models [h, ...] (the shared model itself where `shared`)."""
        return self.params if self.shared or len(self.honest) == self.n else _take(self.params, self.honest)

    @cached_property
    def weights(self) -> Any:
        """float32: 1 on rows of honest nodes that are there, else 0; of groups how many; None: all."""
        if self.groups is not None:
            return np.bincount(self.groups[self.honest], minlength=tree.leaves(self.rows)[0].shape[0]).astype(
                np.float32
            )
        ids = self.ids if self.members is None else self.members
        return None if len(self.honest) == self.n else np.isin(ids, self.honest).astype(np.float32)

    @cached_property
    def mean(self) -> Tree:
        """The mean model of the honest nodes, without node axis."""
        self.need_mean("a metric")
        return self.rows if self.shared else _mean(self.rows, self.weights)

    def need_mean(self, metric: str, shared: bool = False) -> None:
        """Raise ValueError where the models have no mean, which a metric asks for.

        shared: it asks for that of shared leaves alone.
        """
        part = shared and self._predict is None and no_mean(self.problem) is None
        if not self.averageable and not part:
            why = "but they answer together" if self._predict is not None else "but the task says that they have none"
            way = "measure local_models, own_test or ensemble"
            raise bad("metrics", metric, says=f"has {metric}, which asks for a mean of models", why=why, instead=way)

    def ask(self, program: Callable[..., Any], static: Hashable, *shared: Any) -> Any:
        """Return `program(static, rows, key, *shared)` on the host.

        `static` is hashable, `shared` the same for all runs that are measured at once.
        """
        if self.together is not None:
            others, run = self.together
            found = others.ask(run, program, static, shared)
            if found is not None:
                return found
        return to_host(program(static, self.rows, self.key, *shared))

    def bad_node(self) -> int | None:
        """Return the first honest node whose model has no finite norm.

        None if all have; a shared model is node 0.
        """
        if is_stacks(self.rows):
            names = list(zip(self.rows, self.rows.ids, strict=True))
            found = ((self.of(name).ask(_not_finite, False), ids) for name, ids in names)
            broken = {i for bad, ids in found for i, b in zip(ids, bad, strict=True) if b}
            return next((int(i) for i in self.honest if i in broken), None)
        bad = self.ask(_not_finite, self.shared)
        if self.shared:
            return 0 if bad.any() else None
        bad = bad[self.positions][self.honest]
        return int(self.honest[bad.argmax()]) if bad.any() else None


@dataclasses.dataclass(frozen=True)
class Predicted:
    """A task that is measured by `predict(params, batch)` in place of its module.

    predict: `predict(params, batch)` or `predict(params, batch, task)`, a module-level function, so that equal ones share a
      program.
    """

    task: Any
    predict: Callable[..., Any]

    def answer(self, params: Tree, batch: Tree) -> Any:
        """What stands for the answer of a module."""
        given = (params, batch) if called_with(self.predict, params, batch, self.task) else (params, batch, self.task)
        return self.predict(*given)

    def measure(self, answer: Callable[[Any], Any], batch: Tree, key: Keys | None = None) -> dict[str, jax.Array]:
        """As that of the task."""
        return with_key(self.task.measure, answer, batch, key=key)

    def metrics(self, params: Tree, batch: Tree, key: Keys | None = None) -> dict[str, jax.Array]:
        """Name -> [B].

        Raises:
          TypeError: the task is not of a flax module, and so has no metrics of answers.
        """
        measure = getattr(self.task, "measure", None)
        if measure is None:
            raise bad(
                "task",
                self.task,
                why="which has no measure(answer, batch), but a view that is a pair (predict, tree) needs it",
                instead="give the task of a flax module, or one with measure",
            )
        return self.measure(lambda x: self.answer(params, {**batch, "x": x}), batch, key)


@dataclasses.dataclass(frozen=True)
class OfStack:
    """`predict` of one architecture's models, which it gets under their name."""

    predict: Callable[..., Any]
    name: str

    def __call__(self, params: Tree, batch: Tree, task: Task) -> Any:
        """The answers."""
        given = Stacks({self.name: params})
        return (
            self.predict(given, batch)
            if called_with(self.predict, given, batch, task)
            else self.predict(given, batch, task)
        )


def _check_groups(groups: np.ndarray, models: Tree, n: int) -> None:
    count = tree.leaves(models)[0].shape[0]
    if groups.shape != (n,) or (groups < 0).any() or (groups >= count).any():
        says = f"gives ids of shape {groups.shape} from {groups.min(initial=0)} to {groups.max(initial=0)}"
        raise bad("views", owner="method", says=says, instead=f"give each of {n} nodes one of {count} groups")


def is_shared(task: Task, params: Tree, n: int) -> bool:
    """Return whether `params` is one model without node axis rather than n of them.

    They are compared with `task.init`.

    Raises:
      ValueError: it is neither.
    """
    if isinstance(task, Architectures):
        for name, ids, own in task.items():
            stack = params.get(name) if is_stacks(params) else None
            if stack is None or is_shared(own, stack, len(ids)):
                says = f"method.model(state) gave no models [n, ...] of the architecture {name!r}"
                raise FieldError(says + "; give the trees that round's verbs gave", field="model")
        return False
    one = [x.shape for x in tree.leaves(model_like(task))]
    got = [np.shape(x) for x in tree.leaves(params)]
    if got == one:
        return True
    if got == [(n, *shape) for shape in one]:
        return False
    raise FieldError(
        f"the models to evaluate have leaves of shapes {got}, but the task's model has {one} and there are {n} nodes; "
        "method.model(state) must give one model, or one model per node along a leading axis",
        field="model",
    )


class Lazy(partial):
    """A function of nothing that makes a state when a metric asks for it."""


@jax.jit
def _in_order(place: Place, rows: NodeTree) -> NodeTree:
    return place.in_order(tree.map(lambda _: True, rows), rows)


_take = jax.jit(population.take)
_mean = jax.jit(population.mean)


@partial(jax.jit, static_argnums=0)
def _not_finite(shared: bool, params: Tree, key: Keys) -> jax.Array:
    rows = tree.map(lambda x: x[None], params) if shared else params
    norm = tree.sq_norm([x for x in tree.leaves(rows) if jnp.issubdtype(x.dtype, jnp.inexact)])
    return ~jnp.isfinite(jnp.abs(norm).astype(jnp.float32))


__all__ = ["Lazy", "Metric", "View", "is_shared"]
