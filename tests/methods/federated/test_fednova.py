"""FedNova against NumPy: unequal numbers of steps do not change what is minimised."""

import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, X0, N, close, grad, run

import dejax as dj

m = dj.methods
WORK = np.linspace(0.25, 1.0, N)
STEPS = np.clip(np.round(np.float32(WORK) * 8), 1, 8).astype(int)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_rounds_follow_the_paper(momentum):
    x, b = X0.mean(0), momentum
    for _ in range(3):
        units, weights = [], []
        for i in range(N):
            y, v = x, 0
            for _ in range(STEPS[i]):
                v = b * v + grad(i, y)
                y = y - 0.1 * v
            a = sum((1 - b ** (STEPS[i] - s)) / (1 - b) for s in range(STEPS[i]))  # each gradient's share, summed
            units.append((y - x) / a)
            weights.append(a)
        x = x + np.mean(weights) * np.mean(units, 0)
    close(run(m.fednova(lr=0.1, work=WORK, local_steps=8, momentum=b), rounds=3)[1], x)


def test_equal_work_is_fedavg():
    uneven = zoo.Uneven().problem
    kw = {"lr": LR, "clients": 3, "local_steps": 2}
    close(run(m.fednova(**kw), None, 4, uneven)[1], run(m.fedavg(**kw), None, 4, uneven)[1])


def test_unequal_work_moves_fedavgs_optimum_and_not_its_own():
    """With small steps FedNova ends at the optimum of the mean, FedProx with mu = 0 (FedAvg) at one of its own."""
    kw = {"lr": 0.01, "work": WORK, "local_steps": 8}
    x = np.asarray(MADE.optimum["x"])
    nova = run(m.fednova(**kw), rounds=600)[1]
    average = run(m.fedprox(mu=0.0, **kw), rounds=600)[1]
    assert np.linalg.norm(nova - x) < 0.2 * np.linalg.norm(average - x)
