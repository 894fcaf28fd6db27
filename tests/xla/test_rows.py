"""Rows of arrays that do not change are gathered as they are, whatever their dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dejax.xla.take_rows import fetch_rows

pytestmark = pytest.mark.worlds


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_loop_that_fetches_rows_makes_no_copy_of_the_array(dtype):
    x, rows = jnp.ones((4096, 64), dtype), jnp.arange(4, dtype=jnp.int32)

    def loop(x):
        return lax.fori_loop(0, 9, lambda t, y: y + fetch_rows(x, rows + t), jnp.zeros((4, 64), dtype))

    compiled = jax.jit(loop).lower(x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < x.nbytes / 8
    np.testing.assert_array_equal(compiled(x).astype(jnp.float32), 9)


@pytest.mark.slow
def test_values_and_derivatives_are_those_of_an_index(key):
    x, rows = jax.random.normal(key, (3, 8, 5), jnp.bfloat16), jnp.array([[1, 7, 1], [0, 2, 3]], jnp.int32)
    many = jnp.stack([rows, 7 - rows, rows // 2])
    for in_axes, args in (((0, None), (x, rows)), ((None, 0), (x[0], many)), ((0, 0), (x, many))):

        def both(take, in_axes=in_axes, args=args):
            apply = jax.vmap(take, in_axes)
            value, back = jax.vjp(lambda x: apply(x, args[1]), args[0])
            tangent = jax.jvp(lambda x: apply(x, args[1]), args[:1], args[:1])[1]
            return value, tangent, back(value)[0]

        got, want = both(fetch_rows), both(lambda x, rows: x[rows])
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a.astype(jnp.float32), b.astype(jnp.float32))
