"""Check the method, the problem and the network, and put their numbers into arrays."""

from typing import Any

import numpy as np

from ..core import tree
from ..core.architectures import Architectures
from ..core.arrays import device_array
from ..core.fields import check_arrays, check_shapes, listed
from ..core.method import check_method
from ..core.types import Method, Tree
from ..devices import placement
from ..errors import RefusedError, bad
from ..network import Network
from ..problem import Problem, roles
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
    method: Any, problem: Problem, network: Any = None, rounds: int | None = None, mesh: Any = None
) -> tuple[Any, Problem, Network]:
    """Check the three against each other, and turn their numbers into arrays.

    They are on `mesh` if there is one; nothing is compiled.

    Raises:
      RefusedError: a method and a network option that exclude each other.
      ValueError, TypeError: sizes or objects that do not fit.
    """
    network = Network() if network is None else network
    if not callable(getattr(network, "prepare", None)):
        raise bad("network", network, instead="give dejax.Network(topology), not the topology itself")
    check_method(method)
    method, problem, network = listed(method), listed(problem), listed(network)
    options = (*(getattr(network, f) for f in ("codec", "privacy", "attack", "rule", "clock")), *network.faults)
    check_arrays(method, *options)
    check_arrays(problem.rule)
    check_shapes(problem.n, method, problem, *options)
    roles.check_leaves(problem)
    check_fit(problem)
    check_rule(problem)
    if problem.rules or problem.personal_lr is not None or problem.personal_optimizer is not None:
        roles.check(problem)
    method, problem, network = typed(method), typed(problem), typed(network.prepare(method, problem, rounds))
    if mesh is None:
        return method, problem, network
    return placed(method, problem, network, mesh)


def placed(method: Method, problem: Problem, network: Network, layout: Any) -> tuple[Any, Problem, Network]:
    """What `prepare` made, on the devices of a layout."""
    if isinstance(problem.task, Architectures):
        why = "but the stacks of several architectures do not divide along one axis of nodes"
        raise bad(
            "mesh",
            layout,
            says="is given",
            why=why,
            instead="leave it out: such a run takes one device",
            error=RefusedError,
        )
    problem, network = placement.shard(method, problem, network, layout)
    return placement.replicate(method, problem.place.mesh), problem, network


__all__ = [
    "placed",
    "prepare",
    "typed",
]
