"""Routed 1-NN: nodes find the nearest sample that they, or neighbors they ask, hold.

    for Q queries q_i: ask the `peers` neighbors whose samples have the means nearest to q_i
    neighbor j answers the distance of its nearest sample to q_i, and that sample's label; i takes the nearest of all, its own among them

Nothing is trained: models stay as they are. Queries are public rows, of which each node draws its own. Distances are those of the samples
as they are, squared; of two equally near answers that of the lower node id is taken.
Wire: one sample to each neighbor that is asked, and two numbers back, per query; with `peers`, one mean per neighbor and round besides.
State: the last round's queries and answers, and what became of all so far. A node's own search counts as one forward pass, those for
others are not counted.
Reference: Ryu and Kim, One-nearest-neighbor search is all you need for minimax optimal regression and classification, 2022, of which this is
the search in shards; routing by means is ours.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import or_none, whole
from ...core.method import Traits
from ...core.random import draw_index, uniform
from ...core.struct import static, struct
from ...core.types import NodeTree, PRNGKey, Round, Tree, Values
from ...errors import NULL

PEERS = or_none(whole, "or " + NULL + " for all neighbors")


class OneNnState(NamedTuple):
    """What the next round needs, and the last round's answers."""

    params: NodeTree  # [n, ...], untouched
    queries: jax.Array  # int32 [n, Q]: rows of the public samples
    labels: jax.Array  # [n, Q]: of the nearest samples found
    distances: jax.Array  # [n, Q]: squared, of these to the queries
    asked: jax.Array  # int32 [n]: queries of all rounds
    errors: jax.Array  # [n]: summed over them


@struct
class OneNn:
    """Nearest-neighbor search in the samples of all, which stay where they are.

    The data need public rows, `data.partition(..., public=500)`, and y [N]. A node's samples are its batch of the round: all of them, where the
    problem has no batch_size. `nearest/error` is recorded: the share of wrong labels, or the mean squared error of targets.

    Args:
      queries: Q >= 1, queries of each node and round; static.
      peers: neighbors that a query is sent to, >= 1; None asks all; static.
    Update: each query to the p neighbors whose samples have the nearest means; the nearest of their answers
      and the own
    Choose it for: no training: nearest neighbors in samples that stay where they are
    Raises:
      ValueError: queries or peers < 1; data without public rows, or without one number y per sample.
    Identity: on a complete graph with peers = None the answers are those of 1-NN in the union of all samples, exactly.
    Reference: Ryu and Kim, 2022.
    """

    queries: int = static(default=1, check=whole)
    peers: int | None = static(default=None, check=PEERS)

    traits = Traits(
        channel="edges",
        weights=("doubly", "row", "column"),
        averages=False,
        asks=True,
        raw_losses=True,
        needs_exact="answers are labels of single samples and their distances; leave it out",
    )

    def init(self, params: NodeTree, key: PRNGKey) -> OneNnState:
        """Nothing was asked yet."""
        del key
        n, q = tree.leaves(params)[0].shape[0], self.queries
        zeros = lambda *shape: jnp.zeros((n, *shape))
        return OneNnState(params, jnp.zeros((n, q), jnp.int32), zeros(q), zeros(q), jnp.zeros((n,), jnp.int32), zeros())

    def step(self, state: OneNnState, round: Round) -> OneNnState:
        """Draw queries, send them, take the nearest answers."""
        public, held = round.batch("public", of="public").data, round.batch("memory")
        x, y, real = jax.vmap(_flat)(held.data["x"]), held.data["y"], held.weight
        real = jnp.ones(x.shape[:2], bool) if real is None else real > 0
        if y.ndim != 2:
            raise ValueError(f"one_nn answers one number per sample, but y is {list(y.shape[2:])} of each; give y [N]")
        pool, wanted = _flat(public["x"]), public["y"]
        routes: Any = None if self.peers is None else round.exchange(_mean(x, real), name="means").each()
        edges, (ids, _) = round.edges, round.neighbors
        everyone = jnp.concatenate([round.ids[:, None], ids], 1)

        def search(params: Tree, batch: Tree, key: jax.Array, query: Values, x: Values, real: Values) -> Any:
            return _nearest(query, x, batch["y"], real)

        def one(r: Round, carry: Any) -> Any:
            i, queries, labels, distances, wrong = carry
            row = draw_index(uniform(r.node_keys("query")), jnp.int32(pool.shape[0]))
            query = pool[row]
            to = None if routes is None else edges.by_port(_near(query, routes, self.peers or 0))
            own = r.forward(search, state.params, query, x, real, batch=held)
            got = r.ask(query, _nearest, x, y, real, to=to)
            far, said = got.keep((jnp.full_like(got.rows[0], jnp.inf), got.rows[1]))
            far = jnp.concatenate([own[0][:, None], edges.on_ports(far, ids.shape[1], jnp.inf)], 1)
            said = jnp.concatenate([own[1][:, None], edges.on_ports(said, ids.shape[1])], 1)
            best = far.min(1)
            at = jnp.where(far == best[:, None], everyone, r.n_all).argmin(1)
            label = said[jnp.arange(r.n), at]
            truth = wanted[row]
            error = label != truth if jnp.issubdtype(y.dtype, jnp.integer) else jnp.square(label - truth)
            put = lambda table, value: table.at[:, i].set(value.astype(table.dtype))
            return i + 1, put(queries, row), put(labels, label), put(distances, best), wrong + error.astype(wrong.dtype)

        start = (jnp.int32(0), state.queries, state.labels, state.distances, jnp.zeros((round.n,)))
        _, queries, labels, distances, wrong = round.repeat(self.queries, one, start, name="query")
        round.report("nearest/error", wrong / self.queries)
        asked, errors = round.keep((state.asked + self.queries, state.errors + wrong), (state.asked, state.errors))
        return OneNnState(state.params, queries, labels, distances, asked, errors)


def _flat(x: Tree) -> jax.Array:
    """Samples [rows, ...], also a tree of such, as vectors [rows, f] of at least float32."""
    parts = [leaf.reshape(leaf.shape[0], -1) for leaf in tree.leaves(x)]
    dtype = jnp.result_type(jnp.float32, *[p.dtype for p in parts if jnp.issubdtype(p.dtype, jnp.inexact)])
    return jnp.concatenate([p.astype(dtype) for p in parts], 1)


def _mean(x: jax.Array, real: jax.Array) -> jax.Array:
    """Means [n, f] of the real samples [n, B, f]."""
    weight = real.astype(x.dtype)
    return (x * weight[:, :, None]).sum(1) / jnp.maximum(weight.sum(1), 1)[:, None]


def _near(query: jax.Array, routes: tuple[Any, jax.Array], peers: int) -> jax.Array:
    """Bool [n, k]: the `peers` ports whose means [n, k, f] are nearest to the queries [n, f]."""
    means, there = routes
    far = jnp.where(there, jnp.square(means - query[:, None]).sum(2), jnp.inf)
    return (jnp.argsort(jnp.argsort(far, 1), 1) < peers) & there


def _nearest(query: Values, x: Values, y: Values, real: Values) -> tuple[Any, Any]:
    """The squared distance [] of the nearest of the samples x [B, f], and its label."""
    far = jnp.where(real, jnp.square(x - query[None]).sum(1), jnp.inf)
    at = far.argmin()
    return far[at], y[at]


__all__ = ["OneNn", "OneNnState"]
