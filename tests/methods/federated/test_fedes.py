"""FedES against NumPy: scalars travel, and both ends know the directions."""

import jax
import jax.numpy as jnp
import numpy as np
from references import LR, X0, N, close, grad, run

import dejax as dj
from dejax.core.noise import normal
from dejax.core.random import fold_in, fold_name

m = dj.methods


def test_rounds_follow_the_formula():
    x, like = X0.mean(0), {"x": jnp.zeros(X0.shape[1], jnp.float64)}
    for t in range(4):
        seed = fold_name(fold_in(jax.random.key(0), t), "directions")
        e = [np.asarray(normal(jax.random.fold_in(seed, k), like)["x"]) for k in range(3)]
        slope = np.mean([grad(i, x) for i in range(N)], 0)
        x = x - LR * np.mean([(slope @ k) * k for k in e], 0)
    close(run(m.fedes(lr=LR, pairs=3, weights="uniform"), rounds=4)[1], x, 1e-9)


def test_k_numbers_travel_whatever_the_model():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=6, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 10), data, batch_size=8)
    _, meters = dj.rollout(m.fedes(lr=0.1, pairs=5, clients=4), problem, None, jax.random.key(0), 3)
    totals = meters.totals()
    assert sum(v for k, v in totals.items() if k.startswith(("up/", "down/"))) == 3 * 4 * 5 * 32 * 2, totals
    assert totals["forwards"] == 3 * 4 * 5 * 2
