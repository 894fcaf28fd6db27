"""Rollout: a pure function of (method, problem, network, key, rounds), and the chunk that the driver repeats."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..core import tree
from ..core.abstract import model_like
from ..core.checks import whole
from ..core.fields import check_arrays, check_shapes, listed
from ..core.method import check_method, flags
from ..core.random import fold_in, fold_name
from ..devices import placement
from ..network import Network
from ..problem import Problem, roles
from ..problem.task_check import check_fit
from ..round import Meters, Round, Store
from ..xla.erase_mesh import bare


class Carry(NamedTuple):
    """What goes from round to round: the method's state, and the memory of verbs and options."""

    state: Any
    slots: dict[str, Any]
    sent: dict[str, jax.Array]  # int32 [n] by wire name: messages (or units) sent by each node since the start


def typed(value: Any) -> Any:
    """Python numbers among the leaves as typed arrays, so that 0.1 and an array compile once and stack in sweeps."""
    return tree.map(lambda x: jnp.asarray(x) if isinstance(x, (bool, int, float, np.generic)) else x, value)


def prepare(
    method: Any, problem: Problem, network: Any = None, rounds: int | None = None, mesh: Any = None
) -> tuple[Any, Problem, Network]:
    """Check the three against each other and put their numbers into arrays, on `mesh` if there is one; nothing is compiled.

    Raises:
      RefusedError: a method and a network option that exclude each other.
      ValueError, TypeError: sizes or objects that do not fit.
    """
    network = Network() if network is None else network
    if not hasattr(network, "prepare"):
        raise TypeError(f"network is {network!r}; give dejax.Network(topology), not the topology itself")
    check_method(method)
    method, problem, network = listed(method), listed(problem), listed(network)
    options = (*(getattr(network, f) for f in ("codec", "privacy", "attack", "rule", "clock")), *network.faults)
    check_arrays(method, *options)
    check_shapes(problem.n, method, problem, *options)
    check_fit(problem)
    if problem.rules or problem.personal_lr is not None or problem.personal_optimizer is not None:
        roles.check(problem, method, network)
    method, problem, network = typed(method), typed(problem), typed(network.prepare(method, problem, rounds))
    if mesh is None:
        return method, problem, network
    return placed(method, problem, network, mesh)


def placed(method: Any, problem: Problem, network: Network, layout: Any) -> tuple[Any, Problem, Network]:
    """What `prepare` made, on the devices of a layout."""
    problem, network = placement.spread(method, problem, network, layout)
    return placement.everywhere(method, problem.place.mesh), problem, network


def starts(method: Any, problem: Problem, key: jax.Array, params: Any = None, n: int | None = None) -> Any:
    """Node models before round 0, [n, ...]: `params` (with or without node axis; rows as they stand), or draws of `task.init`.

    A method with one model (at a server, or `pooled`) starts from the mean of the nodes' starts: it is handed n copies of it.
    """
    n = problem.n if n is None else n
    key = fold_name(key, "init")
    one = model_like(problem.task)
    if params is None:
        if problem.starts == "equal":
            return tree.tile(problem.task.init(key), n)
        population = jax.vmap(problem.task.init)(fold_in(key, _ids(problem, n)))
    elif not is_population(problem, one, params):
        if flags(method).own_starts:
            raise ValueError(
                f"params is one model, but {type(method).__name__} tells its models apart by their starts; give a population "
                f"{(n, *tree.leaves(one)[0].shape)}, or starts='independent' without params"
            )
        return tree.tile(tree.map(jnp.asarray, params), n)
    else:
        population = tree.map(
            lambda x: jnp.broadcast_to(x[:1], (n, *x.shape[1:])) if n != x.shape[0] else jnp.asarray(x), params
        )
    one_model = flags(method).channel == "server" and not flags(method).own_starts
    if one_model or flags(method).pooled:
        return tree.tile(tree.map(lambda x: x.mean(0), population), n)
    return population


