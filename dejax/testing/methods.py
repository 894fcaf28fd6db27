"""What a method must satisfy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..core import tree
from ..core.method import traits
from ..core.types import Method, Network, Problem, Tree
from ..errors import RefusedError
from . import toys
from .promise import Promises, close, equal, host, require, same
from .runs import (
    Runs,
    equal_nodes,
    halved,
    numbers,
    one_step,
    other_samples,
    relabelled,
    rows,
    with_number,
)


def check_method(method: Method, problem: Any = None, network: Network | None = None) -> None:
    """Check that a method keeps what dejax builds on.

    These are types, purity, numbers, and that it works through verbs alone. Takes about two
    seconds: one program of seven rounds, and one vmapped over two values of every number.

    Args:
      method: as for `rollout`.
      problem, network: what it is run on; by default least squares on 7 nodes with full batches,
        and a chain of them, or a server. On minibatches, and where a method draws, promises that
        randomness hides are left out.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it. RefusedError: the
        network does not fit.
    Example:
      >>> check_method(dejax.methods.dsgd(lr=0.1))
    """
    promises = Promises(method)
    default = problem is None and network is None
    problem = toys.problem() if problem is None else problem
    network = toys.network(method, problem.n) if network is None else network
    _structure(promises, method, problem, network, default)
    runs = Runs(method, problem, network)
    with promises("a node axis that the engine finds", "keep per-node state in leaves [n, ...], the node axis first"):
        axes = runs.axes()
    with promises("runs", "see the error above; `dejax.rollout(method, problem, network, key, 2)` shows it alone"):
        _donation(promises, runs)
        after = runs()
    with promises("finite numbers", "check the update for divisions by zero, or give a smaller lr"):
        for x in jax.tree.leaves(after.state):
            require(np.isfinite(x).all(), "after 7 rounds the state is not finite")
    _purity(promises, runs, after)
    _numbers(promises, runs, after, network if default else None)
    _nodes(promises, runs, axes, after)


def _structure(promises: Promises, method: Method, problem: Problem, network: Network, default: bool) -> None:
    """What shapes alone say."""
    import chex

    with promises("numbers are leaves", "declare it without static(), so that another value does not compile anew"):
        for field in getattr(method, "__dataclass_fields__", {}).values():
            value = getattr(method, field.name)
            static = field.metadata.get("static") and isinstance(value, float)
            require(not static, f"the number {field.name} = {value!r} is static")
    cases = [(problem, network)]
    if default:
        low = toys.problem(dtype="bfloat16")
        cases = [(toys.problem(dtype="float32"), toys.network(method, dtype="float32"))]
        cases += [(low, toys.network(method, dtype="float32"))]
    for made, net in cases:
        with promises(
            "step is a fixed point of types",
            "return every field of the state with the shape and dtype it came with; cast scalars to the leaf's dtype",
        ):
            before, after = one_step(method, made, net)
            chex.assert_trees_all_equal_structs(before, after)
            chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
    if not default or traits(method).needs_events:
        return
    single = toys.problem(n=1)
    try:
        engine.prepare(method, single, toys.network(method, 1), toys.ROUNDS)
        jax.eval_shape(lambda key: method.init(engine.starts(method, single, key), key), jax.random.key(0))
    except ValueError:
        return  # it needs more nodes, and says so
    with promises("a network of one node", "do not squeeze the node axis, and divide by no number of neighbors"):
        before, after = one_step(method, single, toys.network(method, 1))
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)


def _donation(promises: Promises, runs: Runs) -> None:
    """No buffer stands under two fields."""
    params = tree.map(jnp.copy, runs.starts)
    with promises("no buffer under two fields", "let `init` copy: jax.tree.map(jnp.copy, params)"):
        state = runs.method.init(params, runs.key)
        seen: dict[Any, str] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            if not isinstance(leaf, jax.Array) or leaf.size == 0 or len(leaf.devices()) > 1:
                continue
            buffer, name = leaf.unsafe_buffer_pointer(), jax.tree_util.keystr(path)
            require(
                buffer not in seen, f"state{name} and state{seen.get(buffer)} are one buffer, which is donated twice"
            )
            seen[buffer] = name


def _purity(promises: Promises, runs: Runs, after: Tree) -> None:
    """Chunks, traces, and the same numbers with and without jit."""
    with promises(
        "chunks of any length give the same numbers",
        "let step depend on its state and round alone: draw from round.key(name), keep counters in the state",
    ):
        same(runs((3, 4)), after, "3 + 4 rounds differ from 7")
        same(runs((1,) * toys.ROUNDS), after, "7 single rounds differ from 7")
    with promises(
        "one trace", "give dtypes explicitly (jnp.zeros((), jnp.float32)), and let static fields compare by value"
    ):
        copied = jax.tree.map(lambda x: x, runs.method)
        runs((2,), method=copied, key=jax.random.key(1))
        require(runs.traces == 1, f"calls that differ in values alone traced the rounds {runs.traces} times")
    with promises("the same numbers with and without jit", "let step read no counters or global state of Python"):
        method, problem, network = runs.method, runs.problem, runs.network
        carry = engine.start(method, problem, network, runs.key, runs.starts)
        axes = engine.round_axes(method, problem, network, runs.key)
        for t in range(2):
            carry, _ = engine.one_round(
                method, problem, network, axes, runs.key, carry, jnp.int32(t), jnp.float32(toys.ROUNDS)
            )
        close(carry.state, runs((2,)).state, "two rounds without jit differ from two with it")


def _numbers(promises: Promises, runs: Runs, after: Tree, toy: Network | None) -> None:
    """Numbers act, if need be on `toy` with small batches; a sweep is a vmap."""
    found = numbers(runs.method)
    for name, place in found:
        with promises("its numbers act", f"use {name}, or take it out of the fields"):
            other = with_number(runs.method, place, halved)
            acts = not equal(runs(method=other), after)
            if not acts and toy is not None:
                noisy = Runs(runs.method, toys.problem(batch_size=1), toy)
                acts = not equal(noisy(method=other), noisy())
            require(acts, f"after 7 rounds with half of {name} nothing is different")
    if not found:
        return
    leaves, structure = jax.tree.flatten(runs.method)
    swept = [(i, jnp.stack([x := jnp.asarray(leaves[i]), halved(x).astype(x.dtype)])) for _, i in found]
    places, values = [i for i, _ in swept], [x for _, x in swept]

    def one(values: list[Any], carry: Tree) -> Any:
        filled = list(leaves)
        for i, x in zip(places, values, strict=True):
            filled[i] = x
        return runs.rounds(jax.tree.unflatten(structure, filled), carry, 3).state

    with promises(
        "a sweep over numbers is a vmap", "branch on numbers with jnp.where, and call back to the host in no round"
    ):
        together = host(jax.jit(jax.vmap(one, (0, None)))(values, runs.carry()))
        half = runs.method
        for i in places:
            half = with_number(half, i, halved)
        for row, method in enumerate((runs.method, half)):
            own = runs((3,), carry=runs.carry(), method=method).state
            close(jax.tree.map(lambda x, row=row: x[row], together), own, "a row of a sweep differs from its own run")


def _nodes(promises: Promises, runs: Runs, axes: Tree, after: Tree) -> None:
    """Sleepers, and what a node may know of the others."""
    n, said = runs.problem.n, runs.said
    if toys.has(runs.network, toys.Asleep):
        with promises(
            "a sleeping node keeps its state", "keep per-node state in leaves [n, ...] with the node axis first"
        ):
            up = np.ones(n, bool)
            up[[1, n - 1]] = False
            before = host(runs.carry())
            slept = runs((3,), network=toys.wake(runs.network, up))
            first, second = (rows(axes.state, x.state, ~up) for x in (before, slept))
            same(first, second, "rows of nodes that slept have changed")
    if n > 1 and not said.pooled and (said.channel == "none" or toys.has(runs.network, toys.Cut)):
        _messages_alone(promises, runs, axes)
    if said.needs_events or runs.draws(after):
        return  # ids decide when a node acts or what it draws
    equals = tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), runs.starts)
    if not said.own_starts and said.channel != "edges":  # sums that are relayed reach some nodes sooner than others
        with promises("equal nodes with equal data stay equal", "let no node act by its id or its place"):
            state = runs((4,), problem=equal_nodes(runs.problem), params=equals).state
            first = rows(axes.state, state, slice(0, 1))
            every = rows(axes.state, state, slice(None))
            close(every, [np.broadcast_to(a, b.shape) for a, b in zip(first, every, strict=True)], "nodes part")
    if said.own_starts or runs.problem.place is not None:
        return
    with promises("names of nodes do not matter", "let no node act by its id or its place; use verbs to mix rows"):
        order = np.random.default_rng(5).permutation(n)
        try:
            parts = relabelled(runs.problem, runs.network, order)
            _, made, net = engine.prepare(runs.method, *parts, toys.ROUNDS)
        except RefusedError:
            return
        state = runs((4,), problem=made, network=net, params=tree.map(lambda x: x[order], runs.starts)).state
        want, has_axis = runs((4,)).state, jax.tree.leaves(axes.state)
        both = lambda x: x[np.ix_(order, order)] if x.shape[1:2] == (n,) else x[order]  # what nodes know of nodes
        want = [both(x) if has else x for has, x in zip(has_axis, jax.tree.leaves(want), strict=True)]
        close(jax.tree.leaves(state), want, "under other names the nodes end at other models")


def _messages_alone(promises: Promises, runs: Runs, axes: Tree) -> None:
    """A node of which nothing arrives changes neither others nor a server."""
    with promises(
        "a node knows others by its messages alone",
        "reach other rows through round.gossip, exchange or average; never index, roll or sum over the node axis",
    ):
        n = runs.problem.n
        for node in (0, n - 1):
            starts = runs.starts if runs.said.served else tree.map(lambda x, i=node: x.at[i].add(1), runs.starts)
            network, changed = toys.cut(runs.network, node, n), other_samples(runs.problem, node)
            before = runs((3,), network=network).state
            after = runs((3,), problem=changed, network=network, params=starts).state
            first, second = (_without(axes.state, state, node) for state in (before, after))
            same(
                first,
                second,
                f"though nothing of node {node} arrives, another start or other samples of it change the rest",
            )


def _without(axes: Tree, state: Tree, node: int) -> list[Any]:
    """All leaves, those with the node axis without the rows of one node."""
    pairs = zip(jax.tree.leaves(axes), jax.tree.leaves(state), strict=True)
    return [np.delete(x, node, 0) if has else x for has, x in pairs]


__all__ = ["check_method"]
