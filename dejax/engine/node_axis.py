"""Which leaves of the state of a method have the node axis."""

from typing import Any

import jax

from ..core import tree
from ..core.types import Method, Tree
from ..errors import FieldError
from ..problem import Problem, roles
from .starts import starts


def node_axis(method: Method, problem: Problem, key: jax.Array, sleeps: bool = False) -> Any:
    """Find which leaves of the method's state have the node axis.

    Those whose shape follows n when `init` is traced for n and n+1.

    Raises:
      ValueError: one whose first axis is another, on a mesh, whose devices divide the first, or
        where a node `sleeps` and keeps its row.
    """
    first = sleeps or problem.place is not None

    def shapes(n: int) -> Any:
        return jax.eval_shape(
            lambda k: method.init(roles.split(problem.rules, starts(method, problem, k, None, n)).shared, k), key
        )

    def follows(a: Tree, b: Tree) -> bool:
        if a.shape != b.shape and first and a.shape[:1] == b.shape[:1]:
            raise FieldError(
                f"{type(method).__name__} keeps a leaf of shape {a.shape} in its state; on a mesh and under churn the first axis must be "
                f"that of the n = {problem.n} nodes: move it to the front, or keep several leaves",
                field="state",
            )
        return a.shape != b.shape

    return tree.map(follows, shapes(problem.n), shapes(problem.n + 1))


__all__ = [
    "node_axis",
]
