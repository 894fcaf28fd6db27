"""Scaffnew against NumPy; rare means are enough for the optimum of unequal nodes."""

import jax
import numpy as np
from references import MADE, X0, N, close, grad, run

import dejax as dj
from dejax.core.random import fold_name

m = dj.methods


def coin(t, p):
    """Whether round t has a mean, from the run's key by name."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "coin")
    return float(jax.random.uniform(key, dtype=float)) < p


def test_rounds_follow_the_paper():
    p, lr, h, x = 0.4, 0.3, np.zeros_like(X0), np.tile(X0.mean(0), (N, 1))
    means = 0
    for t in range(12):
        z = np.stack([x[i] - lr * (grad(i, x[i]) - h[i]) for i in range(N)])
        means += coin(t, p)
        x = np.tile(z.mean(0), (N, 1)) if coin(t, p) else z
        h = h + p / lr * (x - z)
    assert 0 < means < 12
    state, got = run(m.scaffnew(lr=lr, p=p), rounds=12)
    close(got, x)
    close(state.controls["x"], h)
    np.testing.assert_allclose(np.asarray(state.controls["x"]).sum(0), 0, atol=1e-12)


def test_it_is_exact_with_rare_means():
    state, x = run(m.scaffnew(lr=0.5, p=0.3), rounds=600)
    close(x, np.tile(MADE.optimum["x"], (N, 1)), 1e-9)
    close(state.controls["x"], np.stack([grad(i, x[i]) for i in range(N)]), 1e-7)


def test_a_mean_in_every_round_is_gradient_descent():
    close(run(m.scaffnew(lr=0.3, p=1.0), rounds=4)[1], np.tile(run(m.fedavg(lr=0.3), rounds=4)[1], (N, 1)))
