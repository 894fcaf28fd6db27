"""Rollout: a pure function of (method, problem, network, key, rounds).

And functions that read its carry.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..core import tree
from ..core.checks import whole
from ..core.method import traits
from ..core.types import MeshLike, Method, Tree
from ..core.views import Grouped, Joint
from ..devices import placement
from ..errors import FieldError, a_name, bad
from ..network import Network
from ..problem import Problem, roles
from ..round import Meters
from .prepare import prepare
from .rounds import Carry, begin, carry_axes, one_round, round_axes
from .starts import laid_out


@partial(jax.jit, static_argnames="rounds")
def _rollout(
    method: Method, problem: Problem, network: Network, key: jax.Array, params: Tree, *, rounds: int
) -> tuple[Carry, Meters]:
    carry = begin(method, problem, network, key, params)
    axes = round_axes(method, problem, network, key)

    def one(carry: Carry, t: jax.Array) -> tuple[Carry, Meters]:
        return one_round(method, problem, network, axes, key, carry, t, rounds)

    return lax.scan(one, carry, jnp.arange(rounds, dtype=jnp.int32))


def rollout(
    method: Method,
    problem: Problem,
    network: Network,
    key: jax.Array,
    rounds: int,
    *,
    params: Tree = None,
    mesh: MeshLike = None,
) -> tuple[Any, Meters]:
    """Run `rounds` rounds as one pure JAX function.

    Use it inside your own jit, vmap (over keys, learning rates, ...) or grad.

    Args:
      method: a member of `dejax.methods`, or your own. problem: `Problem`. network: `Network`, or
        None for a method that does not communicate.
      key: typed key; `simulate(seed=s)` is `key=jax.random.key(s)`.
      rounds: T >= 1, static.
      params: start from these: one model, or a population [n, ...]. Default: `task.init`.
      mesh: devices to spread the nodes over: a number, {"nodes": 8}, or a JAX mesh with an axis
        "nodes" (docs/scale.md); the numbers are those of one device up to the order of sums. In
        your own vmap over keys say `spmd_axis_name="runs"`.
    Returns:
      (final, meters): the method's final state (what is evaluated is `model(method, final)`, by
      default `final.params`), and meters stacked over rounds [T].
    Raises:
      RefusedError: a method and a network option that exclude each other, before compilation.
      ValueError: rounds < 1; several keys; a mesh with `runs` > 1 outside such a vmap. TypeError:
        rounds is no whole number, key is no typed key.
    """
    rounds = whole("rounds", rounds)
    if not isinstance(key, (jax.Array, np.ndarray)) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        whole_number = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
        raise bad("key", key, instead=f"give jax.random.key({key if whole_number else 0})")
    if key.shape:
        raise bad("key", key, says=f"is an array of {key.shape} keys", instead="give one, or vmap over them")
    layout = placement.as_layout(mesh)
    if layout is not None and (runs := layout.mesh.shape[placement.RUNS]) > 1 and not placement.in_runs():
        raise FieldError(
            f"mesh has {runs} devices along runs, but rollout is one run, which each of them would compute; leave runs out, or give "
            f"several seeds to simulate(seeds=[...]), or call rollout within a jax.vmap(..., spmd_axis_name='runs')",
            field="mesh",
        )
    method, problem, network = prepare(method, problem, network, rounds, layout)
    if layout is not None:
        key, params = placement.replicate(key, problem.place.mesh), laid_out(problem, params)
    carry, meters = _rollout(method, problem, network, key, params, rounds=rounds)
    if problem.place is not None and problem.place.ids is not None:
        carry = _in_order(method, problem, network, key, carry)
    return state_of(carry), meters


@jax.jit
def _in_order(method: Method, problem: Problem, network: Network, key: jax.Array, carry: Carry) -> Carry:
    return problem.place.in_order(carry_axes(method, problem, network, key), carry)


def state_of(carry: Carry) -> Any:
    """The method's state out of a carry; `WithRoles` where the model has roles."""
    names = [roles.SLOT + role for role in roles.Split._fields[1:]]
    if not any(name in carry.slots for name in names):
        return carry.state
    personal, *others = (carry.slots.get(name) for name in names)
    return roles.WithRoles(carry.state, None if personal is None else personal[0], *others)


def model(method: Method, state: Tree) -> Any:
    """What is evaluated: `method.model(state)` where the method has it, else `state.params`."""
    if isinstance(state, roles.WithRoles):
        return roles.model(method, model(method, state.state), state, traits(method).one_model)
    own = getattr(method, "model", None)
    return state.params if own is None else own(state)


def views(method: Method, state: Tree) -> dict[str, Any]:
    """What is evaluated beside `model`, by name: `method.views(state)` where the method has it.

    A view is a tree like the model, with or without node axis, a `Grouped` one, a pair (predict, either), or `Joint`.
    """
    if isinstance(state, roles.WithRoles):
        found, like = views(method, state.state), tree.leaves(model(method, state.state))[0]
        one = lambda v: traits(method).one_model == (tree.leaves(v)[0].ndim == like.ndim)
        other = (tuple, Grouped, Joint)
        return {k: v if isinstance(v, other) else roles.model(method, v, state, one(v)) for k, v in found.items()}
    find = getattr(method, "views", None)
    return {} if find is None else _checked(type(method).__name__, find(state))


def _checked(method: str, found: Any) -> dict[str, Any]:
    """The views.

    Raises:
      FieldError: they are no dict, or one is a pair in another order than (predict, models).
    """
    if not isinstance(found, dict):
        says, way = f"returns {a_name(found)}", "return a dict of views by name, e.g. {'personal': state.own}"
        raise bad("views", owner=method, says=says, instead=way)
    for name, view in found.items():
        if isinstance(view, tuple) and not (len(view) == 2 and callable(view[0])):
            kinds = ", ".join(map(a_name, view))
            says, way = f"holds {name!r} as ({kinds})", "give models, or (predict, models)"
            raise bad("views", owner=method, says=says, instead=way)
    return found


__all__ = [
    "model",
    "rollout",
    "state_of",
    "views",
]