def is_population(problem: Problem, one: Any, params: Any) -> bool:
    """Whether given starts are one model per node, [n, ...], rather than one for all. one: shapes of what `task.init` makes.

    Raises:
      ValueError: neither.
    """
    if jax.tree.structure(params) != jax.tree.structure(one):
        raise ValueError(
            f"params has structure {jax.tree.structure(params)}, but the task makes {jax.tree.structure(one)}; give a tree like "
            "task.init(key), or that with a leading node axis"
        )
    have = [(tuple(jnp.shape(p)), s.shape) for p, s in zip(tree.leaves(params), tree.leaves(one), strict=True)]
    if all(p == s for p, s in have):
        return False
    bad = [pair for pair in have if pair[0] != (problem.n, *pair[1])]
    if bad:
        raise ValueError(
            f"a leaf of params has shape {bad[0][0]}; give {bad[0][1]} (one model for all) or {(problem.n, *bad[0][1])}"
        )
    return True


def laid_out(problem: Problem, params: Any) -> Any:
    """Given starts where the nodes of a placed problem stand: rows of a population on the device of their node, one model on all."""
    place = problem.place
    if place is None or params is None:
        return params
    if is_population(problem, model_like(problem.task), params):
        return tree.map(lambda x: placement.at_places(x, place), params)
    return placement.everywhere(params, place.mesh)


def _ids(problem: Problem, n: int) -> jax.Array:
    """The node at each position."""
    place = problem.place
    return jnp.arange(n, dtype=jnp.int32) if place is None or place.ids is None or n != problem.n else place.ids


def node_axis(method: Any, problem: Problem, key: jax.Array, sleeps: bool = False) -> Any:
    """Which leaves of the method's state carry the node axis: those whose shape follows n when `init` is traced for n and n+1.

    Raises:
      ValueError: one whose first axis is another, on a mesh, whose devices divide the first, or where a node `sleeps` and keeps its row.
    """
    first = sleeps or problem.place is not None

    def shapes(n: int) -> Any:
        return jax.eval_shape(
            lambda k: method.init(roles.split(problem.rules, starts(method, problem, k, None, n)).shared, k), key
        )

    def follows(a: Any, b: Any) -> bool:
        if a.shape != b.shape and first and a.shape[:1] == b.shape[:1]:
            raise ValueError(
                f"{type(method).__name__} keeps a leaf of shape {a.shape} in its state; on a mesh and under churn the first axis must be "
                f"that of the n = {problem.n} nodes: move it to the front, or keep several leaves"
            )
        return a.shape != b.shape

    return tree.map(follows, shapes(problem.n), shapes(problem.n + 1))


def _plan_at(network: Network, t: Any, n: int) -> Any:
    return None if network.events is None else network.events.at(t, n)


def _stale_view(method: Any, network: Network) -> bool:
    return network.events is not None and network.events.stale and not flags(method).keeps_view


def carry_axes(method: Any, problem: Problem, network: Network, key: jax.Array, params: Any = None) -> Carry:
    """Which leaves of the carry have the node axis: of the state as `node_axis` finds them, of slots as verbs declared them."""
    found: dict[str, bool] = {}
    bare = dataclasses.replace(problem, place=None)
    carry = jax.eval_shape(lambda key, params: _start(method, bare, network, key, params, found), key, params)
    slots = {
        name: tree.map(lambda x, name=name: found.get(name, False) and jnp.ndim(x) > 0, x)
        for name, x in carry.slots.items()
    }
    sent: Any = dict.fromkeys(carry.sent, True)
    return Carry(node_axis(method, problem, key), slots, sent)


