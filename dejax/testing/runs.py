"""A method's rounds as one compiled program, run from given starts, data, graph and numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..core.method import traits
from ..core.types import Keys, Method, Network, Problem, Tree
from ..round import Round, Store
from . import toys
from .promise import equal, host


class Runs:
    """One method, compiled once: `traces` counts how often its rounds were traced."""

    def __init__(self, method: Method, problem: Problem, network: Network):
        parts = engine.prepare(method, problem, toys.with_faults(network, method, problem), toys.ROUNDS)
        self.method, self.problem, self.network = parts
        self.said, self.key, self.traces = traits(method), jax.random.key(0), 0
        self.starts = jax.jit(engine.starts)(*parts[:2], self.key)
        self._chunk = jax.jit(self._rounds, donate_argnums=(3,))

    def _rounds(
        self, method: Method, problem: Problem, network: Network, carry: Tree, key: Keys, first: Tree, count: Any
    ) -> Any:
        self.traces += 1
        return engine.run_chunk(method, problem, network, carry, key, first, count, toys.ROUNDS, jnp.float32(7))[0]

    def rounds(self, method: Method, carry: Tree, count: int) -> Any:
        """The carry after `count` rounds from the first, traceable; not counted among the traces."""
        first, horizon = jnp.int32(0), jnp.float32(toys.ROUNDS)
        return engine.run_chunk(
            method, self.problem, self.network, carry, self.key, first, jnp.int32(count), toys.ROUNDS, horizon
        )[0]

    def carry(self, **changes: Any) -> Any:
        """The carry before round 0."""
        method, problem, network, key, params = self._parts(changes)
        return engine.start(method, problem, network, key, params)

    def __call__(
        self, parts: Sequence[int] = (toys.ROUNDS,), carry: Tree = None, first: int = 0, **changes: Any
    ) -> Any:
        """Run chunks of rounds, and return the carry on the host.

        changes: method, problem, network, key, params in place of its own.
        """
        method, problem, network, key, params = self._parts(changes)
        carry = engine.start(method, problem, network, key, params) if carry is None else carry
        for count in parts:
            carry = self._chunk(method, problem, network, carry, key, jnp.int32(first), jnp.int32(count))
            first += count
        return host(carry)

    def _parts(self, changes: dict[str, Any]) -> Sequence[Any]:
        own = {"method": self.method, "problem": self.problem, "network": self.network}
        own |= {"key": self.key, "params": self.starts}
        return tuple((own | changes).values())

    def axes(self) -> Any:
        """Which leaves of the carry have the node axis."""
        return engine.carry_axes(self.method, self.problem, self.network, self.key, self.starts)

    def draws(self, after: Tree) -> bool:
        """Whether the numbers depend on the key: `after` are those of its own."""
        return not equal(after, self(key=jax.random.key(11)))

    def model(self, carry: Tree) -> Any:
        """What is evaluated."""
        return host(engine.model(self.method, engine.state_of(carry)))


def rows(axes: Tree, values: Tree, pick: Any) -> list[np.ndarray]:
    """The rows `pick` of all leaves with the node axis."""
    pairs = zip(jax.tree.leaves(axes), jax.tree.leaves(values), strict=True)
    return [np.asarray(x)[pick] for has, x in pairs if has]


def one_step(method: Method, problem: Problem, network: Network) -> tuple[Any, Any]:
    """Shapes of the state before and after `step` itself, without what the driver casts."""
    method, problem, network = engine.prepare(method, problem, network, toys.ROUNDS)

    def step(key: jax.Array) -> Any:
        if network.events is None and not problem.rules:  # the step that finds out what it remembers is enough
            state, store, plan = method.init(engine.starts(method, problem, key), key), Store({}, record=True), None
        else:
            carry = engine.start(method, problem, network, key)
            state, store = carry.state, Store(carry.slots)
            plan = None if network.events is None else network.events.at(jnp.int32(1), problem.n)
        one = {"plan": plan, "horizon": jnp.float32(7), "method": method}
        round = Round(problem, network, store, key, jnp.int32(1), **one)
        return state, method.step(state, round)

    return jax.eval_shape(step, jax.random.key(0))


def relabelled(problem: Problem, network: Network, order: np.ndarray) -> tuple[Any, Any]:
    """The same nodes under other ids: node i of the result is node order[i]."""
    data = problem.data
    data = replace(data, index=data.index[order], count=data.count[order])
    top = network.topology
    if top is not None:
        from ..topology import from_matrix

        top = replace(from_matrix(top.host().matrix()[np.ix_(order, order)], kind=None), dtype=top.dtype)
    return replace(problem, data=data), replace(network, topology=top, messages=None, edges=None)


def other_samples(problem: Problem, node: int) -> Any:
    """The same problem in which one node holds as many samples of another."""
    data = problem.data
    index, count = np.array(data.index), np.asarray(data.count)
    other = (node + 1) % problem.n
    index[node] = np.resize(index[other][: count[other]], index.shape[1])
    return replace(problem, data=replace(data, index=jnp.asarray(index)))


def equal_nodes(problem: Problem) -> Any:
    """The same problem in which every node holds the samples of node 0."""
    data, n = problem.data, problem.n
    index, count = jnp.asarray(data.index), jnp.asarray(data.count)
    index, count = jnp.broadcast_to(index[:1], index.shape), jnp.broadcast_to(count[:1], (n,))
    return replace(problem, data=replace(data, index=jnp.array(index), count=jnp.array(count)))


def numbers(method: Method) -> list[tuple[str, int]]:
    """Name and place among the leaves of each floating number of a method."""
    found = enumerate(jax.tree_util.tree_leaves_with_path(method))
    floating = lambda x: jnp.issubdtype(jnp.result_type(x), jnp.floating)
    return [(jax.tree_util.keystr(path).strip("."), i) for i, (path, x) in found if floating(x)]


def with_number(method: Method, place: int, change: Any) -> Any:
    """The method with one of its leaves changed."""
    leaves, structure = jax.tree.flatten(method)
    old, new = leaves[place], change(leaves[place])
    weak = getattr(old, "weak_type", True) and not jnp.ndim(old)  # as numbers of Python are: another type compiles anew
    leaves[place] = jnp.asarray(float(new)) if weak else jnp.asarray(new).astype(jnp.result_type(old))
    return jax.tree.unflatten(structure, leaves)


def halved(x: Tree) -> Any:
    """Half a number, or 0.1 in place of 0."""
    return jnp.where(x == 0, 0.1, x * 0.5)


__all__ = ["Runs", "equal_nodes", "halved", "numbers", "one_step", "other_samples", "relabelled", "rows", "with_number"]
