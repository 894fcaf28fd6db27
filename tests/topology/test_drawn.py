"""Graphs of random offsets and of random peers: means by enumeration, degrees, contraction."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import topology as tp
from dejax.topology._equi import equi_edges, partners

J = lambda n: np.full((n, n), 1 / n)


def basis(n, u):
    return np.eye(n) / n + (n - 1) / n * np.roll(np.eye(n), u, 1)


@pytest.mark.parametrize("n", [2, 5, 12])
@pytest.mark.parametrize("directed", [True, False])
def test_all_offsets_once_are_exact_averaging(n, directed):
    np.testing.assert_allclose(equi_edges(n, np.arange(1, n), directed).matrix(), J(n), rtol=0, atol=1e-15)


def test_equi_static_is_the_mean_of_shifts():
    n, offsets = 9, np.array([2, 5, 2])
    mean = sum(basis(n, u) for u in offsets) / 3
    np.testing.assert_allclose(equi_edges(n, offsets).matrix(), mean, rtol=0, atol=1e-15)
    np.testing.assert_allclose(equi_edges(n, offsets, False).matrix(), (mean + mean.T) / 2, rtol=0, atol=1e-15)
    top, other = tp.equi_static(40, draws=5), tp.equi_static(40, draws=5, directed=False)
    assert top.max_degree <= 5 < other.max_degree <= 10 and other.symmetric and not top.symmetric
    assert tp.rho(tp.equi_static(1)) == 0


def test_equi_static_rho_does_not_grow_with_n():
    """M = 8 ln(2 n / p) / (3 eps^2) draws keep rho below eps, but for a share p of the seeds."""
    for n in (50, 400):
        draws = math.floor(8 * math.log(2 * n / 0.05) / (3 * 0.7**2))
        assert all(tp.rho(tp.equi_static(n, draws=draws, seed=s)) < 0.7 for s in range(10))


def test_the_mean_of_one_peer_offsets_by_enumeration():
    n, eta = 7, 0.4
    links = tp.equi_dynamic(n, eta=eta).links
    mean = sum(links.links(u).host_edges().matrix() for u in range(1, n)) / (n - 1)
    np.testing.assert_allclose(mean, (1 - eta) * np.eye(n) + eta * J(n), rtol=0, atol=1e-7)
    square = sum(w.T @ w for w in (links.links(u).host_edges().matrix() for u in range(1, n))) / (n - 1)
    c = (1 - 1 / n) * eta  # W = (1 - c) I + c P: W'W = ((1 - c)^2 + c^2) I + c (1 - c) (P + P')
    want = (1 - c) ** 2 + c**2 - 2 * c * (1 - c) / (n - 1)
    np.testing.assert_allclose(square - J(n), want * (np.eye(n) - J(n)), rtol=0, atol=1e-6)


def test_pairs_are_those_of_the_greedy_scan():
    pair = jax.jit(partners, static_argnums=0)
    for n in (2, 3, 8, 9):
        for u in range(1, n):
            for first in range(n):
                want = list(range(n))
                for i in ((first + k) % n for k in range(n)):
                    j = (i + u) % n
                    if want[i] == i and want[j] == j:
                        want[i], want[j] = j, i
                assert pair(n, u, first).tolist() == want


@pytest.mark.slow
def test_undirected_one_peer_offsets_are_matchings(key):
    n, eta = 10, 0.8
    top = tp.equi_dynamic(n, eta=eta, directed=False)
    w = top.matrix(key=key)
    assert top.symmetric and ((w > 0).sum(1) <= 2).all() and w[w > 0].min() >= 1 - eta
    pair = jax.jit(partners, static_argnums=0)
    degrees = [np.mean(pair(n, u, first) != np.arange(n)) for u in range(1, n) for first in range(n)]
    assert top.mean_degree == pytest.approx(np.mean(degrees))


def test_a_basis_restricts_the_offsets(key):
    top = tp.equi_dynamic(30, basis=2, seed=3)
    seen = {tuple(np.argwhere(top.matrix(key=k)[0] > 0).ravel().tolist()) for k in jax.random.split(key, 24)}
    assert seen == {(0, int(u)) for u in top.links.offsets} and len(seen) == 2


@pytest.mark.slow
def test_fresh_regular_graphs_contract_as_stated(key):
    """The mean of W^2 over all places, from the trace alone, and from draws."""
    n, d = 12, 3
    top = tp.fresh_regular(n, degree=d).astype("float64")
    dense = jax.jit(jax.vmap(lambda k: top.at(0, k).mix(jnp.eye(n))))
    draws = np.asarray(dense(jax.random.split(key, 200)))
    assert ((draws > 0).sum(1) == d + 1).all() and np.allclose(draws[draws > 0], 1 / (d + 1))
    assert np.array_equal(draws, draws.transpose(0, 2, 1)) and len({w.tobytes() for w in draws}) == 200
    rate = (n - d - 1) / ((d + 1) * (n - 1))
    square = draws[0] @ draws[0]
    assert (np.trace(square) - 1) / (n - 1) == pytest.approx(rate)  # the mean over permutations is a I + b J
    x = np.random.default_rng(0).standard_normal(n)
    x -= x.mean()
    got = [((w @ x) ** 2).sum() / (x**2).sum() for w in draws]
    assert abs(np.mean(got) - rate) < 5 * np.std(got) / math.sqrt(200)
    np.testing.assert_allclose(tp.fresh_regular(5, degree=4).matrix(key=key), J(5), atol=1e-7)
    pairs = tp.fresh_regular(6, degree=1).matrix(key=key)
    assert ((pairs == 0.5).sum(1) == 2).all()


def test_random_peers_are_pushed_to_without_replacement(key):
    n, s, draws = 10, 3, 300
    top = tp.random_peers(n, peers=s)
    w = np.asarray(jax.jit(jax.vmap(lambda k: top.at(0, k).matrix))(jax.random.split(key, draws)))
    off = (w > 0) & ~np.eye(n, dtype=bool)
    assert (off.sum(1) == s).all()  # what each sends
    got = off.sum(2)
    np.testing.assert_allclose(w, ((off | np.eye(n, dtype=bool)) / (1 + got[:, :, None])), rtol=1e-6)
    p = s / (n - 1)
    variance = (n - 1) * p * (1 - p)
    assert abs(got[:, 0].var() - variance) < 5 * variance * math.sqrt(2 / draws)
    assert np.abs(off.mean(0)[~np.eye(n, dtype=bool)] - p).max() < 5 * math.sqrt(p * (1 - p) / draws)
    np.testing.assert_allclose(tp.random_peers(5, peers=4).matrix(key=key), J(5), atol=1e-7)


@pytest.mark.slow
def test_epidemic_learning_against_a_loop(key):
    """A step of gradient descent at each node, then the mean of what came and one's own."""
    import problems as zoo
    from references import PROBLEM, X0, grads

    import dejax as dj
    from dejax.core.random import fold_in

    for top in (tp.random_peers(zoo.N, peers=2), tp.fresh_regular(zoo.N, degree=2)):
        network = dj.Network(top.astype("float64"))
        method = dj.methods.dsgd(lr=0.2)
        state, _ = zoo.run(method, PROBLEM, network, 6, X0)
        x = X0
        for t in range(6):
            w = network.topology.matrix(key=fold_in(jax.random.key(0), jnp.int32(t)))
            heard = w > 0
            x = x - 0.2 * grads(x)
            x = np.stack([np.mean([x[j] for j in range(len(x)) if heard[i, j]], 0) for i in range(len(x))])
        np.testing.assert_allclose(zoo.models(method, state), x, rtol=0, atol=1e-12)


