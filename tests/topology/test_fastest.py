"""Fastest mixing weights: closed forms, never worse than the rules, and a lower bound from duality."""

import math

import numpy as np
import pytest

from dejax import topology as tp

CHAIN = math.cos(math.pi / 9)


@pytest.mark.parametrize(
    ("make", "n", "want"),
    [
        (tp.chain, 9, CHAIN),  # 1/2 on each edge (Boyd, Diaconis, Sun and Xiao, 2006)
        (tp.star, 7, 5 / 6),  # 1 / (n - 1) on each edge
        (tp.ring, 8, None),  # edge-transitive: the best constant
        (tp.hypercube, 8, None),
        (tp.complete, 5, 0.0),
        (tp.ring, 2, 0.0),
        (tp.ring, 1, 0.0),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_known_optima(make, n, want):
    top = make(n, weights=tp.fmmc())
    want = tp.rho(make(n, weights=tp.best_constant())) if want is None else want
    assert tp.rho(top) == pytest.approx(want, abs=1e-8)
    assert top.symmetric and top.kind == "doubly" and top.matrix().min() >= 0


def test_the_chain_has_one_half_on_each_edge():
    w = tp.chain(6, weights=tp.fmmc).matrix()
    np.testing.assert_allclose(
        w, np.diag([0.5] * 5, 1) + np.diag([0.5] * 5, -1) + np.diag([0.5, 0, 0, 0, 0, 0.5]), atol=1e-5
    )


@pytest.mark.parametrize(
    "make", [tp.barabasi_albert, tp.grid, tp.binary_tree, tp.erdos_renyi], ids=lambda make: make.__name__
)
def test_never_slower_than_any_rule_on_the_edges_of_the_graph(make):
    top, other = make(12, weights=tp.fmmc()), make(12)
    rules = [tp.rho(make(12, weights=rule)) for rule in (tp.metropolis(), tp.max_degree(), tp.lazy())]
    best = make(12, weights=tp.best_constant())
    if np.diagonal(best.matrix()).min() >= 0:
        rules.append(tp.rho(best))
    assert tp.rho(top) < min(rules) - 1e-3
    w = top.matrix()
    assert w.min() >= 0 and np.abs(w.sum(1) - 1).max() < 1e-12 and np.array_equal(w, w.T)
    assert (other.matrix()[w > 0] > 0).all()


def test_no_other_weights_are_faster():
    """Weak duality: any X >= 0 of trace 1 (a mean over eigenvectors) bounds s from below for all feasible weights.

    With y_i >= 0 at the nodes and tr(X a_l a_l^T) <= y_i + y_j for all edges, s >= tr(X (I - J)) - sum y.
    """
    from scipy.optimize import linprog

    make = lambda rule: tp.barabasi_albert(10, m=2, seed=1, weights=rule)
    top = make(tp.fmmc())
    w, s = top.matrix(), tp.rho(top)
    value, vector = np.linalg.eigh(w - 0.1)
    edges = make(tp.metropolis()).edges()
    edges = edges[edges[:, 0] < edges[:, 1]]
    top_of, low_of = vector[:, value > s - 1e-5], vector[:, value < -s + 1e-5]
    pairs = [(b[:, [i]] + (0 if i == j else 1) * c * b[:, [j]], sign) for b, sign in ((top_of, 1), (low_of, -1))
             for i in range(b.shape[1]) for j in range(b.shape[1]) for c in ((0,) if i == j else (1, -1))]  # fmt: skip
    quad = lambda u, edges: (u[edges[:, 0], 0] - u[edges[:, 1], 0]) ** 2
    pull = np.stack([sign * quad(u, edges) / float((u**2).sum()) for u, sign in pairs])
    gain = np.array([sign for _, sign in pairs], float)
    nodes = np.zeros((len(edges), 10))
    nodes[np.arange(len(edges)), edges[:, 0]] = nodes[np.arange(len(edges)), edges[:, 1]] = 1
    bound = linprog(
        np.concatenate([-gain, np.ones(10)]), A_ub=np.concatenate([pull.T, -nodes], 1), b_ub=np.zeros(len(edges)),
        A_eq=np.concatenate([np.ones(len(pairs)), np.zeros(10)])[None], b_eq=[1], bounds=(0, None),
    )  # fmt: skip
    assert bound.status == 0 and s - 1e-5 <= -bound.fun <= s + 1e-9


def test_a_published_optimum_on_a_grid_with_a_cut():
    """64 nodes and 95 edges; two interior-point solvers print 0.98882616 (cvxr/CVX, examples/graph_laplacian, cut_grid_example)."""
    edges = tp.grid(64).edges()
    cut = [(i, i + 8) for i in (4, 5, 6, 7, 12, 13, 14, 15, 40, 41, 42, 43, 44, 45)] + [(24, 25), (32, 33), (40, 41)]
    left = [(i, j) for i, j in edges.tolist() if i < j and (i, j) not in cut]
    assert len(left) == 95
    assert tp.rho(tp.from_edges(left, weights=tp.fmmc())) == pytest.approx(0.98882616, abs=2e-8)


def test_a_directed_graph_is_refused():
    with pytest.raises(ValueError, match="needs an undirected graph"):
        tp.directed_ring(4, weights=tp.fmmc())
    with pytest.raises(ValueError, match="is given 7750 edges"):
        tp.complete(125, weights=tp.fmmc())
