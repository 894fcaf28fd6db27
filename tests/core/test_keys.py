"""Draws by name: the numbers of jax.random, bit for bit, whatever the key's kind and however they are batched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.core import random

pytestmark = pytest.mark.worlds

IDS = jnp.array([0, 5, 1023, 2**31 - 1, -3], jnp.int32)


def data(keys):
    return np.asarray(jax.random.key_data(keys))


@pytest.fixture(params=["threefry2x32", "rbg"])
def key(request):
    return jax.random.key(7, impl=request.param)


def test_folding_is_that_of_jax(key):
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(IDS)
    np.testing.assert_array_equal(data(random.fold_in(key, IDS)), data(keys))
    np.testing.assert_array_equal(
        data(jax.jit(random.fold_in)(keys, IDS)), data(jax.vmap(jax.random.fold_in)(keys, IDS))
    )
    np.testing.assert_array_equal(
        data(random.fold_name(key, "batch")), data(jax.random.fold_in(key, random.name_id("batch")))
    )


@pytest.mark.parametrize("shape", [(), (2, 24), (300,)])
def test_draws_are_those_of_jax(key, shape):
    keys = random.fold_in(key, IDS)
    if data(key).size == 2:  # rbg draws depend on how they are batched
        np.testing.assert_array_equal(
            jax.jit(lambda k: random.bits(k, shape))(keys), [jax.random.bits(k, shape, jnp.uint32) for k in keys]
        )
        want = [jax.random.uniform(k, shape, jnp.float32) for k in keys]
        np.testing.assert_array_equal(jax.jit(lambda k: random.uniform(k, shape))(keys), want)
    for draw in (random.bits, random.uniform):
        drawn = lambda k, draw=draw: jax.eval_shape(lambda k: draw(k, shape), k).shape
        assert drawn(keys) == (5, *shape)
        assert drawn(keys.reshape(5, 1)) == (5, 1, *shape)
        assert drawn(keys[0]) == shape


def test_draws_survive_a_map_over_keys(key):
    keys = random.fold_in(key, IDS)
    mapped = jax.vmap(lambda k: random.uniform(random.fold_in(k, IDS), (16,)))(keys)
    assert mapped.shape == (5, 5, 16)
    if data(key).size == 2:
        np.testing.assert_array_equal(mapped[2], random.uniform(random.fold_in(keys[2], IDS), (16,)))
