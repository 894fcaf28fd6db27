"""Every compressor keeps its inequality, is homogeneous, gives 0 for 0, and counts its bits."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import compression as c

pytestmark = pytest.mark.worlds

DRAWS = 4000


def vectors(d):
    """Inputs that are hard for somebody: one-hot, constant, heavy tail, mixed signs, and the worst of the max norm."""
    rng = np.random.default_rng(d)
    return {
        "one_hot": np.eye(d)[d // 2],
        "constant": np.full(d, -0.7),
        "gauss": rng.normal(size=d),
        "heavy": rng.standard_t(1.1, size=d),
        "tiny": 1e-30 * rng.normal(size=d),
        "spike": np.r_[1.0, np.full(d - 1, 1 / (1 + math.sqrt(d)))],
    }


MEMBERS = [
    c.identity(), c.top_k(k=5), c.top_k(ratio=0.25), c.rand_k(k=5), c.rand_k(ratio=0.5), c.rand_k_unbiased(k=5),
    c.qsgd(levels=1), c.qsgd(levels=15), c.qsgd_unbiased(levels=1), c.qsgd_unbiased(levels=4),
]  # fmt: skip


apply = jax.jit(lambda compressor, keys, x: compressor.apply(keys, x))


@jax.jit
def many(compressor, keys, x):
    return compressor.apply(keys, jnp.broadcast_to(x, (keys.shape[0], *x.shape)))[0]


@pytest.mark.parametrize("compressor", MEMBERS, ids=str)
def test_error_and_mean_bounds(compressor, key):
    d = 40
    for name, x in vectors(d).items():
        out = np.asarray(many(compressor, jax.random.split(key, DRAWS), jnp.asarray(x)))
        norm = (x**2).sum()
        error = ((out - x) ** 2).sum(1) / norm
        slack = 5 * error.std() / math.sqrt(DRAWS) + 1e-12
        assert error.mean() <= 1 - compressor.delta(d) + slack or compressor.delta(d) == 0, name
        if compressor.unbiased:
            assert error.mean() <= compressor.omega(d) + slack, name
            off = np.abs(out.mean(0) - x)
            assert (off <= 5 * out.std(0) / math.sqrt(DRAWS) + 1e-12 * math.sqrt(norm)).all(), name
        else:
            assert compressor.omega(d) == math.inf


@pytest.mark.slow
def test_qsgd_variance_is_the_closed_form(key):
    d = 30
    for levels, (name, x) in itertools.product([1, 4, 16], vectors(d).items()):
        out = np.asarray(many(c.qsgd_unbiased(levels=levels), jax.random.split(key, DRAWS), jnp.asarray(x)))
        level = levels * np.abs(x) / np.linalg.norm(x)
        p = level - np.floor(level + 1e-12)
        want = (x @ x) / levels**2 * (p * (1 - p)).sum()
        error = ((out - x) ** 2).sum(1)
        assert abs(error.mean() - want) <= 5 * error.std() / math.sqrt(DRAWS) + 1e-9 * (x @ x), (name, levels)
        grid = np.abs(out) * levels / np.linalg.norm(x)
        np.testing.assert_allclose(grid, np.round(grid), atol=1e-9)


@pytest.mark.parametrize("k", [1, 7, 29, 30])
def test_rand_k_variance_is_the_closed_form_and_subsets_are_uniform(k, key):
    d = 30
    x = vectors(d)["heavy"]
    keys = jax.random.split(key, DRAWS)
    raw = np.asarray(many(c.rand_k(k=k), keys, jnp.asarray(x)))
    scaled = np.asarray(many(c.rand_k_unbiased(k=k), keys, jnp.asarray(x)))
    np.testing.assert_allclose(scaled, raw * d / k, rtol=1e-13)
    for out, want in ((raw, 1 - k / d), (scaled, d / k - 1)):
        error = ((out - x) ** 2).sum(1) / (x @ x)
        assert abs(error.mean() - want) <= 5 * error.std() / math.sqrt(DRAWS) + 1e-12
    assert ((raw != 0).sum(1) == k).all()
    share = (raw != 0).mean(0)
    assert (np.abs(share - k / d) <= 5 * math.sqrt(k / d * (1 - k / d) / DRAWS) + 1e-12).all()


def test_top_k_equals_a_sort_and_ties_go_to_the_lower_index():
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, size=(50, 12)).astype(float)  # many ties
    for k in (1, 5, 11, 12):
        want = np.zeros_like(x)
        for row, out in zip(x, want, strict=True):
            keep = np.argsort(-np.abs(row), kind="stable")[:k]
            out[keep] = row[keep]
        got = apply(c.top_k(k=k), None, jnp.asarray(x))[0]
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(apply(c.top_k(k=k), None, got)[0], got)  # idempotent
    error = ((np.asarray(c.top_k(k=3).apply(None, jnp.ones((1, 12)))[0]) - 1) ** 2).sum()
    assert error == 12 - 3  # equality of the bound when all entries are equal


@pytest.mark.slow
@pytest.mark.parametrize("compressor", MEMBERS[:1] + MEMBERS[2:6] + MEMBERS[7:9], ids=str)
def test_homogeneous_zero_and_shapes(compressor, key):
    keys = jax.random.split(key, 3)
    x = jnp.asarray(np.stack(list(vectors(20).values())[1:4]))
    np.testing.assert_array_equal(apply(compressor, keys, 0 * x)[0], 0)
    np.testing.assert_array_equal(apply(compressor, keys, 8 * x)[0], 8 * apply(compressor, keys, x)[0])
    for dtype in (jnp.float32, jnp.bfloat16):
        out, units = apply(compressor, keys, x.astype(dtype))
        assert out.dtype == dtype and out.shape == x.shape and units is None
        assert bool(jnp.isfinite(out).all())
    runs = jax.jit(jax.vmap(compressor.apply, (None, 0)))(keys, jnp.stack([x, 2 * x]))[0]
    np.testing.assert_allclose(runs[1], apply(compressor, keys, 2 * x)[0], rtol=1e-15)


def test_a_broken_row_stays_visible_and_alone(key):
    x = jnp.ones((2, 6)).at[0, 4].set(jnp.nan)
    for compressor in (c.top_k(k=2), c.qsgd(levels=3)):
        out = apply(compressor, jax.random.split(key, 2), x)[0]
        assert bool(jnp.isnan(out[0]).any()) and bool(jnp.isfinite(out[1]).all())


def test_bits():
    d = 1000
    assert c.identity().bits(d) == 32_000 and c.identity().bits(d, 16) == 16_000
    assert c.top_k(k=10).bits(d) == 10 * (32 + 10)  # a list of positions
    assert c.top_k(ratio=0.5).bits(d) == 500 * 32 + 1000  # a bitmap
    assert c.top_k(k=d).bits(d) == 32_000  # nothing to say about positions
    assert c.top_k(k=1).bits(1) == 32
    assert c.rand_k(k=10).bits(d) == c.rand_k_unbiased(k=10).bits(d) == 320
    for levels, bits in ((1, 2), (4, 4), (15, 5), (16, 6)):
        assert c.qsgd(levels=levels).bits(d) == c.qsgd_unbiased(levels=levels).bits(d) == 32 + bits * d
    for k in range(1, 65):  # positions always fit: there are that many subsets
        index = c.top_k(k=k).bits(64, width=0)
        assert 2**index >= math.comb(64, k)


def test_numbers_of_the_literature():
    """Means of the QSGD error at d = 200 never exceed sqrt(d)/s, and ratios round as documented."""
    assert [round(c.qsgd_unbiased(levels=s).omega(200), 3) for s in (1, 4, 16)] == [14.142, 3.536, 0.781]
    assert c.top_k(ratio=0.01).delta(2746) == 27 / 2746
    assert c.top_k(ratio=1e-9).delta(10) == 0.1  # at least one entry


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: c.top_k(), ValueError, "exactly one"),
        (lambda: c.top_k(k=3, ratio=0.1), ValueError, "exactly one"),
        (lambda: c.top_k(k=0), ValueError, "TopK.k is 0"),
        (lambda: c.top_k(k=2.5), TypeError, "whole number"),
        (lambda: c.top_k(k=True), TypeError, "whole number"),
        (lambda: c.rand_k(ratio=0.0), ValueError, "RandK.ratio is 0.0"),
        (lambda: c.rand_k_unbiased(ratio=1.5), ValueError, "RandKUnbiased.ratio is 1.5"),
        (lambda: c.rand_k(ratio="a"), TypeError, "ratio"),
        (lambda: c.top_k(k=3, scope="tensor"), ValueError, "'leaf'"),
        (lambda: c.top_k(k=11).check(10), ValueError, r"TopK.k is 11.* d = 10"),
        (lambda: c.rand_k(k=11).check(10), ValueError, r"RandK.k is 11.* d = 10"),
        (lambda: c.qsgd(levels=0), ValueError, "Qsgd.levels is 0"),
        (lambda: c.qsgd_unbiased(levels=1.5), TypeError, "levels"),
    ],
)  # fmt: skip
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
