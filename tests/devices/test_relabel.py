"""Which node stands where on a mesh: the partition that cuts few edges, parts of equal size, and nodes that stay."""

import sys
import tracemalloc
import types

import jax
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.devices import placement
from dejax.mixing import crossing
from dejax.mixing.sharded import routes

N, D = 16, 8
MOVED = dj.topology.geometric(N, seed=0).astype("float64")  # nodes change places
PROBLEM, _ = zoo.squares(n=N)


def cliques(devices=4, each=4, seed=0):
    """Cliques joined to a ring by one edge each, their nodes shuffled: (senders, receivers, the clique of each node)."""
    n = devices * each
    clique = np.arange(n) // each
    edges = [(i, j) for i in range(n) for j in range(n) if i != j and clique[i] == clique[j]]
    for c in range(devices):
        a, b = c * each, (c * each + each + 1) % n
        edges += [(a, b), (b, a)]
    name = np.random.default_rng(seed).permutation(n)
    senders, receivers = name[np.array(edges).T]
    planted = np.empty(n, int)
    planted[name] = clique
    return senders, receivers, planted


def rows(senders, receivers, order, devices=4):
    at = np.argsort(order)
    return crossing(at[senders], at[receivers], len(order), devices)


def partitioned(monkeypatch, part):
    """A partitioner that gives this part to each node."""
    module = types.ModuleType("pymetis")
    module.CSRAdjacency = lambda starts, adjacent: (starts, adjacent)
    module.part_graph = lambda parts, adjacency: (0, list(part))
    monkeypatch.setitem(sys.modules, "pymetis", module)


@pytest.mark.parametrize("moved", [0, 1, 3], ids=lambda moved: f"{moved} nodes astray")
def test_a_partition_is_evened_out_and_taken_where_it_cuts_least(monkeypatch, moved):
    senders, receivers, planted = cliques()
    part = planted.copy()
    part[np.flatnonzero(planted == 0)[:moved]] = 1
    partitioned(monkeypatch, part)
    order = routes.relabelling(senders, receivers, 16, 4)
    assert sorted(order) == list(range(16))
    assert (np.ptp(planted[order].reshape(4, 4), axis=1) == 0).all()
    assert rows(senders, receivers, order) == 8 < rows(senders, receivers, np.arange(16))


def test_a_partition_that_cuts_more_is_not_taken(monkeypatch):
    ring = dj.topology.ring(N).host()
    partitioned(monkeypatch, np.arange(N) % 4)
    assert routes.relabelling(ring.senders, ring.receivers, N, 4) is None


def test_without_a_partitioner_there_is_another_order(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)  # an import fails
    senders, receivers, _ = cliques()
    assert routes._metis(senders, receivers, 16, 4) is None
    order = routes.relabelling(senders, receivers, 16, 4)
    assert sorted(order) == list(range(16))
    assert rows(senders, receivers, order) < rows(senders, receivers, np.arange(16))


def test_the_partitioner_finds_the_cliques():
    pytest.importorskip("pymetis")
    senders, receivers, planted = cliques()
    order = routes._metis(senders, receivers, 16, 4)
    assert (np.ptp(planted[order].reshape(4, 4), axis=1) == 0).all()
    assert rows(senders, receivers, routes.relabelling(senders, receivers, 16, 4)) == 8


def test_parts_are_evened_out_by_the_moves_that_cut_least():
    graph, rng = dj.topology.barabasi_albert(60, m=2, seed=0).host(), np.random.default_rng(0)
    part, size = rng.choice(4, 60, p=[0.5, 0.3, 0.15, 0.05]), 15
    got = routes.balanced(routes._graph(graph.senders, graph.receivers, 60), part, 4)

    def cut(part):
        return np.count_nonzero(part[graph.senders] != part[graph.receivers])

    def moved(node, new):
        return np.where(np.arange(60) == node, new, part)

    while (np.bincount(part, minlength=4) > size).any():
        count = np.bincount(part, minlength=4)
        moves = [(i, new) for i in range(60) if count[part[i]] > size for new in range(4) if count[new] < size]
        part = moved(*min(moves, key=lambda move: cut(moved(*move))))
    np.testing.assert_array_equal(got, part)


@pytest.mark.parametrize(("phases", "lists"), [(1, 1), (2, 2), (8, 1)])
def test_every_edge_finds_its_sender_where_the_rounds_put_it(phases, lists):
    edges = [dj.topology.random_regular(64, degree=4, seed=seed).host() for seed in range(phases)]
    needs = [routes.needed(e.senders, e.receivers, 64, D) for e in edges]
    rounds = routes.rounds_of(needs)
    assert len(rounds) == lists  # eight phases of about 13 rounds each share theirs
    for e, need, own in zip(edges, needs, rounds * (phases // lists), strict=True):
        send, where = routes.schedule(e.senders, e.receivers, 64, need, own)
        block = 64 // D
        ids = np.arange(64).reshape(D, block)
        held, start = [list(rows) for rows in ids], 0
        for pairs, width in own:
            got = [np.full(width, -1)] * D
            for source, target in pairs:
                got[target] = ids[source][send[source, start : start + width]]
            for device, rows in enumerate(got):
                held[device] += list(rows)
            start += width
        np.testing.assert_array_equal(np.array(held)[e.receivers // block, where], e.senders)


def test_the_tables_of_an_exchange_grow_with_what_crosses():
    e, n = dj.topology.ring(1 << 16).host(), 1 << 16
    tracemalloc.start()
    need = routes.needed(e.senders, e.receivers, n, 64)
    (rounds,) = routes.rounds_of([need])
    routes.schedule(e.senders, e.receivers, n, need, rounds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n * 64 * 4  # a number per node and device


@pytest.mark.slow
def test_nodes_stay_where_they_are_told_to():
    network = dj.Network(MOVED)
    free, stays = ({"nodes": D}, {"nodes": D, "relabel": False})
    ids = lambda mesh: (
        placement.shard(dj.methods.dsgd(lr=0.1), PROBLEM, network, placement.as_layout(mesh))[0].place.ids
    )
    assert ids(free) is not None and ids(stays) is None
    problem, network = placement.shard(dj.methods.dsgd(lr=0.1), PROBLEM, network, placement.as_layout(stays))
    np.testing.assert_array_equal(problem.data.index, PROBLEM.data.index)
    links = network.topology.at(0)
    matrix = np.diag(np.asarray(links.self_weights()))
    np.add.at(matrix, (np.arange(N)[:, None], np.asarray(links.senders())), np.asarray(links.weights()))
    np.testing.assert_allclose(matrix, MOVED.matrix(), atol=1e-15)


@pytest.mark.slow
def test_nodes_that_stay_give_the_numbers_of_one_device():
    run = lambda mesh: dj.rollout(
        dj.methods.dsgd(lr=0.2),
        PROBLEM,
        dj.Network(MOVED, faults=dj.faults.link_loss(p=0.2)),
        jax.random.key(0),
        4,
        mesh=mesh,
    )[0]
    one, many = run(None), run({"nodes": D, "relabel": False})
    np.testing.assert_allclose(one.params["x"], many.params["x"], rtol=0, atol=1e-12)
