"""Clipping and noise: sensitivity, exact deviations, padding, sweeps."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import privacy
from dejax.privacy import accountant


class Ctx(NamedTuple):
    node_keys: Any


gradient = jax.jit(lambda p, ctx, grads, weight: p.gradient(ctx, grads, weight))
message = jax.jit(lambda p, ctx, value: p.message(ctx, value)[2])


def context(key, n):
    return Ctx(jax.random.split(key, n))


def examples(n=4, batch=6, dtype=jnp.float64):
    rng = np.random.default_rng(0)
    return {
        "a": jnp.asarray(rng.normal(size=(n, batch, 3, 2)), dtype),
        "b": jnp.asarray(rng.normal(size=(n, batch, 5)) * 3, dtype),
    }


def rows(tree, lead):
    return np.concatenate([np.asarray(x, np.float64).reshape(*x.shape[:lead], -1) for x in jax.tree.leaves(tree)], lead)


@pytest.mark.slow
def test_clipped_mean_against_numpy(key):
    """Without noise: the mean over real examples of gradients cut to norm C; padding is silent even when it is NaN."""
    grads, weight = examples(), np.ones((4, 6))
    weight[1, 4:] = weight[2, 1:] = 0
    broken = jax.tree.map(lambda g: g.at[1, 5].set(jnp.nan), grads)
    got = rows(gradient(privacy.gaussian_gradient(6.5, 0.0), context(key, 4), broken, jnp.asarray(weight)), 1)
    flat = rows(grads, 2)
    norm = np.linalg.norm(flat, axis=2, keepdims=True)
    assert (norm > 6.5).any() and (norm < 6.5).any()
    clipped = flat * np.minimum(1, 6.5 / norm) * weight[..., None]
    np.testing.assert_allclose(got, clipped.sum(1) / weight.sum(1, keepdims=True), atol=1e-12)


def test_sensitivity_of_the_gradient(key):
    """Replacing one example moves the clipped mean by at most 2 C / B, however wild it is."""
    grads, weight, clip = examples(), jnp.ones((4, 6)), 0.7
    mechanism = privacy.gaussian_gradient(clip, 0.0)
    base = rows(gradient(mechanism, context(key, 4), grads, weight), 1)
    for scale in (0.0, -1.0, 1e12):
        other = jax.tree.map(lambda g: g.at[:, 2].multiply(scale), grads)  # noqa: B023
        moved = rows(gradient(mechanism, context(key, 4), other, weight), 1)
        assert (np.linalg.norm(moved - base, axis=1) <= 2 * clip / 6 + 1e-12).all()


@pytest.mark.slow
def test_noise_has_the_stated_deviation_and_is_independent(key):
    n, batch, clip, sigma = 50, 4, 0.5, 1.7
    grads = {"a": jnp.zeros((n, batch, 400)), "b": jnp.zeros((n, batch, 400))}
    noise = rows(gradient(privacy.gaussian_gradient(clip, sigma), context(key, n), grads, jnp.ones((n, batch))), 1)
    want = sigma * clip / batch
    assert abs(noise.std() / want - 1) < 5 / math.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 5 * want / math.sqrt(noise.size)
    assert abs(np.corrcoef(noise[:, :400].ravel(), noise[:, 400:].ravel())[0, 1]) < 5 / math.sqrt(n * 400)
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 5 / math.sqrt(800)
    sent = rows(message(privacy.gaussian_message(clip, sigma), context(key, n), {"w": jnp.zeros((n, 800))}), 1)
    assert abs(sent.std() / (sigma * clip) - 1) < 5 / math.sqrt(2 * sent.size)


@pytest.mark.slow
def test_message_is_clipped_and_kept_by_the_node(key):
    value = jax.tree.map(lambda g: g[:, 0], examples())
    base, own, sent = privacy.gaussian_message(2.0, 0.0).message(context(key, 4), value)
    flat = rows(value, 1)
    np.testing.assert_allclose(
        rows(sent, 1), flat * np.minimum(1, 2 / np.linalg.norm(flat, axis=1, keepdims=True)), atol=1e-12
    )
    assert base is own is sent or all(
        a is b is c for a, b, c in zip(*map(jax.tree.leaves, (base, own, sent)), strict=True)
    )
    wide = privacy.gaussian_message(1e6, 0.0).message(context(key, 4), value)[2]
    np.testing.assert_array_equal(rows(wide, 1), flat)  # no noise, no clipping: nothing happens
    zeros = jax.tree.map(jnp.zeros_like, value)
    np.testing.assert_array_equal(rows(privacy.gaussian_message(1.0, 0.0).message(context(key, 4), zeros)[2], 1), 0)


@pytest.mark.slow
def test_numbers_are_leaves_and_dtypes_are_kept(key):
    traces = []

    @jax.jit
    def run(mechanism, grads):
        traces.append(1)
        return mechanism.gradient(context(key, 4), grads, jnp.ones((4, 6), jnp.float32))

    for clip, sigma in ((1.0, 0.5), (2.0, 0.0)):
        out = run(privacy.gaussian_gradient(jnp.float32(clip), jnp.float32(sigma)), examples(dtype=jnp.bfloat16))
        assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype(jnp.bfloat16)}
    assert len(traces) == 1
    swept = jax.vmap(lambda s: rows_of(privacy.gaussian_gradient(1.0, s), key))(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(swept[1], rows_of(privacy.gaussian_gradient(1.0, 1.0), key), rtol=1e-13)


def rows_of(mechanism, key):
    return gradient(mechanism, context(key, 4), examples(), jnp.ones((4, 6)))["b"]


def test_epsilon_names_its_adjacency():
    add, swap = privacy.gaussian_gradient(1.0, 2.0), privacy.gaussian_gradient(1.0, 2.0, "replace_one")
    assert add.epsilon(100, 0.1, 1e-5) == accountant.epsilon(2.0, 100, 0.1, 1e-5)
    assert swap.epsilon(100, 0.1, 1e-5) == accountant.epsilon(1.0, 100, 0.1, 1e-5) > add.epsilon(100, 0.1, 1e-5)
    assert privacy.gaussian_message(1.0, 2.0).epsilon(10, 1.0, 1e-5) == accountant.epsilon(1.0, 10, 1.0, 1e-5)
    assert privacy.gaussian_gradient(1.0, 0).epsilon(1, 1.0, 1e-5) == math.inf


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: privacy.gaussian_gradient(0.0, 1.0), ValueError, "GaussianGradient.clip is 0.0"),
        (lambda: privacy.gaussian_gradient(math.inf, 1.0), ValueError, "GaussianGradient.clip is inf"),
        (lambda: privacy.gaussian_gradient(1.0, -1.0), ValueError, "noise_multiplier is -1.0"),
        (lambda: privacy.gaussian_gradient(1.0, 1.0, "neighbor"), ValueError, "'replace_one'"),
        (lambda: privacy.gaussian_message(-1.0, 1.0), ValueError, "GaussianMessage.clip is -1.0"),
        (lambda: privacy.gaussian_message(1.0, True), TypeError, "bool"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
