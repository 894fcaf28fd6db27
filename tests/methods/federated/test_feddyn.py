"""FedDyn against NumPy; it ends at the optimum of unequal nodes."""

import numpy as np
import pytest
from references import MADE, X0, N, close, grad, run, sampled

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("clients", [None, 3])
def test_rounds_follow_the_paper(clients):
    alpha, x, h, d = 0.5, X0.mean(0), 0, np.zeros_like(X0)
    for t in range(4):
        ids = range(N) if clients is None else sampled(t, clients)
        ends = []
        for i in ids:
            y = x
            for _ in range(3):
                y = y - 0.1 * (grad(i, y) - d[i] + alpha * (y - x))
            ends.append(y)
            d[i] = d[i] - alpha * (y - x)
        h = h - alpha * sum(y - x for y in ends) / N
        x = np.mean(ends, 0) - h / alpha
    state, got = run(m.feddyn(lr=0.1, alpha=alpha, local_steps=3, clients=clients), rounds=4)
    close(got, x)
    close(state.drift["x"], d.mean(0))


def test_it_is_exact_on_unequal_nodes():
    state, x = run(m.feddyn(lr=0.3, alpha=0.5, local_steps=5), rounds=400)
    close(x, MADE.optimum["x"], 1e-8)
    close(state.duals["x"], np.stack([grad(i, x) for i in range(N)]), 1e-6)


def test_lost_uploads_keep_h_the_mean():
    lossy = dj.Network(faults=dj.faults.link_loss(p=0.4))
    state, _ = run(m.feddyn(lr=0.1, alpha=0.5, local_steps=2), lossy, rounds=6)
    close(state.drift["x"], np.asarray(state.duals["x"]).mean(0))
