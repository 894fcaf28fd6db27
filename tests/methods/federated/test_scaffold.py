"""SCAFFOLD against NumPy, and its control variates."""

import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, ROUNDS, X0, N, close, grad, run, sampled

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("clients", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_scaffold(clients):
    x, c, controls = X0.mean(0), np.zeros(zoo.D), np.zeros_like(X0)
    for t in range(ROUNDS):
        ids = range(N) if clients is None else sampled(t, clients)
        moved, learned = [], []
        for i in ids:
            y = x
            for _ in range(2):
                y = y - LR * (grad(i, y) - controls[i] + c)
            new = controls[i] - c + (x - y) / (2 * LR)
            moved.append(y - x)
            learned.append(new - controls[i])
            controls[i] = new
        x, c = x + np.mean(moved, 0), c + np.sum(learned, 0) / N
    method = m.scaffold(lr=LR, local_steps=2, clients=clients)
    state, got = run(method)
    close(got, x)
    close(np.asarray(state.control["x"]), c)
    close(np.asarray(state.controls["x"]), controls)


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 2])
def test_scaffold_controls_agree_and_the_optimum_is_reached(clients):
    method = m.scaffold(lr=0.1, local_steps=3, clients=clients)
    state, _ = run(method, None, 5)
    close(np.asarray(state.control["x"]), np.asarray(state.controls["x"]).mean(0))
    x = run(method, None, 1500)[1]
    close(x, MADE.x_star, 1e-9)
    drifted = run(m.fedavg(lr=0.1, local_steps=3, clients=clients), None, 1500)[1]
    assert np.linalg.norm(drifted - MADE.x_star) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [dj.faults.churn(p=0.4), dj.faults.link_loss(p=0.4)],
    ids=["churn", "lost uploads"],
)
def test_scaffold_controls_agree_whoever_is_heard(fault):
    state, _ = run(m.scaffold(lr=0.1, local_steps=2, clients=3), dj.Network(faults=fault), 6)
    assert np.abs(np.asarray(state.controls["x"])).max() > 1e-3
    close(np.asarray(state.control["x"]), np.asarray(state.controls["x"]).mean(0))


@pytest.mark.slow
def test_scaffold_survives_a_rate_of_zero():
    state, x = run(m.scaffold(lr=dj.Cosine(peak=0.1, length=2)), None, 4)
    assert np.isfinite(x).all() and np.isfinite(np.asarray(state.controls["x"])).all()


@pytest.mark.slow
def test_one_step_scaffold_learns_the_gradients():
    state, _ = run(m.scaffold(lr=LR), None, 1)
    close(np.asarray(state.controls["x"]), MADE.gradients(X0.mean(0)))
