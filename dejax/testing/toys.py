"""A tiny problem for the checks, networks that fit a method, and sleepers by a list."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import topology
from ..core.kinds import Fault
from ..core.method import traits
from ..core.struct import struct
from ..core.types import Context, Links, Method, Tree
from ..data import NodeData
from ..events import decoupled, poisson
from ..faults import clock
from ..network import Network
from ..problem import Problem

N, ROUNDS = 7, 7  # few edges of many pairs, so that the chain is a list of neighbors
COUNTS = (3, 1, 2, 3, 2, 3, 1)  # samples at each node


@dataclass(frozen=True)
class LinearTask:
    """Least squares with a nested tree of parameters: y = x w + shift."""

    dtype: str

    def init(self, key: jax.Array) -> Any:
        """Normal draws."""
        first, second = jax.random.split(key)
        return {
            "layer": {"w": jax.random.normal(first, (3, 2), self.dtype)},
            "shift": jax.random.normal(second, (2,), self.dtype),
        }

    def loss(self, params: Tree, batch: Tree, key: jax.Array) -> jax.Array:
        """[B]: half the squared error of each example."""
        del key
        gap = batch["x"] @ params["layer"]["w"] + params["shift"][None] - batch["y"]
        return 0.5 * jnp.square(gap).sum(-1)

    def metrics(self, params: Tree, batch: Tree) -> dict[str, jax.Array]:
        """The loss alone."""
        return {"loss": self.loss(params, batch, jax.random.key(0))}


@struct
class Asleep(Fault):
    """A fault known beforehand: nodes whose id is not in `up` [n] sleep through every round."""

    up: Any

    sleeps = True

    def awake(self, ctx: Context) -> jax.Array:
        """Who takes part."""
        return jnp.asarray(self.up)[ctx.ids]


@struct
class Cut(Fault):
    """Lose all messages to and from nodes whose id is not in `heard` [n]."""

    heard: Any

    def arrives(self, ctx: Context, links: Links) -> jax.Array:
        """Whose messages arrive, both ways."""
        heard = jnp.asarray(self.heard)[ctx.ids]
        return heard[:, None] & heard[links.senders()]

    def uploads(self, ctx: Context) -> jax.Array:
        """Whose uploads arrive."""
        return jnp.asarray(self.heard)[ctx.ids]


def width() -> str:
    """The widest floating dtype that JAX is set to use."""
    return "float64" if jax.config.read("jax_enable_x64") else "float32"


def problem(n: int = N, dtype: str | None = None, batch_size: int | None = None) -> Problem:
    """Least squares on unequal shards; independent starts; full batches by default."""
    return _problem(n, width() if dtype is None else dtype, batch_size)


@cache
def _problem(n: int, dtype: str, batch_size: int | None) -> Problem:
    rng = np.random.default_rng(7)
    counts = np.resize(np.asarray(COUNTS), n)
    total, starts = int(counts.sum()), np.concatenate([[0], np.cumsum(counts)[:-1]])
    index = np.repeat(starts[:, None], counts.max(), 1)
    for i, count in enumerate(counts):
        index[i, :count] = starts[i] + np.arange(count)
    arrays = {
        "x": jnp.asarray(rng.standard_normal((total, 3)), dtype),
        "y": jnp.asarray(rng.standard_normal((total, 2)), dtype),
    }
    data = NodeData(arrays, jnp.asarray(index, jnp.int32), jnp.asarray(counts, jnp.int32))
    return Problem(LinearTask(dtype), data, batch_size=batch_size, starts="independent")


def network(method: Method, n: int = N, dtype: str | None = None) -> Network:
    """A plain network that carries the method: a chain in mixed order, a server, or nothing."""
    said = traits(method)
    times = clock() if said.needs_clock else None
    if not said.gossips:
        return Network(clock=times)
    plan = {False: None, True: poisson(), "apart": decoupled()}[said.needs_events]
    return Network(chain(n, said.weights, dtype), events=plan, clock=times)


def chain(n: int = N, accepts: Any = ("doubly",), dtype: str | None = None) -> Any:
    """Make a chain of nodes, which is a tree.

    Its weights are the first of doubly, row and column stochastic that are accepted.
    """
    return _chain(n, tuple(accepts), width() if dtype is None else dtype)


@cache
def _chain(n: int, accepts: tuple[str, ...], dtype: str) -> Any:
    graph = topology.ring(1) if n == 1 else topology.chain(n)
    if n > 1:
        order = np.random.default_rng(3).permutation(n)
        w = graph.host().matrix()[np.ix_(order, order)]
        if "doubly" not in accepts:
            links = (w != 0).astype(float)
            links[0, 0] = 2.0  # or rows and columns would both sum to one
            w = links / links.sum(1 if "row" in accepts else 0, keepdims=True)
        graph = topology.from_matrix(w)
    return graph.astype(dtype)


def with_faults(net: Network, method: Method, made: Problem) -> Network:
    """Return the network with everybody awake and heard, by masks that can be changed.

    Faults that are refused are left out.
    """
    for fault in (Asleep(np.ones(made.n, bool)), Cut(np.ones(made.n, bool))):
        more = replace(net, faults=(*net.faults, fault))
        try:
            more.check(method, made)
        except ValueError:
            continue
        net = more
    return net


def has(net: Network, kind: type[Fault]) -> bool:
    """Whether a network has a fault of a kind."""
    return any(isinstance(fault, kind) for fault in net.faults)


def wake(net: Network, up: np.ndarray) -> Network:
    """The same network, in which the nodes `up` [n] are awake."""
    faults = tuple(replace(f, up=jnp.asarray(up)) if isinstance(f, Asleep) else f for f in net.faults)
    return replace(net, faults=faults)


def cut(net: Network, node: int, n: int) -> Network:
    """The same network, in which one node sends and receives nothing that arrives."""
    heard = jnp.arange(n) != node
    faults = tuple(replace(f, heard=heard) if isinstance(f, Cut) else f for f in net.faults)
    return replace(net, faults=faults)


__all__ = [
    "ROUNDS",
    "Asleep",
    "Cut",
    "LinearTask",
    "N",
    "chain",
    "cut",
    "has",
    "network",
    "problem",
    "wake",
    "width",
    "with_faults",
]
