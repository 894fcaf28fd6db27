"""AugDGM against NumPy, with a step size for every node."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, mix, run

import dejax as dj

m, t = dj.methods, dj.topology
OWN = LR * np.array([0.5, 1.0, 2.0, 1.5, 0.7])


@pytest.mark.parametrize("lr", [LR, OWN], ids=["one", "own"])
def test_against_numpy_and_to_the_optimum(lr):
    step = np.broadcast_to(lr, (N,))[:, None]
    x, y, g = X0.copy(), grads(X0), grads(X0)
    for rounds in (1, 2, 3):
        state, got = run(m.augdgm(lr=lr), RING, rounds)
        close(np.asarray(state.tracker["x"]), y)
        close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.last_grad["x"]).mean(0))
        x = mix(W, x - step * y)
        close(got, x)
        y, g = mix(W, y + grads(x) - g), grads(x)
    x = run(m.augdgm(lr=lr), RING, 1500)[1]
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)


@pytest.mark.slow
def test_without_neighbors_it_is_local_descent_and_its_first_round_is_dsgd():
    alone = t.isolated(N).astype("float64")
    close(run(m.augdgm(lr=LR), alone, 5)[1], run(m.dsgd(lr=LR), alone, 5)[1])
    close(run(m.augdgm(lr=LR), RING, 1)[1], run(m.dsgd(lr=LR), RING, 1)[1])