def _start(
    method: Any,
    problem: Problem,
    network: Network,
    key: jax.Array,
    params: Any,
    per_node: dict[str, bool] | None = None,
) -> Carry:
    if problem.place is not None:
        method, problem, network, key, params = bare((method, problem, network, key, params))
    population = starts(method, problem, key, params)
    store = Store({}, record=True)
    same = problem.starts == "equal" and (
        params is None or tree.leaves(params)[0].shape == tree.leaves(population)[0].shape[1:]
    )
    population = roles.start(problem, method, population, store, same)
    state = method.init(population, fold_name(key, "method"))
    round = Round(problem, network, store, key, jnp.int32(0), plan=_plan_at(network, jnp.int32(0), problem.n))
    if _stale_view(method, network):
        store.slots["view"] = store.initial["view"] = population
        store.per_node["view"] = True
    method.step(state, round)
    if round.awake is not None:
        node_axis(method, problem, key, sleeps=True)
    sent = {name: jnp.zeros((problem.n,), jnp.int32) for name in store.sent}
    if per_node is not None:
        per_node.update(store.per_node)
    carry = Carry(state, store.initial, sent)  # slots as they were before the recording step
    if problem.place is None:
        return carry
    return problem.place.constrain(carry_axes(method, problem, network, key, params), carry)


@jax.jit
def start(method: Any, problem: Problem, network: Network, key: jax.Array, params: Any = None) -> Carry:
    """The carry before round 0. The method, problem and network are those of `prepare`."""
    return _start(method, problem, network, key, params)


