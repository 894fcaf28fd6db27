"""FedProx against NumPy, with nodes that do unequal amounts of work."""

import numpy as np
import problems as zoo
import pytest
from references import LR, X0, N, close, run, same, sampled

import dejax as dj

m = dj.methods
UNEVEN = zoo.Uneven()
WORK = np.linspace(0.3, 1.0, N)


def reference(mu, rounds, k, work, clients, by_samples):
    x = X0.mean(0)
    for t in range(rounds):
        change, total = np.zeros_like(x), 0.0
        for i in sampled(t, clients):
            y = x
            for _ in range(int(np.clip(np.round(np.float32(work[i]) * k), 1, k))):
                y = y - 0.1 * (UNEVEN.gradient(i, y) + mu * (y - x))
            share = UNEVEN.count[i] if by_samples else 1
            change, total = change + share * (y - x), total + share
        x = x + change / total
    return x


@pytest.mark.slow
def test_rounds_follow_the_paper():
    for by in ("samples", "uniform"):
        method = m.fedprox(lr=0.1, mu=0.5, local_steps=4, clients=3, work=WORK, weights=by)
        close(run(method, None, 3, UNEVEN.problem)[1], reference(0.5, 3, 4, WORK, 3, by == "samples"))


@pytest.mark.slow
def test_without_the_term_or_with_one_step_it_is_fedavg():
    kw = {"lr": LR, "clients": 3}
    same(run(m.fedprox(mu=0.0, local_steps=2, **kw), rounds=3)[1], run(m.fedavg(local_steps=2, **kw), rounds=3)[1])
    close(run(m.fedprox(mu=0.7, **kw), rounds=3)[1], run(m.fedavg(**kw), rounds=3)[1])
