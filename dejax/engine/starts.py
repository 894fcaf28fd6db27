"""Node models before round 0."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.abstract import model_like
from ..core.architectures import Architectures
from ..core.method import traits
from ..core.random import fold_in, fold_name
from ..core.stacks import Stacks
from ..core.types import Method, Tree
from ..devices import placement
from ..errors import FieldError, bad
from ..problem import Problem


def starts(method: Method, problem: Problem, key: jax.Array, params: Tree = None, n: int | None = None) -> Any:
    """Make the node models before round 0, [n, ...]: from `params`, or by `task.init`.

    `params` may lack the node axis; rows stay in their order and take
    the dtypes of `task.init`. A method with one model (at a server,
    or `pooled`) starts from the mean of the nodes' starts: it is handed n copies of it.
    """
    n = problem.n if n is None else n
    key = fold_name(key, "init")
    if isinstance(problem.task, Architectures):
        return _of_architectures(problem, key, params, n - problem.n)
    one = model_like(problem.task)
    if params is None:
        if problem.starts == "equal":
            return tree.tile(tree.map(jnp.asarray, problem.task.init(key)), n)
        population = jax.vmap(lambda key: tree.map(jnp.asarray, problem.task.init(key)))(fold_in(key, _ids(problem, n)))
    elif not is_population(problem, one, params):
        if traits(method).own_starts:
            raise FieldError(
                f"params is one model, but {type(method).__name__} tells its models apart by their starts; give a population "
                f"{(n, *tree.leaves(one)[0].shape)}, or starts='independent' without params",
                field="params",
            )
        return tree.tile(tree.map(_like, params, one), n)
    else:
        population = tree.map(lambda x: jnp.broadcast_to(x[:1], (n, *x.shape[1:])) if n != x.shape[0] else x, params)
        population = tree.map(_like, population, one)
    said = traits(method)
    own = said.own_starts or (said.heads and not said.averages)  # models that stay where they are
    if (said.channel == "server" and not own) or said.pooled:
        one_of = lambda x: x.mean(0) if jnp.issubdtype(x.dtype, jnp.inexact) else x[0]
        return tree.tile(tree.map(one_of, population), n)
    return population


def _of_architectures(problem: Problem, key: jax.Array, params: Tree, more: int) -> Stacks:
    """A stack [n_a + more, ...] for each architecture; `params`: starts by their names."""
    task: Any = problem.task
    if params is not None and (not isinstance(params, Mapping) or set(params) != set(task.names)):
        says = f"is a {type(params).__name__}" + (f" of {', '.join(map(str, params))}" * isinstance(params, Mapping))
        way = f"give starts by the names of the architectures: {', '.join(task.names)}"
        raise bad("params", params, says=says, instead=way)
    stacks = {}
    for name, ids, own in task.items():
        rows, one = len(ids) + more, model_like(own)
        if params is None and problem.starts == "equal":
            stacks[name] = tree.tile(tree.map(jnp.asarray, own.init(key)), rows)
        elif params is None:
            keys = fold_in(key, jnp.asarray(ids + (problem.n,) * more, jnp.int32))
            stacks[name] = jax.vmap(lambda key, own=own: tree.map(jnp.asarray, own.init(key)))(keys)
        else:
            given = params[name]
            given = given if _has_axis(len(ids), one, given, f"params[{name!r}]") else tree.tile(given, rows)
            whole = lambda x, rows=rows: jnp.broadcast_to(x[:1], (rows, *x.shape[1:])) if rows != x.shape[0] else x
            stacks[name] = tree.map(_like, tree.map(whole, given), one)
    return Stacks(stacks, task.ids)


def _like(x: Any, one: Any) -> jax.Array:
    """Cast a given leaf to the dtype that the task makes."""
    x = jnp.asarray(x)
    return x if x.dtype == one.dtype else x.astype(one.dtype)


def is_population(problem: Problem, one: Tree, params: Tree) -> bool:
    """Return whether starts are one model per node, [n, ...], rather than one for all.

    one: shapes of what `task.init` makes.

    Raises:
      ValueError: neither.
    """
    return _has_axis(problem.n, one, params)


def _has_axis(n: int, one: Tree, params: Tree, field: str = "params") -> bool:
    if jax.tree.structure(params) != jax.tree.structure(one):
        raise FieldError(
            f"{field} has structure {jax.tree.structure(params)}, but the task makes {jax.tree.structure(one)}; give a tree like "
            "task.init(key), or that with a leading node axis",
            field="params",
        )
    have = [(tuple(jnp.shape(p)), s.shape) for p, s in zip(tree.leaves(params), tree.leaves(one), strict=True)]
    if all(p == s for p, s in have):
        return False
    other = [pair for pair in have if pair[0] != (n, *pair[1])]
    if other:
        raise FieldError(
            f"a leaf of {field} has shape {other[0][0]}; give {other[0][1]} (one model for all) or {(n, *other[0][1])}",
            field="params",
        )
    return True


def laid_out(problem: Problem, params: Tree) -> Any:
    """Place starts where the nodes of a placed problem are.

    Rows of a population go to the device of their node, one model goes to all.
    """
    place = problem.place
    if place is None or params is None:
        return params
    if isinstance(problem.task, Architectures):  # each start alone, or a stack
        ones = {name: (len(ids), model_like(own)) for name, ids, own in problem.task.items()}
        if set(params) != set(ones):  # which `starts` refuses
            return params
        alone = dict.fromkeys(ones, False) | {name: _has_axis(*ones[name], x) for name, x in params.items()}
        put = lambda x, rows: placement.place_array(x, place.of(rows, x))
        return {name: tree.map(lambda x, rows=alone[name]: put(x, rows), given) for name, given in params.items()}
    if is_population(problem, model_like(problem.task), params):
        return tree.map(lambda x: placement.at_places(x, place), params)
    return placement.replicate(params, place.mesh)


def _ids(problem: Problem, n: int) -> jax.Array:
    """The node at each position."""
    place = problem.place
    return jnp.arange(n, dtype=jnp.int32) if place is None or place.ids is None or n != problem.n else place.ids


__all__ = [
    "is_population",
    "laid_out",
    "starts",
]