def one_round(
    method: Any,
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
        method, problem, network, key, carry, t, horizon = bare((method, problem, network, key, carry, t, horizon))
    store = Store(carry.slots)
    round = Round(problem, network, store, key, t, plan=_plan_at(network, t, problem.n), horizon=horizon)
    state = method.step(carry.state, round)
    same = jax.tree.structure(state) == jax.tree.structure(carry.state)
    if not same:
        raise TypeError(
            f"{type(method).__name__}.step returned another structure of state than it was given; return the same fields"
        )
    state = tree.map(lambda new, old: new.astype(old.dtype), state, carry.state)
    if round.awake is not None:  # asleep: nothing changes
        state = tree.map(
            lambda has, new, old: jnp.where(tree.over(round.awake, new), new, old) if has else new,
            axes.state,
            state,
            carry.state,
        )
    if "view" in store.slots:
        store.slots["view"] = round.keep(state.params, store.slots["view"])
    if set(store.slots) != set(carry.slots):
        raise RuntimeError("a verb of this step was not seen when it was recorded; call the same verbs in every round")
    sent = {name: carry.sent[name] + count for name, count in store.sent.items()}
    everyone = jnp.int32(problem.n) if round.awake is None else round.awake.sum(dtype=jnp.int32)
    store.meter("awake", everyone, 1)
    meters, carry = round.finish(), Carry(state, store.slots, sent)
    if problem.place is not None:
        carry = problem.place.constrain(axes, carry)
        meters = problem.place.constrain(tree.map(lambda _: False, meters), meters)
    return carry, meters


def round_axes(method: Any, problem: Problem, network: Network, key: jax.Array) -> Carry:
    """What a round needs: all axes on a mesh, those of the state else (slots look after themselves)."""
    if problem.place is not None:
        return carry_axes(method, problem, network, key)
    return Carry(node_axis(method, problem, key), {}, {})


@partial(jax.jit, static_argnums=(7,), donate_argnums=(3,))
def run_chunk(
    method: Any, problem: Problem, network: Network, carry: Carry, key: jax.Array,
    first: jax.Array, count: jax.Array, length: int, horizon: Any = None,
) -> tuple[Carry, Meters]:  # fmt: skip
    """`count` rounds from round `first`; one program for every count up to `length`. The carry is donated.

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


@partial(jax.jit, static_argnames="rounds")
def _rollout(
    method: Any, problem: Problem, network: Network, key: jax.Array, params: Any, *, rounds: int
) -> tuple[Carry, Meters]:
    carry = _start(method, problem, network, key, params)
    axes = round_axes(method, problem, network, key)

    def one(carry: Carry, t: jax.Array) -> tuple[Carry, Meters]:
        return one_round(method, problem, network, axes, key, carry, t, rounds)

    return lax.scan(one, carry, jnp.arange(rounds, dtype=jnp.int32))


def rollout(
    method: Any, problem: Problem, network: Any, key: jax.Array, rounds: int, *, params: Any = None, mesh: Any = None
) -> tuple[Any, Meters]:
    """Run `rounds` rounds as one pure JAX function: inside your own jit, vmap (over keys, learning rates, ...), grad.

    Args:
      method: a member of `dejax.methods`, or your own. problem: `Problem`. network: `Network`, or None for a method that
        does not communicate.
      key: typed key; `simulate(seed=s)` is `key=jax.random.key(s)`.
      rounds: T >= 1, static.
      params: start from these: one model, or a population [n, ...]. Default: `task.init`.
      mesh: devices to spread the nodes over: a number, {"nodes": 8}, or a JAX mesh with an axis "nodes" (docs/scale.md); the
        numbers are those of one device up to the order of sums. In your own vmap over keys say `spmd_axis_name="runs"`.
    Returns:
      (final, meters): the method's final state (what is evaluated is `model(method, final)`, by default `final.params`), and
      meters stacked over rounds [T].
    Raises:
      RefusedError: a method and a network option that exclude each other, before compilation.
      ValueError: rounds < 1; several keys; a mesh with `runs` > 1 outside such a vmap. TypeError: rounds is no whole number, key is no typed key.
    """
    rounds = whole("rounds", rounds)
    if not isinstance(key, (jax.Array, np.ndarray)) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        whole_number = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
        raise TypeError(f"key is {key!r}; give jax.random.key({key if whole_number else 0})")
    if key.shape:
        raise ValueError(f"key is an array of {key.shape} keys; give one, or vmap over them")
    layout = placement.as_layout(mesh)
    if layout is not None and (runs := layout.mesh.shape[placement.RUNS]) > 1 and not placement.in_runs():
        raise ValueError(
            f"mesh has {runs} devices along runs, but rollout is one run, which each of them would compute; leave runs out, or give "
            f"several seeds to simulate(seeds=[...]), or call rollout within a jax.vmap(..., spmd_axis_name='runs')"
        )
    method, problem, network = prepare(method, problem, network, rounds, layout)
    if layout is not None:
        key, params = placement.everywhere(key, problem.place.mesh), laid_out(problem, params)
    carry, meters = _rollout(method, problem, network, key, params, rounds=rounds)
    if problem.place is not None and problem.place.ids is not None:
        carry = _in_order(method, problem, network, key, carry)
    return state_of(carry), meters


@jax.jit
def _in_order(method: Any, problem: Problem, network: Network, key: jax.Array, carry: Carry) -> Carry:
    return problem.place.in_order(carry_axes(method, problem, network, key), carry)


def state_of(carry: Carry) -> Any:
    """The method's state out of a carry; `WithRoles` where the model has roles."""
    names = [roles.SLOT + role for role in roles.ROLES[1:]]
    if not any(name in carry.slots for name in names):
        return carry.state
    personal, frozen, statistics = (carry.slots.get(name) for name in names)
    return roles.WithRoles(carry.state, None if personal is None else personal[0], frozen, statistics)


def model(method: Any, state: Any) -> Any:
    """What is evaluated: `method.model(state)` where the method has it, else `state.params`."""
    if isinstance(state, roles.WithRoles):
        return roles.model(method, model(method, state.state), state)
    return method.model(state) if hasattr(method, "model") else state.params


__all__ = [
    "Carry",
    "carry_axes",
    "is_population",
    "laid_out",
    "model",
    "node_axis",
    "one_round",
    "prepare",
    "rollout",
    "round_axes",
    "run_chunk",
    "start",
    "starts",
    "state_of",
    "typed",
]
