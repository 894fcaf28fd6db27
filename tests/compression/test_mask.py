"""Both ways to find the k largest agree, ties and NaN included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.compression import _encoding


@pytest.mark.parametrize("k", [1, 32, 64, *(pytest.param(k, marks=pytest.mark.slow) for k in (5, 63))])
def test_bisection_and_top_k_keep_the_same_entries(k, key):
    score = jnp.abs(jax.random.normal(key, (6, 64), jnp.float32))
    score = score.at[1].set(jnp.round(score[1])).at[2].set(1.0).at[3].set(0.0).at[4, 7].set(jnp.inf)
    by_bits, by_top_k = (
        jax.jit(f, static_argnums=1)(score, k) for f in (_encoding._mask_by_bits, _encoding._mask_by_top_k)
    )
    np.testing.assert_array_equal(by_bits, by_top_k)
    assert (by_bits.sum(1) == k).all()
