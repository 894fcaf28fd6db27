"""Data on edges, on the ports of the receivers; shortest paths over them against Dijkstra."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

import dejax as dj
from dejax import topology as tp
from dejax.core.method import Traits

N = 10
PROBLEM, _ = zoo.squares(n=N)
GRAPHS = {
    "ring": lambda: tp.ring(N),
    "complete": lambda: tp.complete(N),
    "hubs": lambda: tp.barabasi_albert(N, m=2, seed=0),
    "lists": lambda: tp.random_regular(N, degree=3),
    "directed": lambda: tp.random_digraph(N, degree=2, seed=0),
}


@dj.struct
class State:
    params: Any
    seen: Any


def run(step, seen, network, rounds=1, **how):
    """What `step(seen, round)` makes of `seen` in some rounds."""

    class Probe:
        traits = Traits(weights=("doubly", "row", "column"), **how)

        def init(self, params, key):
            return State(params, seen)

        def step(self, state, round):
            return State(state.params, step(state.seen, round))

    return zoo.run(dj.struct(Probe)(), PROBLEM, network, rounds, zoo.starts(n=N))[0].seen


def ports(values):
    """A step that reads `values` on ports, as a matrix by receiver and sender."""

    def step(seen, round):
        got = round.exchange(jnp.zeros((N,)))
        data, real = got.edge(values), got.links.weights() != 0
        at = jnp.arange(N)[:, None], jnp.where(real, got.links.senders(), N)
        return jnp.zeros_like(seen).at[at].set(data, mode="drop")

    return step


@pytest.mark.parametrize("name", GRAPHS)
def test_every_port_has_the_row_of_its_edge(name):
    graph = GRAPHS[name]()
    edges = graph.edges()
    values = 1 + np.arange(2 * len(edges)).reshape(-1, 2)
    network = dj.Network(graph, faults=() if name == "directed" else (dj.faults.link_loss(p=0.5),))
    got = run(ports(jnp.asarray(values)), jnp.zeros((N, N, 2), int), network)
    want = np.zeros((N, N, 2), int)
    for (receiver, sender), value in zip(edges, values, strict=True):
        want[receiver, sender] = value
    np.testing.assert_array_equal(got, want)


def test_another_number_of_rows_is_seen_in_the_result():
    graph = tp.ring(N)
    for rows in (2 * N - 1, 2 * N + 1):
        assert np.isnan(run(ports(jnp.ones(rows)), jnp.zeros((N, N)), dj.Network(graph))).sum() == 2 * N


def test_nodes_find_the_shortest_paths():
    graph = tp.barabasi_albert(N, m=2, seed=1)
    edges = graph.edges()
    length = 0.5 + ((edges.sum(1) * 7) % 5)  # the same both ways
    start = jnp.where(jnp.arange(N) == 0, 0.0, jnp.inf)

    def step(far, round):
        got = round.exchange(far)
        heard, mask = got.each()
        through = jnp.where(mask, heard + got.edge(jnp.asarray(length)), jnp.inf)
        return jnp.minimum(far, through.min(1))

    got = run(step, start, dj.Network(graph), rounds=N)
    want = dijkstra(coo_array((length, edges.T), shape=(N, N)).tocsr(), indices=0)
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    "graph", [tp.random_matching(N), tp.one_peer_exponential(N), tp.fresh_regular(N, degree=4)], ids=lambda g: g.name
)
def test_graphs_that_change_are_refused(graph):
    with pytest.raises(ValueError, match=r"got\.edge.values is asked for, where other nodes are heard in every phase"):
        run(ports(jnp.ones(2 * N)), jnp.zeros((N, N)), dj.Network(graph))


def test_chosen_neighbors_are_refused():
    def step(seen, round):
        return round.pull(round.ids[:, None]).exchange(seen).edge(jnp.ones(2 * N))

    with pytest.raises(ValueError, match=r"use a fixed graph"):
        run(step, jnp.zeros((N,)), dj.Network(tp.ring(N)), pulls=True)
