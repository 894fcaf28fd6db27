"""Blocks of nodes, activation estimates, and the matrix product with a fast weight gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dejax import tasks
from dejax.tasks import _blocks


@pytest.mark.slow
@pytest.mark.parametrize(("block", "remat"), [(None, False), (2, False), (2, True), (5, False)])
def test_block_map_is_vmap(block, remat, key):
    task = tasks.mlp(3, 4, 2)
    params = jax.jit(jax.vmap(task.init))(jax.random.split(key, 5))
    x = jax.random.normal(key, (5, 6, 3), jnp.float32)
    grad = jax.grad(lambda p, x: task.loss(p, {"x": x, "y": jnp.zeros(6, jnp.int32)}).mean())
    got = jax.jit(tasks.block_map(grad, 5, block, remat))(params, x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), got, jax.jit(jax.vmap(grad))(params, x)
    )


def test_block_of_nothing_is_refused():
    with pytest.raises(ValueError, match="block is 0"):
        tasks.block_map(lambda x: x, 4, 0)


def test_activations_grow_with_the_batch_and_choose_the_block():
    task = tasks.mlp(16, 64, 26)
    batch = lambda b: {"x": jax.ShapeDtypeStruct((b, 16), jnp.float32), "y": jax.ShapeDtypeStruct((b,), jnp.int32)}
    small, large = (_blocks.activation_bytes(task, batch(b)) for b in (16, 160))
    assert 16 * 64 * 4 <= small <= 8 * 16 * (64 + 26) * 4
    assert 8 * small < large < 12 * small
    assert tasks.choose_block(task, batch(16), 1024, 10**12) is None
    assert tasks.choose_block(task, batch(16), 1024, 2 * small * 100) == 64
    assert tasks.choose_block(task, batch(16), 1024, 1) == 1


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
