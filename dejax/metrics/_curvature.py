"""How curved the loss is at the mean model, in all directions and along those of the nodes."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import population
from ..core import tree
from ..core.checks import whole
from ..core.noise import signs
from ..core.random import fold_name
from ..core.types import Keys, Place, Problem, Tree
from ..devices.node_blocks import sum_nodes
from ..devices.processes import to_host
from ..problem import roles
from ..xla.erase_mesh import erase_mesh
from ._models import chosen
from ._spread import local_loss
from .view import View


def hessian_trace(view: View, *, probes: int = 8, block: int | str | None = "auto") -> dict[str, float]:
    """Estimate the trace of the Hessian of the training loss at the mean model, by Hutchinson.

    tr H = E v'Hv, v with entries +1 and -1; H of f = (1/h) sum_i f_i as in `objective`, over shared
    leaves. Costs a gradient on all training data, forward and backward twice, per probe.

    Args:
      probes: directions v, >= 1; drawn from the run's key, the same all along, so that a curve
        shows the models and not the draws.
      block: nodes whose losses are computed at a time.
    Returns:
      "hessian_trace", and with two probes or more "hessian_trace_error", its standard error.
    Raises:
      ValueError: probes < 1.
    Identity: exact with one probe where H is diagonal.
    Reference: Hutchinson, A stochastic estimator of the trace of the influence matrix, 1989.
    """
    probes = whole("hessian_trace.probes", probes)
    directions = _probes(probes, _shared(view.problem.rules, view.mean), fold_name(view.key, "hessian_trace"))
    found = _curvatures(block, view.problem, view.mean, directions, view.honest, view.key, view.place)
    values = np.asarray(to_host(found), np.float64)
    out = {"hessian_trace": float(values.mean())}
    return out if probes < 2 else out | {"hessian_trace_error": float(values.std(ddof=1) / math.sqrt(probes))}


def sharpness(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure how sharp the training loss is along the nodes' differences from their mean.

    Average-direction sharpness: (1/2) tr(H Xi) = (1/2m) sum_i d_i'H d_i, with d_i = x_i - xbar over shared leaves, and H as in
    `hessian_trace`: to second order E f(xbar + e) - f(xbar), e normal with the covariance Xi of the
    models. To third order, the mean of D-SGD's models descends along f plus this term, Xi held fixed.
    Models are those at the end of a round, behind its gossip where the method gossips last.

    Args:
      view: of its honest nodes `view.nodes` give directions, as in `local_models`; None: all. Each
        costs what a probe of `hessian_trace` costs.
      block: nodes whose losses are computed at a time.
    Returns:
      "sharpness", in units of the loss; 0 where one model serves all.
    Identity: on quadratics the mean of f over the models less f(xbar), where all nodes are measured.
    Reference: Zhu, He, Chen, Song and Tao, Decentralized SGD and average-direction SAM are
      asymptotically equivalent, 2023.
    """
    if view.shared:
        return {"sharpness": 0.0}
    ids = chosen(view.honest, view.nodes)
    directions = _deviations(view.problem.rules, view.params, view.mean, ids)
    found = _curvatures(block, view.problem, view.mean, directions, view.honest, view.key, view.place)
    return {"sharpness": float(np.asarray(to_host(found), np.float64).mean() / 2)}


def _shared(rules: Any, params: Tree) -> Tree:
    """The leaves that directions move."""
    return roles.split(rules, params).shared


@partial(jax.jit, static_argnums=0)
def _probes(count: int, like: Tree, key: Keys) -> Tree:
    return jax.vmap(lambda i: signs(jax.random.fold_in(key, i), like))(jnp.arange(count))


@partial(jax.jit, static_argnums=0)
def _deviations(rules: Any, params: Tree, mean: Tree, ids: jax.Array) -> Tree:
    rows = population.take(_shared(rules, params), ids)
    return tree.map(lambda x, m: x - m[None], rows, _shared(rules, mean))


@partial(jax.jit, static_argnums=0)
def _curvatures(
    block: int | str | None,
    problem: Problem,
    at: Tree,
    directions: Tree,
    ids: jax.Array,
    key: Keys,
    place: Place | None,
) -> jax.Array:
    """d'H d [m] of each direction [m, ...]: the second derivative of f along it."""
    if place is not None:
        problem, at, directions, key = erase_mesh((problem, at, directions, key))
    parts = roles.split(problem.rules, at)

    def second(direction: Tree, node: Any) -> jax.Array:
        def along(s: jax.Array) -> jax.Array:
            moved = tree.axpy(s, direction, parts.shared)
            return local_loss(problem, tree.join(moved, *parts[1:]), node, key)

        zero = jnp.zeros((), float)
        return jax.jvp(jax.grad(along), (zero,), (jnp.ones_like(zero),))[1]

    def one(direction: Tree) -> jax.Array:
        return sum_nodes(lambda node: second(direction, node), ids, block, place) / len(ids)

    return jax.lax.map(one, directions)


__all__ = ["hessian_trace", "sharpness"]
