"""Check the method, the problem and the network, and put their numbers into arrays."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves_with_path

from ..core import tree
from ..core.arrays import device_array
from ..core.fields import check_arrays, check_shapes, listed
from ..core.local_work import check_work, steps_of
from ..core.method import check_method, traits
from ..core.schedule import paced
from ..core.types import Layout, Method, Tree
from ..devices import placement
from ..errors import a_name, bad
from ..network import Network
from ..problem import Problem, averaging, roles
from ..problem.rule_check import check_rule
from ..problem.task_check import check_fit


def typed(value: Tree) -> Any:
    """Turn the numbers among the leaves into arrays.

    NumPy's are treated like Python's, so that 0.1 and np.float64(0.1) compile once.
    """

    def one(x: Tree) -> Any:
        x = x.item() if isinstance(x, np.generic) else x
        return device_array(x) if isinstance(x, (bool, int, float)) else x

    return tree.map(one, value)


def prepare(
    method: Method,
    problem: Problem,
    network: Any = None,
    rounds: int | None = None,
    mesh: Any = None,
    before: tuple[int, Any] = (0, 0.0),
) -> tuple[Any, Problem, Network]:
    """Check the three against each other, and turn their numbers into arrays.

    They are on `mesh` if there is one; nothing is compiled. before: in a later phase of a run, its first
    round and the epochs until there, for schedules that count in epochs.

    Raises:
      RefusedError: a method and a network option that exclude each other.
      ValueError, TypeError: sizes or objects that do not fit.
    """
    network = Network() if network is None else network
    if not callable(getattr(network, "prepare", None)):
        raise bad("network", network, instead="give dejax.Network(topology), not the topology itself")
    check_method(method)
    method, problem, network = listed(method), listed(problem), listed(network)
    check_work(method, problem.n, problem.source is None)
    method, problem = _paced(method, problem, before)
    options = (*(getattr(network, f) for f in ("codec", "privacy", "attack", "rule", "clock")), *network.faults)
    check_arrays(method, *options)
    check_arrays(problem.rule)
    check_shapes(problem.n, method, problem, *options)
    roles.check_leaves(problem)
    check_fit(problem)
    check_rule(problem)
    averaging.check(problem)
    if problem.rules or problem.personal_lr is not None or problem.personal_optimizer is not None:
        roles.check(problem)
    method, problem, network = typed(method), typed(problem), typed(network.prepare(method, problem, rounds))
    _check_leaves(method)
    if mesh is None:
        return method, problem, network
    return placed(method, problem, network, mesh)


def _paced(method: Method, problem: Problem, before: tuple[int, Any]) -> tuple[Any, Problem]:
    """Both with the pace of their schedules that count in epochs."""
    pace = lambda: jnp.asarray([before[0], before[1], epochs_of_round(method, problem)], float)
    own = {name: getattr(problem, name) for name in ("personal_lr", "personal_optimizer")}
    new = {name: value for name, old in own.items() if (value := paced(old, pace)) is not old}
    return paced(method, pace), replace(problem, **new) if new else problem


def epochs_of_round(method: Method, problem: Problem) -> Any:
    """Epochs that a round makes: local steps of all nodes, over those of an epoch of all.

    One step where the method has no `local_steps`. Of a cohort: its share of the nodes.
    """
    if problem.source is not None:
        why = "but a source of experience has no samples to go over"
        raise bad("unit", "epochs", owner="schedule", why=why, instead="count in rounds")
    data, cohort = problem.data, traits(method).cohort
    work = getattr(method, "local_steps", 1)
    most, steps = steps_of(work, data.index, data.count, problem.batches, jnp.asarray, data.even)
    whole = most * problem.n if steps is None else steps.sum()
    return whole / problem.an_epoch(jnp.asarray(data.count)) * (1 if cohort is None else cohort / problem.n)


def _check_leaves(method: Method) -> None:
    """Check that what a method holds beside its structure are arrays.

    Raises:
      TypeError: a class that is no pytree; a field with a function, text or another object.
    """
    name = type(method).__name__
    for path, leaf in tree_leaves_with_path(method):
        if leaf is method:
            raise bad(
                "method",
                method,
                says=f"is {a_name(method)}",
                why="a plain class, which no compiled program takes apart into numbers and structure",
                instead="write @dejax.struct above the class",
            )
        if not isinstance(leaf, (jax.Array, np.ndarray)):
            raise bad(
                tree.path_of(path),
                leaf,
                owner=name,
                says=f"holds {a_name(leaf)}",
                why="which stands among the numbers of a compiled program",
                instead="declare the field as structure, dejax.static(), or give a number, an array or a schedule to a dejax.number()",
            )


def placed(method: Method, problem: Problem, network: Network, layout: Layout) -> tuple[Any, Problem, Network]:
    """What `prepare` made, on the devices of a layout."""
    problem, network = placement.shard(method, problem, network, layout)
    return placement.replicate(method, problem.place.mesh), problem, network


__all__ = [
    "epochs_of_round",
    "placed",
    "prepare",
    "typed",
]
