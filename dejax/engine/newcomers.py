"""The state that nodes begin with: all before round 0, those who join in their first round."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_name
from ..core.shapes import takes
from ..core.types import Method, Tree
from ..errors import FieldError, bad
from ..network import Network
from ..problem import Problem
from ..round import Round, Store
from ..round.newcomers import of_neighbors


def started(method: Method, problem: Problem, network: Network, key: jax.Array, state: Tree) -> Any:
    """Return the state after `method.start`, where the method has it.

    All nodes are awake, and may look at the graph of round 0.

    Raises:
      RuntimeError: it calls a verb that learns or sends. TypeError: it returns another structure, node axis or type.
    """
    begin = getattr(method, "start", None)
    if begin is None:
        return state
    store = Store({}, record=True)
    everyone = dataclasses.replace(network, faults=(), events=None)
    new = begin(state, Round(problem, everyone, store, fold_name(key, "start"), jnp.int32(0), method=method))
    if store.used:
        raise RuntimeError(
            f"{type(method).__name__}.start calls {min(store.used)!r}; before round 0 nothing is learned or sent: it may read "
            "round.degree, round.neighbors, round.counts and keys; the rest belongs into step, e.g. round.when(round.index == 0, ...)"
        )
    if jax.tree.structure(new) != jax.tree.structure(state):
        raise FieldError(
            f"{type(method).__name__}.start returned another structure of state than init; return the same fields",
            field="state",
        )
    for (path, like), x in zip(jax.tree_util.tree_leaves_with_path(state), tree.leaves(new), strict=True):
        if jnp.shape(x)[:1] != jnp.shape(like)[:1] or not takes(like, x):
            says = f"returns {tree.path_of(path)!r} as {jnp.result_type(x)}{list(jnp.shape(x))}"
            why, way = (
                f"but init made it {jnp.result_type(like)}{list(jnp.shape(like))}",
                "return the fields of init, of their rows and types",
            )
            raise bad("start", owner=type(method).__name__, says=says, why=why, instead=way)
    return tree.map(lambda x, like: jnp.asarray(x, like.dtype), new, state)


def welcomed(
    method: Method, problem: Problem, network: Network, key: jax.Array, axes: Tree, state: Tree, round: Round
) -> Any:
    """Return the state in which who joins in this round begins from its neighbors' models.

    Its rows are those that `init` (and `start`) make of the mean of these models; all others stay.

    axes: which leaves of the state have the node axis.
    """
    who = network.newcomers(problem.n)
    if who is None:
        return state
    asks = round.fresh & round.by_id(who)

    def anew(inner: Round, state: Tree) -> Any:
        own = getattr(method, "model", None)
        models = state.params if own is None else own(state)
        mean, heard = of_neighbors(inner, models, asks)
        rows = asks & heard
        begun = method.init(tree.where(rows, mean, models), fold_name(key, "method"))
        begun = started(method, problem, network, key, begun)
        return tree.map(lambda has, a, b: tree.where(rows, a, b) if has else b, axes, begun, state)

    return round.when(asks.any(), anew, state, name="newcomers")


__all__ = ["started", "welcomed"]