def ring_both_ways(n=6):
    """A draw that says which way round a ring is heard."""

    def draw(key):
        step = jnp.where(jax.random.bernoulli(key), 1, -1)
        return (jnp.arange(n) + step)[:, None] % n, jnp.full((n, 1), 0.25), jnp.full(n, 0.75)

    return draw


def test_a_draw_of_ones_own_is_mixed_as_it_says(key):
    top = tp.from_draw(ring_both_ways(), 6, name="ways")
    assert (top.period, top.kind, top.symmetric, top.max_degree, top.mean_degree) == (0, "doubly", False, 1, 1.0)
    seen = set()
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    for k in jax.random.split(key, 8):
        step = 1 if jax.random.bernoulli(k) else -1
        seen.add(step)
        want = 0.75 * x + 0.25 * np.roll(x, -step, 0)
        np.testing.assert_allclose(top.at(0, k).mix({"a": jnp.asarray(x)})["a"], want, atol=1e-6)
    assert seen == {1, -1}
    assert tp.from_draw(lambda k: ring_both_ways()(k), 6, kind="row").kind == "row"


def _constant(senders, weights, own):
    return lambda key: (jnp.asarray(senders), jnp.asarray(weights), jnp.asarray(own))


@pytest.mark.parametrize(
    ("draw", "options", "text"),
    [
        (lambda key: jnp.ones(3), {}, r"returns .*; give senders int \[3, k\]"),
        (_constant([1, 2, 0], [0.5] * 3, [0.5] * 3), {}, r"returns int\d+ \[3\], float\d+ \[3\]"),
        (_constant([[1.0], [2.0], [0.0]], [[0.5]] * 3, [0.5] * 3), {}, r"returns float\d+ \[3, 1\]"),
        (_constant([[1], [2], [3]], [[0.5]] * 3, [0.5] * 3), {}, r"names a sender 3; ids must lie in 0..2"),
        (_constant([[1], [2], [0]], [[jnp.nan]] * 3, [0.5] * 3), {}, "not finite"),
        (_constant([[1], [2], [0]], [[0.25]] * 3, [0.5] * 3), {}, "row sums of W .* lie between 0.75"),
        (_constant([[1], [2], [2]], [[0.5], [0.5], [0.0]], [0.5, 0.5, 1.0]), {}, "column sums of W"),
        (_constant([[1], [0], [2]], [[0.5], [0.5], [0.0]], [0.5, 0.5, 1.0]), {}, "never hear of each other"),
        (_constant([[1], [0], [0]], [[0.5]] * 3, [0.5] * 3), {"kind": "row"}, "sends is 1, but a node sent more .* give at least 2"),
        (_constant([[1], [2], [0]], [[0.5]] * 3, [0.5] * 3), {"kind": "both"}, "from_draw.kind is 'both'"),
    ],
)  # fmt: skip
def test_a_draw_that_cannot_be_is_refused(draw, options, text):
    with pytest.raises(ValueError, match=text):
        tp.from_draw(draw, 3, **options)
    apart = _constant([[1], [0], [2]], [[0.5], [0.5], [0.0]], [0.5, 0.5, 1.0])
    assert not tp.from_draw(apart, 3, allow_disconnected=True).connected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tp.equi_static(4, draws=0), "equi_static.draws is 0"),
        (lambda: tp.equi_dynamic(4, eta=0.0), "equi_dynamic.eta is 0"),
        (lambda: tp.random_peers(4, peers=4), "peers is 4 but n is 4"),
        (lambda: tp.random_peers(9000), "n is 9000"),
        (lambda: tp.fresh_regular(5, degree=3), "which is odd"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
