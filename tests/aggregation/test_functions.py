"""The arithmetic of robust rules: sorting networks, missing values, and the published robustness bounds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.aggregation import functions


def test_exchanges_sort_every_zero_one_input():
    """A network that sorts all 0-1 inputs sorts everything."""
    for m in range(1, 12):
        for bits in itertools.product([0, 1], repeat=m):
            row = list(bits)
            for i, j in functions.exchanges(m):
                if row[i] > row[j]:
                    row[i], row[j] = row[j], row[i]
            assert row == sorted(row)
    assert [len(functions.exchanges(m)) for m in (4, 8, 16, 32)] == [5, 19, 63, 191]


@pytest.mark.parametrize("m", [1, 2, 3, 8, *(pytest.param(m, marks=pytest.mark.slow) for m in (40, 130))])
def test_median_and_trimmed_mean_equal_numpy(m):
    rng = np.random.default_rng(m)
    x = rng.normal(size=(m, 50))
    mask = rng.random((m, 50)) < 0.7
    mask[0] = True  # something is always present
    x[-1, :5] = [np.nan, np.inf, -np.inf, 1e308, -1e308]
    present = mask & np.isfinite(x)
    got = np.asarray(jax.jit(functions.coordinate_median)(jnp.asarray(x), jnp.asarray(mask)))
    trimmed = np.asarray(jax.jit(functions.trimmed_mean)(jnp.asarray(x), 2, jnp.asarray(mask)))
    for c in range(50):
        column = np.sort(x[present[:, c], c])
        if len(column) == 0:
            continue
        np.testing.assert_allclose(got[c], np.median(column), rtol=1e-15)
        cut = min(2, (len(column) - 1) // 2)
        np.testing.assert_allclose(trimmed[c], column[cut : len(column) - cut].mean(), rtol=1e-12)
    assert bool(jnp.isinf(functions.coordinate_median(jnp.full((3, 1), jnp.nan))).all())  # nothing present: seen


def test_means_of_half_precision_are_rounded_once():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1, 0.5, (40, 50)), jnp.bfloat16)
    exact = np.sort(np.asarray(x, np.float64), 0)
    for got, want in (
        (functions.coordinate_median(x), np.median(exact, 0)),
        (functions.trimmed_mean(x, 4), exact[4:-4].mean(0)),
    ):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_allclose(got.astype(jnp.float64), want, rtol=2**-8 * 1.01)


def worst_ratio(fn, n, f, rng, tries=30):
    """Largest ||F(x) - mean_S||^2 / (mean_S ||x_i - mean_S||^2) over random inputs and all S of size n - f."""
    worst = 0.0
    for _ in range(tries):
        x = rng.normal(size=(n, 3)) * rng.choice([1, 1, 10, 100], size=(n, 1))
        out = np.asarray(fn(jnp.asarray(x)))
        for chosen in itertools.combinations(range(n), n - f):
            honest = x[list(chosen)]
            mean = honest.mean(0)
            worst = max(worst, ((out - mean) ** 2).sum() / ((honest - mean) ** 2).sum(1).mean())
    return worst


@pytest.mark.parametrize(("n", "f"), [(4, 1), (5, 1), (5, 2), (6, 2), (7, 3), (8, 3)])
def test_kappa_inequality(n, f):
    """(f, kappa)-robustness of Allouah et al. 2023: the bounds are never exceeded, and no rule beats f / (n - 2f)."""
    rng = np.random.default_rng(n * 10 + f)
    ratio = f / (n - 2 * f)
    median = worst_ratio(jax.jit(functions.coordinate_median), n, f, rng)
    trimmed = worst_ratio(jax.jit(lambda x: functions.trimmed_mean(x, f)), n, f, rng)
    assert median <= 4 * (1 + ratio) ** 2
    assert trimmed <= 6 * ratio * (1 + ratio)


@pytest.mark.slow
def test_nearest_neighbor_average_drops_the_furthest():
    own, values = jnp.zeros(2), jnp.array([[1.0, 0.0], [100.0, 0.0], [0.0, -2.0], [jnp.nan, 0.0]])
    np.testing.assert_allclose(functions.nearest_neighbor_average(own, values, 2), [1 / 3, -2 / 3])
    np.testing.assert_allclose(functions.nearest_neighbor_average(own, values, 1), [101 / 4, -2 / 4])
    np.testing.assert_allclose(functions.nearest_neighbor_average(own, values, 9), own)
    radius = jnp.array([[0.5, 0.0], [0.0, 0.9], [0.3, 0.3]])  # honest within R: the result is, too
    assert float(jnp.linalg.norm(functions.nearest_neighbor_average(own, radius, 1))) <= 0.9
