"""Both ways to find the k largest agree, ties and NaN included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import compression
from dejax.compression import encoding

pytestmark = pytest.mark.worlds


@pytest.mark.parametrize("k", [1, 32, 64, *(pytest.param(k, marks=pytest.mark.slow) for k in (5, 63))])
def test_bisection_and_top_k_keep_the_same_entries(k, key):
    score = jnp.abs(jax.random.normal(key, (6, 64), jnp.float32))
    score = score.at[1].set(jnp.round(score[1])).at[2].set(1.0).at[3].set(0.0).at[4, 7].set(jnp.inf)
    by_bits, by_top_k = (
        jax.jit(f, static_argnums=1)(score, k) for f in (encoding._mask_by_bits, encoding._mask_by_top_k)
    )
    np.testing.assert_array_equal(by_bits, by_top_k)
    assert (by_bits.sum(1) == k).all()


@pytest.mark.parametrize("ratio", [0.02, 0.25])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_keeps_what_a_stable_sort_of_its_values_keeps(ratio, dtype, key):
    x = jax.random.normal(key, (4, 100), jnp.float32).astype(dtype)
    x = (
        x.at[1].set(jnp.round(x[1])).at[2, 5].set(-jnp.inf).at[3].set(1e-7 * x[3])
    )  # ties, infinity, subnormal numbers of float16
    compressor = compression.top_k(ratio=ratio)
    got = jax.jit(lambda x: compressor.apply(None, x)[0])(x)
    k, exact = round(ratio * 100), np.asarray(x, np.float64)
    kept = np.argsort(-np.abs(exact), axis=1, kind="stable")[:, :k]
    want = np.zeros_like(exact)
    np.put_along_axis(want, kept, np.take_along_axis(exact, kept, 1), 1)
    assert got.dtype == dtype
    np.testing.assert_array_equal(np.asarray(got, np.float64), want)
    widths = {
        v.aval.dtype for eqn in _sorts(jax.make_jaxpr(lambda x: compressor.apply(None, x)[0])(x)) for v in eqn.invars
    }
    assert widths <= {jnp.dtype(jnp.float32)}  # XLA sorts whole rows of 16 bits, 40 times slower


def _sorts(jaxpr):
    return [eqn for eqn in jaxpr.eqns if eqn.primitive.name in ("top_k", "sort")]
