"""DFedAvgM against NumPy, and what it is without momentum."""

import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, W, close, grads, mix, run

import dejax as dj

m = dj.methods


def test_dfedavgm():
    x = X0.copy()
    for _ in range(ROUNDS):
        y, last = x, x
        for _ in range(4):
            y, last = y - LR * grads(y) + 0.6 * (y - last), y
        x = mix(W, y)
    close(run(m.dfedavgm(lr=LR, momentum=0.6, local_steps=4), zoo.ring())[1], x)


@pytest.mark.parametrize("theta", [0.0, 0.9])
def test_one_heavy_ball_step_is_dsgd_for_every_theta(theta):
    close(run(m.dfedavgm(lr=LR, momentum=theta, local_steps=1), RING)[1], run(m.dsgd(lr=LR), RING)[1], 1e-14)


@pytest.mark.slow
def test_heavy_ball_without_momentum_is_local_sgd():
    a = run(m.dfedavgm(lr=LR, momentum=0.0, local_steps=3), RING)[1]
    close(a, run(m.local_sgd(lr=LR, local_steps=3), RING)[1], 1e-14)
    assert np.abs(a - run(m.dfedavgm(lr=LR, momentum=0.9, local_steps=3), RING)[1]).max() > 1e-3
