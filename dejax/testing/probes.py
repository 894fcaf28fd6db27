"""Methods that do one thing, so that a rule or an attack is seen alone.

And one round of them, compiled once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine, topology
from ..core import tree
from ..core.method import Traits
from ..core.struct import struct
from ..core.types import Network, Round, Tree
from ..data import NodeData
from ..problem import Problem
from . import toys
from .promise import host

NODES, DEGREE, CLASSES = 14, 4, 4  # few edges of many pairs, so that the graph is a list of neighbors


class Models(NamedTuple):
    """One model per node."""

    params: Any


@struct
class Gossip:
    """x <- what the rule makes of own and received values."""

    traits = Traits(weights=("doubly", "row", "column"))

    def init(self, params: Tree, key: jax.Array) -> Models:
        """Start from the given models."""
        del key
        return Models(params)

    def step(self, state: Models, round: Round) -> Models:
        """One gossip."""
        return Models(round.gossip(state.params))


@struct
class Parts(Gossip):
    """The same of every entry among the nodes that hold it, about half of them."""

    traits = Traits(weights=("doubly", "row", "column"), masks=True)

    def step(self, state: Models, round: Round) -> Models:
        """One gossip under a mask that is drawn."""
        draw = lambda x: round.map(lambda key: jax.random.uniform(key, x.shape[1:]) < 0.5, round.node_keys("mask"))
        return Models(round.gossip(state.params, mask=tree.map(draw, state.params)))


@struct
class Listen(Gossip):
    """Keep x, and record what each node has and hears.

    Slots: each node's "data" and "gradient", what it "heard" on each link [n, k, ...] and "from"
    whom [n, k].
    """

    def step(self, state: Models, round: Round) -> Models:
        """Draw, compute, exchange; keep what was seen."""
        received = round.exchange(state.params)
        heard, mask = received.each()
        seen = {
            "data": round.batch(name="look").data,
            "gradient": round.gradient(state.params),
            "heard": heard,
            "from": jnp.where(mask, received.links.senders(), -1),
        }
        for name, value in seen.items():
            round.slot(name, lambda n, value=value: tree.zeros(value))[1](value)
        return state


@struct
class Average:
    """x stays. Slots: the server's mean of "all" nodes, and that of "some", by `weights` [n]."""

    weights: Any

    traits = Traits(channel="server")

    def init(self, params: Tree, key: jax.Array) -> Models:
        """Start from the given models, which are equal at a server."""
        del key
        return Models(params)

    def step(self, state: Models, round: Round) -> Models:
        """Two averages of a value that every node has of its own."""
        value = tree.map(lambda x: x + by_node(round.ids, x), state.params)
        for name, weights in (("all", None), ("some", round.by_id(self.weights))):
            mean = round.average(value, weights, name="mean of " + name)
            round.slot(name, lambda n, mean=mean: tree.zeros(mean), per_node=False)[1](mean)
        return state


@dataclass(frozen=True)
class SoftmaxTask:
    """Softmax regression of 3 features."""

    dtype: str
    classes: int

    def init(self, key: jax.Array) -> Any:
        """Normal draws."""
        first, second = jax.random.split(key)
        return {
            "w": jax.random.normal(first, (3, self.classes), self.dtype),
            "shift": jax.random.normal(second, (self.classes,), self.dtype),
        }

    def loss(self, params: Tree, batch: Tree, key: jax.Array) -> jax.Array:
        """[B]: cross entropy."""
        del key
        scores = jax.nn.log_softmax(batch["x"] @ params["w"] + params["shift"][None])
        return -jnp.take_along_axis(scores, batch["y"][:, None], 1)[:, 0]


class OneRound:
    """One round of a probe, compiled once.

    It is called with other starts, graphs or numbers of its network.
    """

    def __init__(self, probe: Any, network: Any, problem: Any = None):
        self.problem = classification() if problem is None else problem
        self.parts = engine.prepare(probe, self.problem, network, 1)
        self.key = jax.random.key(2)
        self.starts = engine.starts(*self.parts[:2], self.key)

        @jax.jit
        def run(network: Network, params: Tree) -> Any:
            method, problem, _ = self.parts
            carry = engine.start(method, problem, network, self.key, params)
            axes = engine.round_axes(method, problem, network, self.key)
            after, _ = engine.one_round(method, problem, network, axes, self.key, carry, jnp.int32(0), None)
            return after.state.params, after.slots

        self._run = run

    def __call__(self, change: Callable[[Any], Any] | None = None, params: Tree = None) -> Any:
        """(models, slots) after the round, on the host; `change` makes another network of this one."""
        network = self.parts[2] if change is None else change(self.parts[2])
        return host(self._run(network, self.starts if params is None else params))


def by_node(ids: jax.Array, x: jax.Array) -> jax.Array:
    """A value of its own for every node and entry, in the shape of x [n, ...]."""
    entry = jnp.arange(x[0].size, dtype=jnp.int32).reshape(x.shape[1:])
    return jnp.sin((tree.over(ids, x) * 7 + entry[None] * 3).astype(jnp.float32)).astype(x.dtype)


def classification(classes: int = CLASSES) -> Problem:
    """Softmax regression, two samples at each node, independent starts."""
    rng, total = np.random.default_rng(4), 2 * NODES
    arrays = {
        "x": jnp.asarray(rng.standard_normal((total, 3)), toys.width()),
        "y": jnp.asarray(rng.integers(0, classes, total), jnp.int32),
    }
    index = jnp.arange(total, dtype=jnp.int32).reshape(NODES, 2)
    data = NodeData(arrays, index, jnp.full((NODES,), 2, jnp.int32), num_classes=classes, even=True)
    return Problem(SoftmaxTask(toys.width(), classes), data, starts="independent")


def weights() -> np.ndarray:
    """Make W [n, n]: symmetric and doubly stochastic, with 4 neighbors for each node.

    Weights are unequal and nodes in mixed order.
    """
    rng, n = np.random.default_rng(6), NODES
    w = np.zeros((n, n))
    for i in range(n):
        for step in (1, 3):
            w[i, (i + step) % n] = w[(i + step) % n, i] = rng.uniform(0.05, 0.2)
    order = rng.permutation(n)
    w = w[np.ix_(order, order)]
    return w + np.diag(1 - w.sum(1))


def graph(w: np.ndarray) -> Any:
    """The topology of W."""
    return topology.from_matrix(w)


__all__ = [
    "CLASSES",
    "DEGREE",
    "NODES",
    "Average",
    "Gossip",
    "Listen",
    "OneRound",
    "Parts",
    "classification",
    "graph",
    "weights",
]
