"""The best assignment against SciPy's, within jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dejax.core.assignment import assignment

many = jax.jit(jax.vmap(assignment))


def cases(kind, rng, w):
    """[20, w, w] gains."""
    if kind == "normal":
        return rng.standard_normal((20, w, w))
    if kind == "ties":
        return rng.integers(-2, 3, (20, w, w)).astype(float)
    return 1e3 * rng.standard_normal((20, w, 1)) + rng.standard_normal((20, 1, w)) ** 3 + rng.random((20, w, w))


@pytest.mark.parametrize("w", [1, 9])
def test_as_good_as_scipy(w):
    rng = np.random.default_rng(w)
    for kind in ("normal", "ties", "badly scaled"):
        gains = cases(kind, rng, w)
        for gain, columns in zip(gains, np.asarray(many(jnp.asarray(gains))), strict=True):
            assert sorted(columns) == list(range(w))
            best = gain[linear_sum_assignment(gain, maximize=True)].sum()
            np.testing.assert_allclose(gain[np.arange(w), columns].sum(), best, rtol=0, atol=1e-9)


def test_a_planted_permutation_is_found_and_ties_keep_their_order():
    order = np.random.default_rng(0).permutation(9)
    found = np.asarray(many(jnp.asarray(np.eye(9)[order][None])))[0]
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(np.asarray(many(jnp.zeros((1, 9, 9))))[0], np.arange(9))
