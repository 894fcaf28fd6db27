"""Momentum tracking against NumPy, its tracker, and its exactness."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, mix, run

import dejax as dj

m, t, BETA, SLOW = dj.methods, dj.topology, 0.7, 0.05


def test_against_numpy_and_to_the_optimum():
    method = m.mt_dsgdm(lr=SLOW, momentum=BETA)
    x, mom, c = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for rounds in (1, 2, 3):
        mom = BETA * mom + grads(x)
        x, c = mix(W, x) - SLOW * (mom - c), mix(W, c - mom) + mom
        state, got = run(method, RING, rounds)
        close(got, x)
        close(np.asarray(state.correction["x"]).sum(0), np.zeros(X0.shape[1]))
    x = run(method, RING, 1500)[1]
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)


def test_without_momentum_it_is_gradient_tracking_that_mixes_before_it_steps():
    """x' = W x - lr y;  y' = W y + g' - g,  y = g at the start."""
    x, y, g = X0.copy(), grads(X0), grads(X0)
    for _ in range(10):
        x = mix(W, x) - SLOW * y
        y, g = mix(W, y) + grads(x) - g, grads(x)
    close(run(m.mt_dsgdm(lr=SLOW, momentum=0.0), RING)[1], x)


@pytest.mark.slow
def test_without_neighbors_it_is_heavy_ball():
    x, mom = X0.copy(), np.zeros_like(X0)
    for _ in range(5):
        mom = BETA * mom + grads(x)
        x = x - LR * mom
    close(run(m.mt_dsgdm(lr=LR, momentum=BETA), t.isolated(N).astype("float64"), 5)[1], x)
