"""Nodes that vanish and nodes that join, against loops in NumPy."""

import jax
import networkx as nx
import numpy as np
import problems as zoo
import pytest
from references import LR, PROBLEM, RING, X0, N, W, close, grads

import dejax as dj
from dejax import faults, metrics


def loop(there, rounds, w=W):
    """ATC D-PSGD of the nodes that are there; weights of links to others go back to the receiver."""
    x = X0.copy()
    for t in range(rounds):
        up = there(t)
        half = x - LR * grads(x)
        new = x.copy()
        for i in np.flatnonzero(up):
            own = w[i, i] + sum(w[i, j] for j in range(N) if j != i and not up[j])
            new[i] = own * half[i] + sum(w[i, j] * half[j] for j in range(N) if j != i and up[j])
        x = new
    return x


def without(*nodes):
    return ~np.isin(np.arange(N), nodes)


EVERYBODY = without()
CASES = {
    "vanish": (faults.vanish(at=3, nodes=(1, 4)), lambda t: without(1, 4) if t >= 3 else EVERYBODY),
    "for a while": (faults.vanish(at=2, nodes=(0,), back=5), lambda t: without(0) if 2 <= t < 5 else EVERYBODY),
    "from the start": (faults.vanish(at=0, nodes=(2,)), lambda t: without(2)),
    "join": (faults.joins(at=4, nodes=(3,)), lambda t: without(3) if t < 4 else EVERYBODY),
    "one by one": (faults.joins(at=range(N)), lambda t: np.arange(N) <= t),
    "nobody": (faults.vanish(at=0, share=0), lambda t: EVERYBODY),
}


@pytest.mark.parametrize("name", CASES)
def test_dsgd_against_a_loop(name):
    fault, there = CASES[name]
    state, _ = zoo.run(dj.methods.dsgd(lr=LR), PROBLEM, dj.Network(RING, faults=fault), 7, X0)
    close(zoo.models(dj.methods.dsgd(lr=LR), state), loop(there, 7))
    for t in range(7):
        np.testing.assert_array_equal(fault.absent(t, N), ~there(t))


def test_each_part_keeps_its_own_mean():
    """Without a hub the graph falls into parts: W among the survivors stays symmetric and doubly stochastic."""
    graph = dj.topology.chain(N).astype("float64")
    network = dj.Network(graph, faults=faults.vanish(at=0, nodes=(2,)))
    state, _ = zoo.run(dj.methods.dsgd(lr=0.0), PROBLEM, network, 400, X0)
    x = zoo.models(dj.methods.dsgd(lr=0.0), state)
    for part in (slice(0, 2), slice(3, N)):
        close(x[part], np.broadcast_to(X0[part].mean(0), x[part].shape))
    np.testing.assert_array_equal(x[2], X0[2])


def test_a_share_is_drawn_once_and_exactly():
    fault = faults.vanish(at=1, share=0.3, seed=5)
    gone = fault.absent(1, 40)
    assert gone.sum() == 12 and not fault.absent(0, 40).any()
    np.testing.assert_array_equal(gone, fault.absent(9, 40))
    assert (gone != faults.vanish(at=1, share=0.3, seed=6).absent(1, 40)).any()


def test_metrics_are_of_those_that_are_there():
    """A node counts from after its first round, and no longer after the first round without it."""
    fault = (faults.vanish(at=2, nodes=(1,)), faults.joins(at=3, nodes=(0,)))
    network, x = dj.Network(RING, faults=fault), np.random.default_rng(0).standard_normal(X0.shape)
    for index, there in ((0, [0]), (2, [0]), (3, [0, 1]), (4, [1])):
        left = np.delete(np.arange(N), there)
        view = metrics.View({"x": jax.numpy.asarray(x)}, PROBLEM, network, index=index)
        assert view.honest.tolist() == left.tolist() and len(view.loyal) == N
        want = ((x[left] - x[left].mean(0)) ** 2).sum(1).mean()
        assert metrics.consensus(view)["consensus"] == pytest.approx(want, rel=1e-12)
        np.testing.assert_allclose(view.mean["x"], x[left].mean(0), atol=1e-12)


def test_adversaries_stay_out_where_nodes_vanish():
    attack = dj.attacks.sign_flip(adversaries=(2,))
    network = dj.Network(RING, attack=attack, faults=faults.vanish(at=0, nodes=(0,)))
    view = metrics.View({"x": jax.numpy.asarray(X0)}, PROBLEM, network, index=1)
    assert view.honest.tolist() == [i for i in range(N) if i not in (0, 2)] and len(view.loyal) == N - 1


def test_the_nodes_of_the_config_are_hubs():
    """configs/disrupted.yaml names the nodes of highest degree, and as many of degree 2."""
    from dejax.config import load

    config = load("configs/disrupted.yaml")
    runs = {run.label: run.objects()[2] for run in config.runs}
    graph = runs["hubs vanish"].topology
    graph = graph if hasattr(graph, "links") else graph.build(50)
    degree = dict(nx.Graph(graph.edges().tolist()).degree())
    hubs, leaves = (set(runs[f"{name} vanish"].faults[0].nodes) for name in ("hubs", "leaves"))
    assert len(hubs) == len(leaves)
    assert min(degree[i] for i in hubs) >= max(degree[i] for i in degree if i not in hubs)
    assert {degree[i] for i in leaves} == {2}  # as many as a node that comes brings
    left = nx.Graph(graph.edges().tolist())
    left.remove_nodes_from(leaves)
    assert nx.is_connected(left)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: faults.vanish(at=2), "Vanish.nodes is None beside share None; give one of nodes="),
        (lambda: faults.vanish(at=2, nodes=(1,), share=0.1), "beside share 0.1"),
        (lambda: faults.vanish(at=2, share=1.0), "Vanish.share is 1.0"),
        (lambda: faults.vanish(at=-1, share=0.1), "Vanish.at is -1"),
        (lambda: faults.vanish(at=3, share=0.1, back=3), "Vanish.back is 3, but they vanish at 3"),
        (lambda: faults.vanish(at=3, nodes=(0, 1)).absent(0, 2), "which are all nodes"),
        (lambda: faults.joins(at=(1, 2)), "so that nobody is there in round 0"),
        (lambda: faults.joins(at=(0, 2), share=0.1), "beside one round for each node"),
        (lambda: faults.joins(at=(0, -2)), "give a round >= 0, or one for each node"),
        (lambda: dj.Network(RING, faults=faults.joins(at=(0, 2))).check(dj.methods.dsgd(lr=LR), PROBLEM), "holds 2 rounds"),
        (lambda: dj.Network(RING, faults=faults.vanish(at=0, nodes=(N,))).check(dj.methods.dsgd(lr=LR), PROBLEM), "give ids below n"),
    ],
)  # fmt: skip
def test_bad_input(make, text):
    with pytest.raises(ValueError, match=text):
        make()
