"""Ditto against NumPy; the global model never sees the personal ones."""

import numpy as np
import pytest
from references import LR, X0, N, close, grad, run, same, sampled

import dejax as dj

m = dj.methods


def test_rounds_follow_the_paper():
    lam, x, v = 0.7, X0.mean(0), np.tile(X0.mean(0), (N, 1))
    for t in range(4):
        ends = []
        for i in sampled(t, 3):
            y, start = x, x
            for _ in range(2):
                y = y - LR * grad(i, y)
                v[i] = v[i] - LR * (grad(i, v[i]) + lam * (v[i] - start))
            ends.append(y)
        x = np.mean(ends, 0)
    state, got = run(m.ditto(lr=LR, lam=lam, clients=3, local_steps=2), rounds=4)
    close(got, x)
    close(state.personal["x"], v)


def test_the_global_model_is_that_of_fedavg():
    kw = {"lr": LR, "clients": 3, "local_steps": 2}
    same(run(m.ditto(lam=0.3, **kw))[1], run(m.fedavg(**kw))[1])


@pytest.mark.slow
def test_without_pull_it_is_local_training():
    state, _ = run(m.ditto(lr=LR, lam=0.0), rounds=5)
    alone = run(m.local_only(lr=LR), rounds=5, x0=np.tile(X0.mean(0), (N, 1)))[1]
    close(state.personal["x"], alone)


@pytest.mark.slow
def test_records_hold_both_models():
    data = dj.data.digits(flat=True).partition(dj.data.shards(), nodes=6, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 10), data, batch_size=16)
    history = dj.simulate(m.ditto(lr=0.1, lam=0.1), problem, rounds=3, every=3, progress=False)
    record = history.records[-1]
    assert {
        "accuracy/local",
        "accuracy/local/personal",
        "accuracy/mean_model/personal",
        "consensus/personal",
    } <= record.keys()
    assert record["consensus"] == 0 < record["consensus/personal"]
