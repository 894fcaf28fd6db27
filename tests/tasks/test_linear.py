"""The matrix product with a fast weight gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dejax import tasks


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_dot_general_equals_lax_at_any_order(shape, key):
    x, w = jax.random.normal(key, (4, *shape)), jax.random.normal(key, (4, 3, 2))
    numbers = (((len(shape) - 1,), (0,)), ((), ()))

    def all_of(dot):
        f = lambda x, w: jnp.sin(dot(x, w, numbers)).sum()
        grad = jax.grad(f, (0, 1))
        return jax.jit(jax.vmap(lambda x, w: (f(x, w), grad(x, w), jax.jvp(grad, (x, w), (x, w))[1])))(x, w)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
        all_of(tasks.dot_general),
        all_of(lax.dot_general),
    )


def test_products_under_a_node_axis_stay_apart_from_what_reads_them():
    """XLA must not fuse a layer's output into the loops that read it: the ring below would compute it three times."""
    x, w = jnp.ones((4, 8, 16), jnp.float32), jnp.ones((4, 16, 8), jnp.float32)
    layer = jax.vmap(lambda x, w: tasks.dot_general(x, w, (((1,), (0,)), ((), ()))))
    ring = lambda y: y + jnp.roll(y, 1, 0) + jnp.roll(y, -1, 0)
    program = jax.jit(lambda x, w: ring(layer(x, w))).lower(x, w).compile()
    np.testing.assert_array_equal(program(x, w), 48.0)
    if jax.default_backend() == "cpu":
        assert " call(" in program.as_text()
