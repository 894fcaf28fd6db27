"""Messages per edge: identities of relaying, true loss of copies, what is counted, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.mixing import EdgeList, EdgeRows

top_k = dj.compression.top_k


def still(n, dim):
    """n nodes without gradients: what moves is the network's doing."""
    problem, _ = zoo.squares(n, dim)
    return problem, np.random.default_rng(1).standard_normal((n, dim))


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["chain", "star", "barabasi_albert", "complete", "ring"])
def test_edge_rows_agree_with_the_kernel_they_stand_on(graph):
    top = (
        dj.topology.barabasi_albert(9, m=2, seed=0) if graph == "barabasi_albert" else getattr(dj.topology, graph)(9)
    ).astype("float64")
    links = top.at(0)
    edges = EdgeList.of(links)
    np.testing.assert_array_equal(np.stack([edges.receiver, edges.sender], 1), top.edges())
    np.testing.assert_array_equal(edges.receiver[edges.reverse], edges.sender)
    np.testing.assert_array_equal(edges.sender[edges.reverse], edges.receiver)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((9, 4)))
    rows, own = x[edges.sender], x
    by_edge = EdgeRows(links, edges)
    args = links.weights(), links.self_weights(), own
    np.testing.assert_allclose(by_edge.weighted(rows, *args), links.weighted(x, *args), atol=1e-14)
    real = np.asarray(links.weights()) != 0
    close = lambda a, b: np.testing.assert_allclose(np.where(real, a, 0), np.where(real, b, 0), atol=1e-13)
    close(by_edge.sq_distances(rows, own), links.sq_distances(x, own))
    for s in range(links.num_ports):
        np.testing.assert_array_equal(by_edge.take(rows, s)[real[:, s]], links.take(x, s)[real[:, s]])


@pytest.mark.slow
def test_relayed_constants_give_the_exact_mean_from_round_diameter_on():
    n = 15
    problem, x0 = still(n, 3)
    graph = dj.topology.binary_tree(n).astype("float64")

    @dj.struct
    class Constant(dj.methods.relaysgd):
        def step(self, state, round):
            return super().step(state._replace(params=state.start), round)

    far = []
    for rounds in (5, 6):  # the diameter is 6
        state, _ = zoo.run(Constant(lr=0.0), problem, graph, rounds, x0)
        far.append(np.abs(zoo.models(None, state) - x0.mean(0)).max())
    assert far[1] < 1e-14 < 1e-3 < far[0]


@pytest.mark.slow
def test_relaysgd_reaches_the_optimum_where_dsgd_stalls():
    problem, made = zoo.squares(15, 3, zeta2=4.0)
    graph = dj.topology.binary_tree(15).astype("float64")
    x0 = np.zeros((15, 3))
    error = {}
    for name, lr in (("relaysgd", 0.1), ("dsgd", 0.1)):
        state, _ = zoo.run(getattr(dj.methods, name)(lr=lr), problem, graph, 3000, x0)
        error[name] = np.abs(zoo.models(None, state) - np.asarray(made.optimum["x"])).max()
    assert error["relaysgd"] < 1e-13, error
    assert error["dsgd"] > 1e-2, error


@pytest.mark.slow
def test_relaysgd_forgets_unequal_starts():
    """A node's own start stands for those not heard of: after the diameter no weight is left on it, and the end is the same."""
    problem, made = zoo.squares(15, 3, zeta2=4.0)
    graph = dj.topology.binary_tree(15).astype("float64")
    state, _ = zoo.run(dj.methods.relaysgd(lr=0.1), problem, graph, 3000, zoo.starts(15, 3))
    assert np.abs(zoo.models(None, state) - np.asarray(made.optimum["x"])).max() < 1e-13

    @dj.struct
    class Elsewhere(dj.methods.relaysgd):
        since: int = 0

        def step(self, state, round):
            moved = jax.tree.map(lambda x: x + 1.0 * (round.index >= self.since), state.start)
            new = super().step(state._replace(start=moved), round)
            return new._replace(start=state.start)

    plain, early, late = (
        zoo.models(None, zoo.run(method, problem, graph, 12, zoo.starts(15, 3))[0])
        for method in (dj.methods.relaysgd(lr=0.1), Elsewhere(lr=0.1, since=4), Elsewhere(lr=0.1, since=6))
    )
    np.testing.assert_array_equal(late, plain)
    assert np.abs(early - plain).max() > 1e-3


def consensus(x):
    return np.mean(np.sum((x - x.mean(0)) ** 2, 1))


