"""Every graph against closed forms: eigenvalues, edge counts, sums, exact averaging after a period."""

import inspect
import math

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dejax import topology as tp

pytestmark = pytest.mark.worlds

GRAPHS = [
    name for name in tp.__all__
    if inspect.isfunction(getattr(tp, name)) and "n" in inspect.signature(getattr(tp, name)).parameters
]  # fmt: skip


def shifted(by):
    """All hear the one `by` places on."""
    return (jnp.arange(8) + by)[:, None] % 8, jnp.full((8, 1), 0.5), jnp.full(8, 0.5)


GIVEN = {
    "from_edges": {"edges": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]},
    "from_draw": {"draw": lambda key: shifted(jax.random.randint(key, (), 1, 8))},
}


def _edges(top):
    return len(top.edges()) // 2


def cos(x):
    return math.cos(math.pi * x)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_keeps_what_it_declares(name, key):
    make = getattr(tp, name)
    top = make(n=8, **GIVEN.get(name, {}))
    assert top.n == 8 and top.fixed == (top.period == 1) and name in (top.name, make.__name__)
    exact = 1e-12 if top.period else 3e-7  # what is drawn on the device is in float32
    for phase in range(max(1, top.period)):
        w = top.matrix(phase, key if top.period == 0 else None)
        assert w.shape == (8, 8) and w.dtype == np.float64 and (w >= 0).all()
        if top.kind in ("doubly", "row"):
            np.testing.assert_allclose(w.sum(1), 1, rtol=0, atol=exact)
        if top.kind in ("doubly", "column"):
            np.testing.assert_allclose(w.sum(0), 1, rtol=0, atol=exact)
        assert np.array_equal(w, w.T) or np.abs(w - w.T).max() < 1e-15 or not top.symmetric
        edges = top.edges(phase, key if top.period == 0 else None)
        off = w.copy()
        np.fill_diagonal(off, 0)
        assert len(edges) == np.count_nonzero(off) and (off[edges[:, 0], edges[:, 1]] > 0).all()
        assert (off > 0).sum(0).max() <= top.max_degree
        links = top.at(jnp.int32(phase), key)
        assert links.weights().dtype == w.dtype == np.float64
        np.testing.assert_allclose(links.mix(jnp.eye(8)), w, rtol=0, atol=1e-15)
    assert top.connected == (name != "isolated")
    if top.period:
        mean = sum(len(top.edges(p)) for p in range(top.period)) / top.period / 8
        assert top.mean_degree == pytest.approx(mean)


@pytest.mark.parametrize("name", [g for g in GRAPHS if g not in GIVEN])
def test_every_graph_may_wait_for_its_size(name):
    make = getattr(tp, name)
    waiting = make()
    assert waiting == make() and hash(waiting) == hash(make()) and waiting.name == name
    built, direct = waiting.build(8), make(8)
    assert built.period == direct.period
    if built.period:
        np.testing.assert_array_equal(built.matrix(), direct.matrix())
    assert make.__doc__.splitlines()[0].endswith(".") or "\n\n" in make.__doc__
    if "weights" in inspect.signature(make).parameters:
        one = make.__wrapped__(n=8)
        assert one.n == 8
    else:  # their weights are part of what they are
        assert name in (
            "isolated",
            "random_matching",
            "base_graph",
            "equi_static",
            "equi_dynamic",
            "fresh_regular",
            "random_peers",
        ) or (name.startswith("one_peer"))


def test_every_public_name_has_a_docstring_with_an_example():
    for name in tp.__all__:
        doc = getattr(tp, name).__doc__
        assert doc and doc.splitlines()[0].strip(), name


