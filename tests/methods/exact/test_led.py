"""Local exact diffusion against NumPy, what one local step is, and its exactness where local SGD drifts."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, W, close, grads, mix, run

import dejax as dj

m, K = dj.methods, 3


def test_against_numpy_and_to_the_optimum():
    x, c = X0.copy(), np.zeros_like(X0)
    for rounds in (1, 2, 3):
        y = x
        for _ in range(K):
            y = y - LR * grads(y) + c / K
        x = mix(W, y)
        c = c + x - y
        close(run(m.led(lr=LR, local_steps=K), RING, rounds)[1], x)
    state, x = run(m.led(lr=LR, local_steps=K), RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.correction["x"]), K * LR * grads(x), 1e-10)
    close(np.asarray(state.correction["x"]).sum(0), np.zeros(X0.shape[1]), 1e-10)


@pytest.mark.slow
def test_one_local_step_is_d2_and_the_first_round_is_local_sgd():
    close(run(m.led(lr=LR, local_steps=1), RING)[1], run(m.d2(lr=LR), RING)[1])
    close(run(m.led(lr=LR, local_steps=K), RING, 1)[1], run(m.local_sgd(lr=LR, local_steps=K), RING, 1)[1])
    drifted = run(m.local_sgd(lr=LR, local_steps=K), RING, 1500)[1]
    assert np.linalg.norm(drifted - MADE.x_star, axis=1).max() > 1e-2
