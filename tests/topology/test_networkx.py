"""Graphs of networkx: their weights and self loops are used by name, or a warning says that they are not."""

import networkx as nx
import numpy as np
import pytest

from dejax import topology as tp


def random_graph(kind, loops=True):
    rng = np.random.default_rng(0)
    graph = kind()
    graph.add_nodes_from("abcdef")
    graph.add_edges_from([("abcdef"[i], "abcdef"[(i + k) % 6]) for i in range(6) for k in ((1, 2) if i else (1, 2, 3))])
    if loops:
        graph.add_edges_from([("b", "b"), ("e", "e")])
    for *_, held in graph.edges(data=True):
        held["weight"] = rng.uniform(0.1, 4)
    return graph


def given(graph):
    """a[v, u]: what v hears of u, as networkx counts it."""
    return nx.to_numpy_array(graph).T


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_rows_and_columns_over_their_sums(kind):
    graph = random_graph(kind)
    if graph.is_multigraph():
        graph.add_edge("a", "b", weight=2.5)  # parallel edges add up
    a = given(graph)
    for normalize, axis in (("row", 1), ("column", 0)):
        top = tp.from_networkx(graph, weight="weight", normalize=normalize)
        np.testing.assert_allclose(top.matrix(), a / a.sum(axis, keepdims=True), rtol=1e-6)
        assert top.kind == normalize


def test_doubly_is_symmetric_and_keeps_proportions():
    graph = random_graph(nx.Graph, loops=False)
    a, top = given(graph), tp.from_networkx(graph, weight="weight", normalize="doubly")
    w, edges = top.matrix(), a > 0
    assert top.kind == "doubly" and tp.rho(top) < 1
    np.testing.assert_allclose(w[edges] / a[edges], 1 / (a.sum(1).max() + a.max()), rtol=1e-6)
    ones = nx.cycle_graph(6)
    nx.set_edge_attributes(ones, 5, "weight")
    np.testing.assert_allclose(
        tp.from_networkx(ones, weight="weight", normalize="doubly").matrix(),
        tp.ring(6, weights=tp.max_degree()).matrix(), atol=1e-7,
    )  # fmt: skip


def test_weights_that_sum_to_one_are_w():
    w = tp.grid(9).matrix()
    graph = nx.from_numpy_array(np.asarray(w, np.float64).T, create_using=nx.DiGraph)
    np.testing.assert_allclose(tp.from_networkx(graph, weight="weight").matrix(), w, atol=1e-7)


def test_a_node_that_hears_nobody_keeps_its_own():
    graph = nx.DiGraph([("a", "b", {"weight": 2.0})])
    w = tp.from_networkx(graph, weight="weight", normalize="row", allow_disconnected=True).matrix()
    assert w.tolist() == [[1, 0], [1, 0]]


def test_what_is_not_used_is_named():
    graph = random_graph(nx.Graph)
    with pytest.warns(UserWarning, match=r"does not use 2 self loops and the edge attribute 'weight'"):
        top = tp.from_networkx(graph)
    np.testing.assert_array_equal(top.matrix() > 0, (given(graph) > 0) | np.eye(6, dtype=bool))
    with pytest.warns(UserWarning, match=r"does not use 2 self loops of the graph"):
        tp.from_networkx(graph, weights=tp.metropolis())
    with pytest.warns(UserWarning, match=r"does not use 2 self loops: normalize='doubly'"):
        tp.from_networkx(graph, weight="weight", normalize="doubly")
    nx.set_edge_attributes(graph, "red", "color")
    graph.remove_edges_from(nx.selfloop_edges(graph))
    tp.from_networkx(graph, weights=tp.metropolis())  # a rule is meant: nothing to say, warnings are errors


def one(**held):
    return nx.Graph([("a", "b", held)])


CASES = {
    "matrix": (lambda: tp.from_networkx(np.eye(3)), r"graph is a ndarray of shape \(3, 3\); .* a matrix goes to from_matrix"),
    "text": (lambda: tp.from_networkx("karate"), r"graph is a str; give a networkx graph"),
    "missing": (lambda: tp.from_networkx(one(), weight="weight", normalize="row"), r"\('a', 'b'\) without 'weight'"),
    "negative": (lambda: tp.from_networkx(one(w=-1), weight="w", normalize="row"), r"with w = -1; give .* weight >= 0"),
    "nan": (lambda: tp.from_networkx(one(w=np.nan), weight="w", normalize="row"), r"with w = nan"),
    "sums": (lambda: tp.from_networkx(one(w=3), weight="w"), r"sum to 3 to 3; give \"row\", \"column\" or \"doubly\""),
    "word": (lambda: tp.from_networkx(one(w=3), weight="w", normalize="rows"), r"normalize is 'rows'; give 'row', 'column'"),
    "both": (lambda: tp.from_networkx(one(w=3), weight="w", weights=tp.metropolis()), r"give one of them"),
    "alone": (lambda: tp.from_networkx(one(), normalize="row"), r"no weight to normalize; give weight="),
    "unbalanced": (
        lambda: tp.from_networkx(random_graph(nx.DiGraph, False), weight="weight", normalize="doubly"),
        r"gets weights of .* and gives .*; say normalize=\"row\" or \"column\"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_slips_are_refused_in_words(case):
    make, words = CASES[case]
    with pytest.raises(ValueError, match=words):
        make()
