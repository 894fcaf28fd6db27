"""Which leaves of the state of a method have the node axis."""

from typing import Any

import jax

from ..core import tree
from ..core.fields import grown, unsaid
from ..core.types import Method, Tree
from ..errors import FieldError, bad
from ..problem import Problem, roles
from .starts import starts


def node_axis(method: Method, problem: Problem, key: jax.Array, sleeps: bool = False) -> Any:
    """Find which leaves of the method's state have the node axis.

    Those whose shape follows n when `init` is traced for n and n+1. Numbers of the method that are
    given per node have one row more then, too (`dejax.core.fields.declared`).

    Raises:
      FieldError: `init` reads rows of a field that does not say that they are those of nodes.
      ValueError: one whose first axis is another, on a mesh, whose devices divide the first, or
        where a node `sleeps` and keeps its row.
    """
    first = sleeps or problem.place is not None

    def shapes(n: int) -> Any:
        def init(k: jax.Array) -> Any:
            one = method if n == problem.n else grown(method)
            return one.init(roles.split(problem.rules, starts(method, problem, k, None, n)).shared, k)

        return jax.eval_shape(init, key)

    def of_one_more() -> Any:
        try:
            return shapes(problem.n + 1)
        except (TypeError, ValueError) as error:
            names = unsaid(problem.n, method)
            if not names:
                raise
            name, says = names[0], f"has {problem.n} rows"
            why = "which init reads node by node, but the field does not say that they are the nodes'"
            instead = "write it with dejax.number(per_node=True)"
            raise bad(name, says=says, why=why, instead=instead) from error

    def follows(a: Tree, b: Tree) -> bool:
        if a.shape != b.shape and first and a.shape[:1] == b.shape[:1]:
            raise FieldError(
                f"{type(method).__name__} keeps a leaf of shape {a.shape} in its state; on a mesh and under churn the first axis must be "
                f"that of the n = {problem.n} nodes: move it to the front, or keep several leaves",
                field="state",
            )
        return a.shape != b.shape

    return tree.map(follows, shapes(problem.n), of_one_more())


__all__ = [
    "node_axis",
]
