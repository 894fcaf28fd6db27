"""Gradient tracking against NumPy, and its exactness."""

import dataclasses

import jax
import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, RING, ROUNDS, X0, N, W, close, grads, mix, run

import dejax as dj

m = dj.methods


def test_gradient_tracking():
    x, y, last = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for _ in range(ROUNDS):
        g = grads(x)
        y = mix(W, y) + g - last
        x, last = mix(W, x - LR * y), g
    state, got = run(m.gradient_tracking(lr=LR), zoo.ring())
    close(got, x)
    close(np.asarray(state.tracker["x"]), y)


@pytest.mark.slow
def test_tracker_follows_the_mean_gradient_and_reaches_the_optimum():
    state, x = run(m.gradient_tracking(lr=LR), RING, 3)
    close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.last_grad["x"]).mean(0))
    state, x = run(m.gradient_tracking(lr=LR), RING, 600)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.tracker["x"]), np.zeros_like(x), 1e-10)
    stalled = run(m.dsgd(lr=LR), RING, 600)[1]
    assert np.linalg.norm(stalled - MADE.x_star, axis=1).max() > 1e-2
    nearer = run(m.dsgd(lr=LR / 10), RING, 6000)[1]
    ratio = np.linalg.norm(stalled - MADE.x_star) / np.linalg.norm(nearer - MADE.x_star)
    assert 3 < ratio < 20  # the bias is of the order of lr


@pytest.mark.slow
def test_equal_nodes_stay_equal():
    uneven = zoo.Uneven(n=1)
    data = dataclasses.replace(
        uneven.problem.data,
        index=np.repeat(uneven.problem.data.index, N, 0),
        count=np.repeat(uneven.problem.data.count, N),
    )
    problem = jax.tree.map(jax.numpy.asarray, dataclasses.replace(uneven.problem, data=data))
    x = run(m.gradient_tracking(lr=LR), RING, 5, problem, np.broadcast_to(X0[0], X0.shape))[1]
    close(x, np.broadcast_to(x[0], x.shape))
