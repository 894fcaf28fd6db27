"""The carry, one round of it, and the chunk of rounds that the driver repeats."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..core import stacks, tree
from ..core.method import traits
from ..core.random import fold_name
from ..core.types import Method, Tree
from ..errors import FieldError, RefusedError, bad
from ..network import Network
from ..problem import Problem, roles
from ..round import Meters, Round, Store
from ..round.newcomers import settle
from ..xla.erase_mesh import erase_mesh
from .newcomers import started, welcomed
from .node_axis import node_axis
from .starts import starts


class Carry(NamedTuple):
    """What goes from round to round: the method's state, and the memory of verbs and options."""

    state: Any
    slots: dict[str, Any]
    sent: dict[str, jax.Array]  # int32 [n] by wire name: messages (or units) sent by each node since the start


def _plan_at(network: Network, t: object, n: int) -> Any:
    return None if network.events is None else network.events.at(t, n)


def _stale_view(method: Method, network: Network) -> bool:
    return network.events is not None and network.events.stale and not traits(method).keeps_snapshot


def carry_axes(method: Method, problem: Problem, network: Network, key: jax.Array, params: Tree = None) -> Carry:
    """Find which leaves of the carry have the node axis.

    Those of the state as `node_axis` finds them, those of slots as verbs declared them.
    """
    found: dict[str, bool] = {}
    bare = dataclasses.replace(problem, place=None)
    carry = jax.eval_shape(lambda key, params: begin(method, bare, network, key, params, found), key, params)
    slots = {
        name: tree.map(lambda x, name=name: found.get(name, False) and jnp.ndim(x) > 0, x)
        for name, x in carry.slots.items()
    }
    sent: Any = dict.fromkeys(carry.sent, True)
    return Carry(node_axis(method, problem, key), slots, sent)


def begin(
    method: Method,
    problem: Problem,
    network: Network,
    key: jax.Array,
    params: Tree,
    per_node: dict[str, bool] | None = None,
    stores: list[Store] | None = None,
) -> Carry:
    """The carry before round 0, by recording one step; `stores` gets the store that recorded it."""
    if problem.place is not None:
        method, problem, network, key, params = erase_mesh((method, problem, network, key, params))
    population = starts(method, problem, key, params)
    store = Store({}, record=True)
    same = problem.starts == "equal" and (
        params is None or tree.leaves(params)[0].shape == tree.leaves(population)[0].shape[1:]
    )
    population = roles.start(problem, method, population, store, same)
    state = method.init(population, fold_name(key, "method"))
    if state is None:
        instead = "return the state before round 0, e.g. a NamedTuple with a field params"
        raise bad("init", owner=type(method).__name__, says="gives None", instead=instead)
    state = started(method, problem, network, key, state)
    plan = _plan_at(network, jnp.int32(0), problem.n)
    round = Round(problem, network, store, key, jnp.int32(0), plan=plan, method=method)
    if _stale_view(method, network):
        store.slots["view"] = store.initial["view"] = population
        store.per_node["view"] = True
    before = state
    if network.newcomers(problem.n) is not None:
        before = welcomed(method, problem, network, key, node_axis(method, problem, key, sleeps=True), state, round)
    _check_same(method, state, method.step(before, round))
    if store.unfinished:
        raise _unfinished(method, problem, len(store.unfinished))
    if round.awake is not None:
        node_axis(method, problem, key, sleeps=True)
    if stores is not None:
        stores.append(store)
    sent = {name: jnp.zeros((problem.n,), jnp.int32) for name in store.sent}
    if per_node is not None:
        per_node.update(store.per_node)
    carry = tree.map(_firm, Carry(state, store.initial, sent))  # slots as they were before the recording step
    if problem.place is None:
        return carry
    return problem.place.constrain(carry_axes(method, problem, network, key, params), carry)


def _check_same(method: Method, old: Tree, new: Tree) -> None:
    """A step gives back what it was given: the same fields, of the same shapes.

    Raises:
      TypeError: names the first field that is another.
    """
    owner, instead = type(method).__name__, "return the same fields as init, of the same shapes"
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise bad("step", owner=owner, says="returns another structure of state than init", instead=instead)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(old), tree.leaves(new), strict=True):
        if jnp.shape(a) != jnp.shape(b):
            says = f"returns {tree.path_of(path)!r} of shape {jnp.shape(b)}"
            raise bad("step", owner=owner, says=says, why=f"but it was given one of {jnp.shape(a)}", instead=instead)