@pytest.mark.parametrize("n", [4, 5, 8, 25])
def test_rings_and_chains(n):
    assert tp.rho(tp.ring(n)) == pytest.approx(1 / 3 + 2 / 3 * cos(2 / n), abs=1e-13)
    assert tp.rho(tp.chain(n)) == pytest.approx(1 / 3 + 2 / 3 * cos(1 / n), abs=1e-13)
    assert tp.rho(tp.directed_ring(n)) == pytest.approx(cos(1 / n), abs=1e-13)
    want = np.sort(1 / 3 + 2 / 3 * np.cos(2 * np.pi * np.arange(n) / n))
    np.testing.assert_allclose(np.sort(tp.spectrum(tp.ring(n))), want, atol=1e-13)
    assert _edges(tp.ring(n)) == n and _edges(tp.chain(n)) == n - 1
    assert tp.rho(tp.complete(n)) == 0


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (4, 4), (5, 5), (4, 8)])
def test_lattices(rows, columns):
    torus, grid = tp.torus(rows=rows, columns=columns), tp.grid(rows=rows, columns=columns, weights=tp.max_degree())
    assert tp.rho(torus) == pytest.approx(1 - (2 - 2 * cos(2 / max(rows, columns))) / 5, abs=1e-13)
    assert tp.rho(grid) == pytest.approx(1 - (2 - 2 * cos(1 / max(rows, columns))) / 5, abs=1e-13)
    assert _edges(tp.torus(7, rows=1)) == _edges(tp.torus(3)) + 4  # a ring that was asked for
    assert _edges(torus) == 2 * rows * columns and _edges(grid) == 2 * rows * columns - rows - columns


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_hypercubes(k):
    top = tp.hypercube(2**k)
    assert tp.rho(top) == pytest.approx(0 if k == 1 else (k - 1) / (k + 1), abs=1e-13)
    assert _edges(top) == 2**k * k // 2
    want = [1 - 2 * bin(i).count("1") / (k + 1) for i in range(2**k)]
    np.testing.assert_allclose(np.sort(tp.spectrum(top)), np.sort(want), atol=1e-13)


@pytest.mark.parametrize("n", [6, 8, 12, 16, 24, 32])
def test_exponential_graphs(n):
    tau = math.ceil(math.log2(n))
    assert tp.rho(tp.exponential(n)) == pytest.approx((tau - 1) / (tau + 1), abs=1e-13)
    assert tp.rho(tp.exponential(n + 1)) < (math.ceil(math.log2(n + 1)) - 1) / (math.ceil(math.log2(n + 1)) + 1)


@pytest.mark.parametrize("n", [4, 7, 12])
def test_stars_and_their_three_weights(n):
    assert tp.rho(tp.star(n)) == pytest.approx(1 - 1 / n, abs=1e-12)
    best = tp.star(n, weights=tp.best_constant())
    assert tp.rho(best) == pytest.approx((n - 1) / (n + 1), abs=1e-12) and best.matrix()[0, 0] < 0
    assert tp.rho(tp.star(n, weights=tp.constant(1 / (n - 1)))) == pytest.approx((n - 2) / (n - 1), abs=1e-12)


def test_binary_tree():
    top = tp.binary_tree(20)
    assert _edges(top) == 19
    assert max(nx.shortest_path_length(nx.Graph(top.edges().tolist()), 0).values()) == 4


@pytest.mark.parametrize("name", ["one_peer_exponential", "one_peer_hypercube"])
@pytest.mark.parametrize("k", [0, 1, 2, 4, 5])
def test_one_peer_graphs_average_exactly_after_a_period(name, k):
    n = 2**k
    top = getattr(tp, name)(n)
    assert top.period == max(1, k) and top.max_degree == min(1, n - 1)
    np.testing.assert_allclose(tp.period_matrix(top), np.full((n, n), 1 / n), rtol=0, atol=1e-15)
    assert tp.rho(top) == 0


def test_one_peer_exponential_contracts_for_other_sizes():
    for n in (3, 6, 12, 25):
        assert 0 < tp.rho(tp.one_peer_exponential(n)) < 1
    w = tp.one_peer_exponential(12).matrix(2)  # offset 4: gcd(4, 12) > 1, one phase alone is no contraction
    assert np.linalg.norm(w - 1 / 12, 2) == pytest.approx(1)


def test_base_graph_averages_exactly_for_any_size():
    for n in range(1, 33):
        for k in range(1, min(n, 5)):
            top = tp.base_graph(n, degree=k)
            np.testing.assert_allclose(tp.period_matrix(top), np.full((n, n), 1 / n), rtol=0, atol=1e-12)
            assert top.symmetric and top.max_degree <= k and top.period <= 2 * math.log(n, k + 1) + 2 + 1e-9
    assert [tp.base_graph(25, degree=k).period for k in (1, 2, 3, 4)] == [9, 6, 5, 2]
    assert [tp.base_graph(n).period for n in (5, 6, 7, 8)] == [5, 4, 5, 3]


