"""How far apart the nodes are: their models, and the gradients of their data."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import population
from ..core import tree
from ..core.random import fold_name
from ..core.types import Keys, Place, Problem, Tree
from ..devices.node_blocks import sum_nodes
from ..problem import roles
from ..xla.erase_mesh import erase_mesh
from .view import View


def consensus(view: View) -> dict[str, float]:
    """Measure how far honest nodes are from their mean: (1/h) sum_i ||x_i - xbar||^2.

    Over shared leaves; 0 where one model serves all.
    """
    view.need_mean("consensus", shared=True)
    return {"consensus": 0.0 if view.shared else float(view.ask(_distance, view.problem.rules, view.weights))}


def heterogeneity(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure the spread of the nodes' gradients at the mean model, zeta^2.

    zeta^2 = (1/h) sum_i ||grad f_i(xbar) - grad f(xbar)||^2.

    f_i is the mean loss over all training samples of node i, f = (1/h) sum_i f_i over the h honest
    nodes. Costs two passes over the training data and holds a block of gradients at a time.

    Returns:
      "heterogeneity" (zeta^2, squared gradient units) and "gradient" (||grad f(xbar)||^2).
    """
    zeta, gradient = _gradients(block, *_asked(view))
    return {"heterogeneity": float(zeta), "gradient": float(gradient)}


def objective(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure the loss of the mean model on all training data: f(xbar) = (1/h) sum_i f_i(xbar).

    Every honest node counts alike.

    Returns:
      "objective". For problems whose optimum is known, compare it with that.
    """
    return {"objective": float(_objective(block, *_asked(view)))}


@partial(jax.jit, static_argnums=0)
def _distance(rules: Any, params: Tree, key: Keys, weights: Tree) -> jax.Array:
    return population.consensus_distance(roles.split(rules, params).shared, weights)


def _asked(view: View) -> tuple[Any, ...]:
    """What the programs below take after `block`."""
    return view.problem, view.mean, view.honest, view.key, view.place


def local_loss(problem: Problem, params: Tree, node: Any, key: Keys) -> jax.Array:
    """f_i: the mean loss of one model over node i's own training samples."""
    data = problem.data
    rows = data.index[node]
    real = None if data.even else (jnp.arange(rows.shape[0]) < data.count[node]).astype(jnp.float32)
    batch = data.seen(tree.map(lambda x: x[rows], data.arrays))
    return problem.scalar_loss(problem.task.loss, batch, real, fold_name(key, "train"))(params)


@partial(jax.jit, static_argnums=0)
def _gradients(
    block: int | str | None, problem: Problem, at: Tree, ids: jax.Array, key: Keys, place: Place | None
) -> tuple[jax.Array, jax.Array]:
    if place is not None:
        problem, at, key = erase_mesh((problem, at, key))
    gradient = jax.grad(lambda p, node: local_loss(problem, p, node, key))
    center = tree.map(lambda g: g / len(ids), sum_nodes(lambda node: gradient(at, node), ids, block, place))

    def off(node: Any) -> jax.Array:
        return tree.sq_norm(tree.map(lambda a, b: (a - b)[None], gradient(at, node), center))[0]

    return sum_nodes(off, ids, block, place) / len(ids), tree.sq_norm(tree.map(lambda g: g[None], center))[0]


@partial(jax.jit, static_argnums=0)
def _objective(
    block: int | str | None, problem: Problem, at: Tree, ids: jax.Array, key: Keys, place: Place | None
) -> jax.Array:
    if place is not None:
        problem, at, key = erase_mesh((problem, at, key))
    return sum_nodes(lambda node: local_loss(problem, at, node, key), ids, block, place) / len(ids)


__all__ = ["consensus", "heterogeneity", "local_loss", "objective"]