def _unfinished(method: Method, problem: Problem, steps: int) -> Exception:
    why = f"but {type(method).__name__} leaves {steps} step{'s' * (steps != 1)} unfinished: it does not say when these gradients have moved the models"
    way = "end each local step by round.end_step(params), or use a method of round.descend or round.local_steps"
    says = f"is {type(problem.rule).__name__}, which has finish"
    return bad("rule", owner="Problem", says=says, why=why, instead=way, error=RefusedError)


def _firm(x: Tree) -> Any:
    """The array without a weak type.

    No round gives one back, so that the second call would compile anew.
    """
    return x.astype(x.dtype) if getattr(x, "weak_type", False) else x


@jax.jit
def start(method: Method, problem: Problem, network: Network, key: jax.Array, params: Tree = None) -> Carry:
    """The carry before round 0. The method, problem and network are those of `prepare`."""
    return begin(method, problem, network, key, params)


def one_round(
    method: Method,
    problem: Problem,
    network: Network,
    axes: Carry,
    key: jax.Array,
    carry: Carry,
    t: jax.Array,
    horizon: Any,
) -> tuple[Carry, Meters]:
    """Round t: the next carry, and what was metered. `axes`: of `round_axes`."""
    if problem.place is not None:
        method, problem, network, key, carry, t, horizon = erase_mesh(
            (method, problem, network, key, carry, t, horizon)
        )
    store = Store(carry.slots)
    plan = _plan_at(network, t, problem.n)
    round = Round(problem, network, store, key, t, plan=plan, horizon=horizon, method=method)
    before = welcomed(method, problem, network, key, axes.state, carry.state, round)
    state = method.step(before, round)
    same = jax.tree.structure(state) == jax.tree.structure(carry.state)
    if not same:
        raise FieldError(
            f"{type(method).__name__}.step returned another structure of state than it was given; return the same fields",
            field="state",
        )
    state = tree.map(lambda new, old: new.astype(old.dtype), state, carry.state)
    if round.awake is not None:  # asleep: nothing changes
        state = tree.map(
            lambda has, up, new, old: jnp.where(tree.over(up, new), new, old) if has else new,
            axes.state,
            stacks.spread(round.awake, state),
            state,
            carry.state,
        )
    if "view" in store.slots:
        store.slots["view"] = round.keep(state.params, store.slots["view"])
    settle(round)
    if set(store.slots) != set(carry.slots):
        raise RuntimeError("a verb of this step was not seen when it was recorded; call the same verbs in every round")
    sent = {name: carry.sent[name] + count for name, count in store.sent.items()}
    awake = round.of_honest(round.awake)
    store.meter("awake", jnp.int32(problem.n) if awake is None else awake.sum(dtype=jnp.int32), 1)
    meters, carry = round.finish(), Carry(state, store.slots, sent)
    if problem.place is not None:
        carry = problem.place.constrain(axes, carry)
        meters = problem.place.constrain(tree.map(lambda _: False, meters), meters)
    return carry, meters


def round_axes(method: Method, problem: Problem, network: Network, key: jax.Array) -> Carry:
    """Find the axes that a round needs: all on a mesh, else those of the state.

    Slots look after themselves.
    """
    if problem.place is not None:
        return carry_axes(method, problem, network, key)
    return Carry(node_axis(method, problem, key), {}, {})


@partial(jax.jit, static_argnums=(7,), donate_argnums=(3,))
def run_chunk(
    method: Method, problem: Problem, network: Network, carry: Carry, key: jax.Array,
    first: jax.Array, count: jax.Array, length: int, horizon: Any = None,
) -> tuple[Carry, Meters]:  # fmt: skip
    """Run `count` rounds from round `first`; the carry is donated.

    One program serves every count up to `length`.

    Returns:
      The carry, and meters with a leading axis `length`, of which the first `count` rows are valid.
    """
    axes = round_axes(method, problem, network, key)
    one = partial(one_round, method, problem, network, axes, key)
    shapes = jax.eval_shape(lambda c: one(c, first, horizon)[1], carry)
    buffers = tree.map(lambda s: jnp.zeros((length, *s.shape), s.dtype), shapes)

    def body(i: jax.Array, both: tuple[Carry, Meters]) -> tuple[Carry, Meters]:
        carry, meters = both
        carry, new = one(carry, first + i, horizon)
        return carry, tree.map(lambda buffer, row: lax.dynamic_update_index_in_dim(buffer, row, i, 0), meters, new)

    return lax.fori_loop(jnp.int32(0), count, body, (carry, buffers))


__all__ = [
    "Carry",
    "carry_axes",
    "one_round",
    "round_axes",
    "run_chunk",
    "start",
]
