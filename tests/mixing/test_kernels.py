"""Every kernel against the dense W it stands for, in float64 on nested trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dejax import mixing, topology as tp

pytestmark = pytest.mark.worlds


def _regular(n, degree, seed):
    return tp.random_regular(n, degree=degree, seed=seed)


def _dense(n, seed):
    w = np.random.default_rng(seed).random((n, n))
    return tp.from_matrix(w / w.sum(1, keepdims=True))


CASES = {
    "circulant": (lambda: tp.ring(7), mixing.Circulant),
    "circulant of 6 offsets": (lambda: tp.watts_strogatz(20, k=6, beta=0.0), mixing.Circulant),
    "no links": (lambda: tp.isolated(4), mixing.Circulant),
    "one node": (lambda: tp.ring(1), mixing.Circulant),
    "sequence": (lambda: tp.one_peer_exponential(6), mixing.CirculantSequence),
    "ports": (lambda: _regular(12, 3, 0), mixing.NeighborLists),
    "ports, scanned": (lambda: tp.from_edges([(i, j) for i in range(60) for j in range(i + 1, i + 11) if j < 60]), mixing.NeighborLists),
    "matchings": (lambda: tp.one_peer_ring(6), mixing.NeighborLists),
    "dense, differences": (lambda: _dense(9, 0), mixing.Dense),
    "dense, gram": (lambda: _dense(40, 1), mixing.Dense),
    "complete": (lambda: tp.complete(5), mixing.Complete),
    "complete, gram": (lambda: tp.complete(33), mixing.Complete),
    "lazy complete": (lambda: tp.complete(6, weights=tp.lazy(tp.metropolis(), 0.3)), mixing.Complete),
    "star": (lambda: tp.star(20), mixing.Hubs),
    "star with a dense row": (lambda: tp.star(140), mixing.Hubs),
    "hubs": (lambda: tp.barabasi_albert(60, m=2, seed=1), mixing.Hubs),
}  # fmt: skip


# hubs of every degree take many loops to compile; the stars test the same levels and dense rows
SLOW = {"hubs", "circulant of 6 offsets", "one node", "matchings", "ports, scanned", "lazy complete"}
PARAMS = [pytest.param(c, marks=pytest.mark.slow if c in SLOW else (), id=c.replace(" ", "_")) for c in CASES]


@pytest.fixture(scope="module", params=PARAMS)
def case(request):
    make, kernel = CASES[request.param]
    top = make()
    assert type(top.links) is kernel
    phase = top.period - 1
    rng = np.random.default_rng(7)
    x = {"a": rng.normal(size=(top.n, 3, 2)), "b": (rng.normal(size=(top.n,)),)}
    return top.matrix(phase), top.astype(jnp.float64).at(phase), jax.tree.map(jnp.asarray, x)


def _times(w, x):
    return jax.tree.map(lambda a: np.tensordot(w, np.asarray(a), 1), x)


def _close(a, b, atol=1e-12):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=atol), a, b)


mix = jax.jit(lambda links, x: links.mix(x))
weighted = jax.jit(lambda links, x, w, v, own: links.weighted(x, w, v, own))


@pytest.mark.slow
def test_ports_rebuild_the_matrix(case):
    w, links, _ = case
    senders, weights = np.asarray(links.senders()), np.asarray(links.weights())
    assert senders.shape == weights.shape == (links.n, links.num_ports)
    rebuilt = np.diag(np.asarray(links.self_weights()))
    np.add.at(rebuilt, (np.arange(links.n)[:, None], senders), weights)
    np.testing.assert_allclose(rebuilt, w, rtol=0, atol=1e-15)
    padding = weights == 0
    if not isinstance(links, mixing.Dense):
        assert (senders[padding] == np.nonzero(padding)[0]).all()


def test_mix_is_the_dense_product_bitwise_repeatable(case):
    w, links, x = case
    first = mix(links, x)
    _close(first, _times(w, x))
    again = mix(links, x)
    jax.tree.map(np.testing.assert_array_equal, first, again)


@pytest.mark.slow
def test_weighted_takes_other_weights_and_another_own_value(case):
    w, links, x = case
    rng = np.random.default_rng(3)
    senders = np.asarray(links.senders())
    ports = rng.normal(size=senders.shape) * np.asarray(links.weights() != 0)
    own_w = rng.normal(size=links.n)
    off = np.zeros_like(w)
    np.add.at(off, (np.arange(links.n)[:, None], senders), ports)
    _close(weighted(links, x, ports, own_w, None), _times(off + np.diag(own_w), x))
    other = jax.tree.map(lambda a: 2 * a + 1, x)
    want = jax.tree.map(np.add, _times(off, x), _times(np.diag(own_w), other))
    _close(weighted(links, x, ports, own_w, other), want)


@pytest.mark.slow
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_zero_weight_silences_what_is_not_a_number(case, poison):
    _, links, x = case
    if links.n == 1:
        pytest.skip("nobody else")
    bad = links.n - 1
    put = lambda a, value: np.where((np.arange(len(a)) == bad).reshape(-1, *[1] * (a.ndim - 1)), value, a)
    broken = jax.tree.map(lambda a: put(a, poison), x)
    heard = np.asarray(links.senders()) == bad
    ports = np.where(heard, 0, np.asarray(links.weights()))
    own = np.where(np.arange(links.n) == bad, 0, np.asarray(links.self_weights()))
    got = weighted(links, broken, ports, own, None)
    clean = jax.tree.map(lambda a: put(a, 0.0), x)
    _close(got, weighted(links, clean, ports, own, None))
    if heard.any():  # and it is not silenced where it has weight
        loud = weighted(links, broken, np.asarray(links.weights()), own, None)
        rows = (heard & (np.asarray(links.weights()) != 0)).any(1)
        assert not np.isfinite(np.asarray(loud["a"])[rows]).any()
        assert np.isfinite(np.asarray(loud["a"])[~rows & (np.arange(links.n) != bad)]).all()


@pytest.mark.slow
def test_squared_distances_also_near_consensus(case):
    _, links, x = case
    flat = np.concatenate([np.asarray(a).reshape(links.n, -1) for a in jax.tree.leaves(x)], 1)
    want = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    want = np.take_along_axis(want, np.asarray(links.senders()), 1)
    real = np.asarray(links.weights()) != 0
    distances = jax.jit(lambda links, x: links.sq_distances(x))
    got = np.asarray(distances(links, x))
    np.testing.assert_allclose(got[real], want[real], rtol=1e-10)
    near = jax.tree.map(lambda a: (1000 + 1e-2 * a).astype(jnp.float32), x)
    flat = np.concatenate([np.asarray(a, np.float64).reshape(links.n, -1) for a in jax.tree.leaves(near)], 1)
    want = np.take_along_axis(((flat[:, None] - flat[None]) ** 2).sum(-1), np.asarray(links.senders()), 1)
    got = np.asarray(distances(links, near))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[real], want[real], rtol=1e-3, atol=1e-8)


@pytest.mark.slow
def test_squared_distances_to_another_own_value(case):
    _, links, x = case
    own = jax.tree.map(lambda a: a[::-1] + 0.5, x)
    flat, mine = (np.concatenate([np.asarray(a).reshape(links.n, -1) for a in jax.tree.leaves(t)], 1) for t in (x, own))
    want = np.take_along_axis(((mine[:, None] - flat[None]) ** 2).sum(-1), np.asarray(links.senders()), 1)
    real = np.asarray(links.weights()) != 0
    got = jax.jit(lambda links, x, own: links.sq_distances(x, own))(links, x, own)
    np.testing.assert_allclose(np.asarray(got)[real], want[real], rtol=1e-9)


@pytest.mark.slow
def test_fold_and_take_walk_the_ports_in_order(case):
    _, links, x = case
    senders = np.asarray(links.senders())

    def step(carry, value, s):
        # (s + 1)-weighted, so that the order of ports matters
        return jax.tree.map(lambda c, v: 0.5 * c + v, carry, value)

    got = jax.jit(lambda links, x: links.fold(step, jax.tree.map(jnp.zeros_like, x), x))(links, x)
    want = np.zeros_like(x["a"])
    for s in range(senders.shape[1]):
        want = 0.5 * want + np.asarray(x["a"])[senders[:, s]]
    np.testing.assert_allclose(got["a"], want, rtol=0, atol=1e-12)
    if senders.shape[1]:
        s = senders.shape[1] - 1
        traced = jax.jit(lambda links, x, s: links.take(x, s))(links, x, jnp.int32(s))
        np.testing.assert_array_equal(traced["a"], np.asarray(x["a"])[senders[:, s]])
        np.testing.assert_array_equal(links.take(x, s)["a"], traced["a"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_leaves_keep_their_dtype_and_sums_are_float32(case, dtype):
    w, links, x = case
    links = jax.tree.map(lambda a: a.astype(jnp.float32) if jnp.issubdtype(a.dtype, jnp.floating) else a, links)
    if isinstance(links, mixing.Hubs):
        x = {"b": x["b"]}  # many loops to compile: one leaf will do
    low = jax.tree.map(lambda a: a.astype(dtype), x)
    got = mix(links, low)
    assert all(a.dtype == dtype for a in jax.tree.leaves(got))
    want = _times(w, jax.tree.map(lambda a: np.asarray(a, np.float64), low))
    rtol = 1e-2 if dtype == jnp.bfloat16 else 1e-6
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=rtol, atol=rtol), got, want)


@pytest.mark.slow
def test_kernels_are_differentiable_in_values_and_weights():
    top = tp.random_regular(8, degree=3).astype(jnp.float64)
    links, w = top.at(0), top.matrix()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)))
    np.testing.assert_allclose(jax.jacobian(links.mix)(x)[:, 0, :, 0], w, atol=1e-15)
    grad = jax.grad(lambda v: jnp.sum(links.weighted(x, v, links.self_weights()) ** 2))(links.weights())
    assert np.isfinite(grad).all() and np.abs(grad).max() > 0.1


def test_levels_of_hubs_hold_few_rows_and_dense_rows_hear_a_good_part_of_all():
    edges = tp.barabasi_albert(4096, m=2).host()
    hubs, degree = mixing.Hubs.build(edges), edges.in_degrees()
    ports = sum(len(rows) * width for rows, width in zip(hubs.rows, hubs.widths, strict=True))
    assert ports <= 2 * len(edges.receivers) + hubs.n
    assert sum(map(len, hubs.rows[1:])) < 0.4 * hubs.n  # their sums are written, and read again
    assert degree.max() > 128 and hubs.hubs.size == 0  # a dense row reads all of X
    assert mixing.Hubs.build(tp.star(4096).host()).hubs.tolist() == [0]


def test_no_array_of_nodes_times_slots_times_parameters():
    n, d = 64, 4096
    top = tp.random_regular(n, degree=8)
    x = jnp.zeros((n, d), jnp.float32)
    for fn in (
        lambda links, x: links.mix(x),
        lambda links, x: links.weighted(x, links.weights(), links.self_weights()),
        lambda links, x: links.sq_distances(x),
    ):
        memory = jax.jit(fn).lower(top.at(0), x).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 1.1 * x.nbytes


def test_integers_are_refused():
    with pytest.raises(TypeError, match="int32"):
        tp.ring(4).at(0).mix(jnp.arange(4, dtype=jnp.int32))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.floats(0, 1), st.integers(0, 2**31 - 1))
def test_choose_keeps_any_matrix(n, density, seed):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(n, n)) * (rng.random((n, n)) < density)
    links = jax.tree.map(jnp.asarray, mixing.choose(w))
    rebuilt = np.diag(np.broadcast_to(np.asarray(links.self_weights()), n)).astype(float)
    np.add.at(rebuilt, (np.arange(n)[:, None], np.asarray(links.senders())), np.asarray(links.weights()))
    np.testing.assert_array_equal(rebuilt, w)


def test_a_star_is_not_padded_to_its_hub():
    links = tp.star(1024).links
    assert sum(np.asarray(a).size for a in jax.tree.leaves(links)) < 16 * 1024


def test_choose_refuses_a_sequence_of_unequal_sizes():
    with pytest.raises(ValueError, match=r"sizes \[2, 3\]"):
        mixing.choose([np.eye(2), np.eye(3)])
