"""Schedules against their closed forms, in the width of the run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj


@pytest.mark.parametrize(
    "t, want", [(0, 0.2), (1, 0.4), (2, 0.4), (4, 0.1 + 0.15 * (1 + np.sqrt(0.5))), (6, 0.25), (10, 0.1), (99, 0.1)]
)
def test_cosine_rises_falls_and_stays(t, want):
    schedule = dj.Cosine(peak=0.4, length=10, end=0.1, warmup=2)
    np.testing.assert_allclose(schedule(t), want, rtol=1e-13)
    np.testing.assert_allclose(jax.jit(lambda s, t: s(t))(schedule, jnp.int32(t)), want, rtol=1e-13)


def test_cosine_without_warmup_begins_at_its_peak():
    values = [float(dj.Cosine(peak=1.0, length=4)(t)) for t in range(5)]
    np.testing.assert_allclose(values, [1, 0.5 + np.sqrt(0.125), 0.5, 0.5 - np.sqrt(0.125), 0], atol=1e-15)


def test_inverse_square_root():
    np.testing.assert_allclose(dj.InverseSqrt(peak=1.0, offset=3.0)(9), 0.5, rtol=1e-15)
    np.testing.assert_allclose(dj.InverseSqrt(peak=jnp.array([1.0, 2.0]))(jnp.int32(3)), [0.5, 1.0], rtol=1e-15)
