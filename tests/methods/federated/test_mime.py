"""Mime and MimeLite against NumPy."""

import numpy as np
import pytest
from references import LR, X0, N, close, grad, run, sampled

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("lite", [False, True])
def test_rounds_follow_the_paper(lite):
    b, x, mean = 0.7, X0.mean(0), 0
    for t in range(4):
        ids = sampled(t, 3)
        c = np.mean([grad(i, x) for i in ids], 0)
        ends = []
        for i in ids:
            y = x
            for _ in range(2):
                d = grad(i, y) if lite else grad(i, y) - grad(i, x) + c
                y = y - LR * ((1 - b) * d + b * mean)
            ends.append(y)
        x, mean = np.mean(ends, 0), (1 - b) * c + b * mean
    close(run(m.mime(lr=LR, momentum=b, clients=3, local_steps=2, lite=lite), rounds=4)[1], x)


def test_lite_without_momentum_is_fedavg():
    kw = {"lr": LR, "clients": 3, "local_steps": 2}
    close(run(m.mime(momentum=0.0, lite=True, **kw))[1], run(m.fedavg(**kw))[1])


def test_one_step_is_the_servers_own_momentum():
    x, mean = X0.mean(0), 0
    for _ in range(5):
        g = np.mean([grad(i, x) for i in range(N)], 0)
        x, mean = x - LR * (0.1 * g + 0.9 * mean), 0.1 * g + 0.9 * mean
    close(run(m.mime(lr=LR), rounds=5)[1], x)
