"""Sums of whole numbers: exact under whole weights, and refused in words under others."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import topology as tp
from dejax.core.method import Traits
from dejax.mixing import EdgeList, EdgeRows, Star

BIG = 2**22  # float32 cannot count on from four times that
CASES = {
    "circulant": lambda: tp.ring(7),
    "sequence": lambda: tp.one_peer_exponential(6),
    "lists": lambda: tp.random_regular(12, degree=3),
    "dense": lambda: tp.erdos_renyi(9, p=0.8, seed=0),
    "complete": lambda: tp.complete(5),
    "hubs": lambda: tp.star(20),
    "dense row": lambda: tp.star(140),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in ("hubs", "dense row") else ()) for n in CASES]
)
def test_sums_of_whole_numbers_are_exact(name):
    links = jax.tree.map(jnp.asarray, CASES[name]().astype("float32").at(0))
    n, rng = links.n, np.random.default_rng(0)
    x = {"count": BIG + rng.integers(0, 9, (n, 2), np.int32), "vote": rng.random(n) < 0.5, "x": rng.standard_normal(n)}
    ports, own = np.asarray(links.weights()) != 0, rng.integers(0, 4, n).astype(np.int32)
    got = jax.jit(links.weighted)(jax.tree.map(jnp.asarray, x), jnp.asarray(ports), jnp.asarray(own))
    senders = np.asarray(links.senders())
    for leaf in x:
        wide = x[leaf].astype(np.float64)
        want = np.stack([own[i] * wide[i] + wide[senders[i][ports[i]]].sum(0) for i in range(n)])
        whole = leaf != "x"
        assert got[leaf].dtype == (jnp.int32 if whole else jnp.float64)
        (np.testing.assert_array_equal if whole else np.testing.assert_allclose)(got[leaf], want)
    with pytest.raises(TypeError, match=r"dtype int32, which cannot hold a mean; sum whole numbers by whole weights"):
        links.weighted(x["count"], links.weights(), jnp.asarray(own))
    with pytest.raises(TypeError, match="or send them as floats"):
        links.mix(x["count"])


def test_a_server_means_no_whole_numbers():
    """It had cut off their mean."""
    star = Star(jnp.full((1, 4), 0.25, jnp.float32))
    with pytest.raises(TypeError, match="send them as floats"):
        star.mix(jnp.arange(4, dtype=jnp.int32))
    x, none = BIG + jnp.arange(4, dtype=jnp.int32), jnp.zeros((1,), jnp.int32)
    np.testing.assert_array_equal(star.weighted(x, jnp.ones((1, 4), bool), none), [4 * BIG + 6])


def test_rows_of_edges_sum_to_whole_numbers():
    links = tp.star(6).at(0)
    edges = EdgeList.of(links)
    receiver, rows = np.asarray(edges.receiver), BIG + np.arange(edges.m, dtype=np.int32)
    want = [rows[receiver == i].sum() for i in range(6)]
    np.testing.assert_array_equal(edges.sum(jnp.asarray(rows)), want)
    votes = edges.sum(jnp.asarray(rows % 3 == 0))
    assert votes.dtype == jnp.int32
    np.testing.assert_array_equal(votes, [(rows[receiver == i] % 3 == 0).sum() for i in range(6)])
    ones = jnp.ones((6,), jnp.int32)
    all_of = EdgeRows(links, edges).weighted(jnp.asarray(rows), links.weights() != 0, ones, jnp.arange(6))
    np.testing.assert_array_equal(all_of, np.arange(6) + want)


def test_ports_hold_the_rows_of_their_edges():
    links = tp.barabasi_albert(9, m=2, seed=0).at(0)
    edges = EdgeList.of(links)
    rows = jnp.arange(2 * edges.m).reshape(edges.m, 2)
    ports = edges.on_ports(rows, links.num_ports, -1)
    np.testing.assert_array_equal(edges.by_port(ports), rows)
    assert int((ports >= 0).sum()) == 2 * edges.m


@pytest.mark.parametrize("rounds", [3])
def test_a_method_counts_walks(rounds):
    """How many walks of length t end in each node: whole numbers that leave float32 behind."""

    @dj.struct
    class State:
        params: Any
        walks: Any

    class Walks:
        traits = Traits(averages=False, learns=False)

        def init(self, params, key):
            return State(params, jnp.full((zoo.N,), 2**26 + 1, jnp.int32))

        def step(self, state, round):
            got = round.exchange(state.walks)
            return State(state.params, got.weighted(got.mask, jnp.zeros((zoo.N,), jnp.int32)))

    graph = tp.star(zoo.N)
    state, meters = zoo.run(dj.struct(Walks)(), zoo.squares()[0], dj.Network(graph), rounds, zoo.starts())
    adjacency = (graph.matrix() != 0) & ~np.eye(zoo.N, dtype=bool)
    want = np.full(zoo.N, 2**26 + 1)
    for _ in range(rounds):
        want = adjacency @ want
    assert state.walks.dtype == jnp.int32 and (want < 2**31).all()
    np.testing.assert_array_equal(state.walks, want)
    assert meters.totals()["wire/exchange"] == rounds * int(adjacency.sum()) * 32
