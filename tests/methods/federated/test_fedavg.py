"""FedAvg against NumPy, and what it is in its simplest cases."""

import numpy as np
import problems as zoo
import pytest
from references import LR, PROBLEM, ROUNDS, X0, N, close, run, sampled

import dejax as dj

m = dj.methods


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 2])
def test_fedavg_on_unequal_shards(clients):
    uneven = zoo.Uneven()
    x = X0.mean(0)
    for t in range(ROUNDS):
        ids = range(N) if clients is None else sampled(t, clients)
        change, total = 0, 0
        for i in ids:
            y = x
            for _ in range(3):
                y = y - 0.1 * uneven.gradient(i, y)
            change, total = change + uneven.count[i] * (y - x), total + uneven.count[i]
        x = x + 0.7 * change / total
    method = m.fedavg(lr=0.1, local_steps=3, clients=clients, server_lr=0.7)
    close(run(method, None, ROUNDS, uneven.problem)[1], x)


@pytest.mark.slow
def test_fedavg_with_all_nodes_and_one_step_is_gradient_descent():
    for problem in (PROBLEM, zoo.Uneven().problem):
        close(run(m.fedavg(lr=0.1), None, 5, problem)[1], run(m.centralized(lr=0.1), None, 5, problem)[1])


def test_fedavg_with_all_nodes_is_local_sgd_on_the_complete_graph():
    equal, complete = np.broadcast_to(X0[0], X0.shape), dj.topology.complete(N).astype("float64")
    want = run(m.fedavg(lr=LR, local_steps=3), x0=equal)[1]
    close(run(m.local_sgd(lr=LR, local_steps=3), complete, x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.slow
def test_sampling_everybody_by_number_is_everybody():
    close(run(m.fedavg(lr=LR, clients=N, local_steps=2))[1], run(m.fedavg(lr=LR, local_steps=2))[1])