def test_random_families():
    top = tp.random_regular(200, degree=4)
    assert (np.bincount(top.edges()[:, 0]) == 4).all()
    assert tp.rho(top) <= (1 + 2 * math.sqrt(3)) / 5 + 0.05
    assert _edges(tp.barabasi_albert(50, m=3)) == 3 * 47
    assert _edges(tp.watts_strogatz(50, k=6, beta=0.3)) == 150
    q, n, k = np.arange(20), 20, 6
    lattice = (1 + 2 * sum(np.cos(2 * np.pi * q * j / n) for j in range(1, k // 2 + 1))) / (k + 1)
    np.testing.assert_allclose(np.sort(tp.spectrum(tp.watts_strogatz(n, k=k, beta=0))), np.sort(lattice), atol=1e-13)
    apart = tp.stochastic_block(40, p_in=0.8, p_out=0, allow_disconnected=True)
    assert not apart.connected and tp.rho(apart) == pytest.approx(1)
    assert (np.bincount(tp.random_digraph(30, degree=3).edges()[:, 1]) == 3).all()
    for name in ("random_regular", "erdos_renyi", "barabasi_albert", "watts_strogatz", "geometric", "random_digraph"):
        make = getattr(tp, name)
        np.testing.assert_array_equal(make(30, seed=3).edges(), make(30, seed=3).edges())
        assert not np.array_equal(make(30, seed=3).edges(), make(30, seed=4).edges())


@pytest.mark.slow
def test_random_matching_pairs_everybody_and_changes(key):
    for n in (1, 2, 7, 8):
        w = np.stack([tp.random_matching(n).matrix(key=k) for k in jax.random.split(key, 4)])
        np.testing.assert_array_equal(w, w.transpose(0, 2, 1))
        np.testing.assert_allclose(w @ w, w, atol=1e-15)  # pairwise averaging is a projection
        assert ((w == 0.5).sum(2) == 2).sum(1).tolist() == [n - n % 2] * 4
    assert len({w.tobytes() for w in w}) > 1
    with pytest.raises(ValueError, match="key is None"):
        tp.random_matching(4).at(0)


def test_weight_rules():
    top = tp.barabasi_albert(30, m=2, weights=tp.uniform_neighbour())
    assert top.kind == "row" and tp.ring(6, weights=tp.uniform_neighbour()).kind == "doubly"
    d = np.bincount(top.edges()[:, 0])
    left = np.linalg.matrix_power(top.matrix(), 4000)[0]  # agrees on the mean weighted by degree + 1
    np.testing.assert_allclose(left, (d + 1) / (d + 1).sum(), rtol=1e-6)
    lazy = tp.ring(6, weights=tp.lazy(tp.metropolis(), 0.5)).matrix()
    np.testing.assert_allclose(lazy, (np.eye(6) + tp.ring(6).matrix()) / 2, atol=1e-15)
    sized = tp.ring(3, weights=tp.data_size([1, 2, 5])).matrix()
    np.testing.assert_allclose(sized, np.tile([1 / 8, 2 / 8, 5 / 8], (3, 1)))
    push = tp.from_edges([(1, 0), (2, 0), (0, 1), (0, 2)], directed=True, weights=tp.push_sum())
    np.testing.assert_allclose(push.matrix()[:, 0], 1 / 3)
    assert tp.ring(5, weights=tp.metropolis).kind == "doubly"  # the class without arguments
    for rule in (tp.metropolis(), tp.max_degree()):
        assert (
            tp.rho(tp.grid(16, weights=tp.best_constant())) <= tp.rho(tp.grid(16, weights=rule))
            or rule == tp.metropolis()
        )


def test_weights_from_high_degrees_down():
    """Against a loop over nodes: what neighbors of higher degree gave, then equal parts of the rest."""
    top = tp.barabasi_albert(20, m=2, seed=3, weights=tp.degree_sorted())
    linked = top.matrix() != 0
    np.fill_diagonal(linked, False)
    degree, offer, want = linked.sum(1), {}, np.zeros((20, 20))
    for i in sorted(range(20), key=lambda i: -degree[i]):
        near = np.flatnonzero(linked[i])
        given = [offer[j] for j in near if degree[j] > degree[i]]
        offer[i] = (1 - sum(given)) / (len(near) - len(given) + 1)
    for i, j in zip(*np.nonzero(linked), strict=True):
        high = i if degree[i] >= degree[j] else j
        want[i, j] = min(offer[i], offer[j]) if degree[i] == degree[j] else offer[high]
    want += np.diag(1 - want.sum(1))
    np.testing.assert_allclose(top.matrix(), want, atol=1e-12)
    assert top.kind == "doubly" and top.symmetric and (np.diagonal(want) > 0).all() and len(set(degree)) > 3
    np.testing.assert_allclose(tp.ring(6, weights=tp.degree_sorted()).matrix(), tp.ring(6).matrix(), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 20), st.floats(0.2, 1), st.integers(0, 10**6))
def test_metropolis_is_doubly_stochastic_on_any_graph(n, p, seed):
    top = tp.erdos_renyi(n, p=p, seed=seed, allow_disconnected=True)
    w = top.matrix()
    assert top.kind == "doubly" and top.symmetric and (np.diagonal(w) > 0).all()
    assert np.abs(w.sum(0) - 1).max() < 1e-12 and tp.rho(top) <= 1 + 1e-12
    assert top.connected == (tp.rho(top) < 1 - 1e-9)


def test_phases_wrap_and_trace():
    top = tp.one_peer_exponential(8).astype(jnp.float64)
    at = jax.jit(lambda top, t, x: top.at(t).mix(x))
    x = jnp.eye(8)
    for t in (0, 1, 2, 3, 7):
        np.testing.assert_array_equal(at(top, jnp.int32(t), x), top.matrix(t % 3))
    assert at._cache_size() == 1


def test_weights_are_as_wide_as_jax_until_a_width_is_asked_for():
    top = tp.ring(7)
    assert top.at(0).weights().dtype == jnp.float64
    jax.config.update("jax_enable_x64", False)
    try:
        assert top.at(0).weights().dtype == top.matrix().dtype == jnp.float32
    finally:
        jax.config.update("jax_enable_x64", True)
    assert top.astype(jnp.float32).at(0).weights().dtype == jnp.float32
    exact = top.astype(jnp.float64).at(0)
    assert exact.weights().dtype == jnp.float64
    np.testing.assert_allclose(exact.weights().sum(1) + exact.self_weights(), 1, rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="bfloat16"):
        top.astype(jnp.bfloat16)


def test_new_weights_do_not_recompile():
    step = jax.jit(lambda top, x: top.at(0).mix(x))
    for seed in range(3):
        step(tp.random_regular(10, degree=3, seed=seed), jnp.ones((10,), jnp.float32))
    assert step._cache_size() == 1


def test_own_graphs_and_matrices():
    graph = nx.karate_club_graph()
    top = tp.from_networkx(graph, weights=tp.metropolis())
    assert top.n == 34 and _edges(top) == 78
    arrow = tp.from_networkx(nx.DiGraph([(0, 1), (1, 2), (2, 0)]))
    assert arrow.edges().tolist() == [[0, 2], [1, 0], [2, 1]]
    w = tp.grid(9).matrix()
    np.testing.assert_array_equal(tp.from_matrix(w).matrix(), w)
    assert tp.from_matrix(np.float32(w)).kind == "doubly"
    both = tp.from_matrix(np.stack([tp.one_peer_hypercube(4).matrix(t) for t in (0, 1)]))
    assert both.period == 2 and tp.rho(both) == 0


def test_one_can_differentiate_through_a_matrix():
    w = jnp.asarray(tp.ring(5).matrix())
    x = jnp.arange(5.0)
    grad = jax.grad(lambda w: jnp.sum(tp.from_matrix(w).at(0).mix(x) ** 2))(w)
    np.testing.assert_allclose(grad, 2 * np.outer(w @ x, x), atol=1e-12)
