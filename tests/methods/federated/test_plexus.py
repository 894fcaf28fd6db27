"""Plexus: FedAvg where all are waited for; else the mean of those who finish first; each node as often as others."""

import jax
import numpy as np
import problems as zoo
import pytest
from references import X0, N, close, grad, run, sampled

import dejax as dj
from dejax.core.random import fold_in, fold_name

m = dj.methods


def finish(t, ids):
    """When the sampled nodes of round t finish."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "sample/finish")
    return np.array([float(jax.random.uniform(fold_in(key, np.int32(i)), (), np.float32)) for i in ids])


def test_rounds_follow_the_protocol():
    x = X0.mean(0)
    for t in range(5):
        ids = sampled(t, 4)
        first = ids[np.argsort(finish(t, ids))[:3]]
        ends = []
        for i in first:
            y = x
            for _ in range(2):
                y = y - 0.1 * grad(i, y)
            ends.append(y)
        x = np.mean(ends, 0)
    close(run(m.plexus(lr=0.1, clients=4, local_steps=2, success=0.8), rounds=5)[1], x)


@pytest.mark.parametrize("clients", [None, pytest.param(3, marks=pytest.mark.slow)])
def test_waiting_for_all_is_fedavg(clients):
    kw = {"lr": 0.1, "clients": clients, "local_steps": 2}
    close(run(m.plexus(**kw), rounds=4)[1], run(m.fedavg(**kw), rounds=4)[1])


def test_models_and_views_are_counted():
    _, meters = zoo.run(m.plexus(lr=0.1, clients=3, entry_bytes=10), zoo.squares()[0], None, 2, X0)
    totals, model = meters.totals(), 64 * X0.shape[1]
    assert totals["up/sample/average"] == totals["down/sample/average"] == 2 * 3 * model
    assert totals["up/view"] == totals["down/view"] == 2 * 3 * 80 * N


def test_the_clock_says_who_is_first_and_waits_for_no_others():
    """Two local steps take twice as long; of five nodes the two slowest are left."""
    speed = np.array([1.0, 7.0, 2.0, 8.0, 3.0])
    method = m.plexus(lr=0.1, clients=None, local_steps=2, success=0.6)
    network = dj.Network(clock=dj.faults.clock(gradient=speed))
    state, meters = zoo.run(method, zoo.squares()[0], network, 2, X0)
    x = X0.mean(0)
    for _ in range(2):
        ends = []
        for i in (0, 2, 4):
            y = x - 0.1 * grad(i, x)
            ends.append(y - 0.1 * grad(i, y))
        x = np.mean(ends, 0)
    close(np.asarray(state.params["x"]), x)
    np.testing.assert_allclose(meters.seconds, [6.0, 12.0])


@pytest.mark.slow
def test_a_network_of_sleepers_goes_on():
    """Four nodes of five asleep at a time: rounds go on with those awake, and the model nears the optimum."""
    problem, made = zoo.squares()
    network = dj.Network(faults=dj.faults.churn(p=0.8))
    x = run(m.plexus(lr=0.1, clients=3, local_steps=2), network, 60, problem, X0 + 3)[1]
    far = lambda x: np.linalg.norm(x - made.x_star)
    assert far(x) < 0.5 * far(X0.mean(0) + 3)