def gossip_with_copies(p, per_edge, rounds):
    n, dim = 12, 40
    problem, x0 = still(n, dim)
    codec = dj.compression.copies(top_k(k=4), gamma=0.2, per_edge=per_edge)
    faults = () if p == 0 else (dj.faults.link_loss(p=p),)
    network = dj.Network(dj.topology.ring(n).astype("float64"), codec=codec, faults=faults)
    state, meters = zoo.run(dj.methods.dsgd(lr=0.0), problem, network, rounds, x0)
    x = np.asarray(state.params["x"])
    return consensus(x), np.linalg.norm(x.mean(0) - x0.mean(0)), meters


@pytest.mark.slow
def test_copies_per_edge_lose_what_shared_copies_only_delay():
    """Ring of 12, top-4 of 40 (law 2): shared copies reach zero at any loss, copies per edge do not even at 1 %."""
    shared, drift, counted = gossip_with_copies(0.1, False, 3000)
    assert shared < 1e-25 and drift < 1e-12
    same, drift, per_edge = gossip_with_copies(0.0, True, 3000)
    assert same < 1e-25 and drift < 1e-12
    assert per_edge.totals() == counted.totals()
    parted, drift, lossy = gossip_with_copies(0.01, True, 3000)
    assert parted > 1e-2 and drift > 0.1
    assert lossy.totals() == counted.totals()  # lost messages are paid for


@pytest.mark.slow
def test_rows_are_metered_and_masks_follow_sleep():
    problem, x0 = still(5, 4)
    chain = dj.topology.chain(5).astype("float64")
    _, meters = zoo.run(dj.methods.relaysgd(lr=0.1), problem, chain, 3, x0)
    assert meters.totals() == {
        "wire/exchange": 3 * 8 * 4 * 64,
        "wire/exchange/header": 3 * 8 * 32,
        "gradients": 15,
        "awake": 15,
    }
    network = dj.Network(chain, faults=dj.faults.churn(p=0.6))
    state, meters = zoo.run(dj.methods.relaysgd(lr=0.1), problem, network, 1, x0)
    slept = (np.asarray(state.params["x"]) == x0).all(1)
    assert 0 < slept.sum() < 5
    degree = np.array([1, 2, 2, 2, 1])
    assert meters.totals()["wire/exchange"] == degree[~slept].sum() * 4 * 64


def test_what_cannot_be_relayed_is_refused():
    problem, _ = still(6, 4)
    run = lambda network: dj.rollout(dj.methods.relaysgd(lr=0.1), problem, network, jax.random.key(0), 1)
    tree = dj.topology.binary_tree(6)
    for network, why in (
        (dj.Network(dj.topology.ring(6)), "use a tree, which has 5"),
        (dj.Network(dj.topology.one_peer_exponential(6)), "changes its neighbors"),
        (dj.Network(dj.topology.directed_ring(6)), "is directed"),
        (dj.Network(tree, rule=dj.aggregation.coordinate_median()), "another message on every edge"),
        (dj.Network(tree, attack=dj.attacks.alie(adversaries=1, z=1.0)), "another message on every edge"),
    ):
        with pytest.raises(dj.RefusedError, match=why):
            run(network)
    codec = dj.compression.copies(top_k(k=2), gamma=0.2, per_edge=True)
    with pytest.raises(dj.RefusedError, match="'isolated' has no edges"):
        dj.rollout(
            dj.methods.dsgd(lr=0.1), problem, dj.Network(dj.topology.isolated(6), codec=codec), jax.random.key(0), 1
        )
    with pytest.raises(dj.RefusedError, match="is directed"):
        dj.rollout(
            dj.methods.dsgd(lr=0.1),
            problem,
            dj.Network(dj.topology.directed_ring(6), codec=codec),
            jax.random.key(0),
            1,
        )


@pytest.mark.slow
def test_copies_per_edge_leave_a_node_without_neighbors_alone():
    graph = dj.topology.from_edges([(0, 1), (1, 2)], n=4, allow_disconnected=True)
    codec = dj.compression.copies(dj.compression.top_k(k=1), gamma=0.3, per_edge=True)
    problem, x0 = still(4, 3)
    method = dj.methods.dsgd(lr=0.0)
    x = zoo.models(method, zoo.run(method, problem, dj.Network(graph.astype("float64"), codec=codec), 4, x0=x0)[0])
    assert np.isfinite(x).all() and not np.array_equal(x[0], x0[0])
    np.testing.assert_array_equal(x[3], x0[3])
