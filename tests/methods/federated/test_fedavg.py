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


OWN = (0.0, 2.0, 1.0, 0.5, 3.0)


@pytest.mark.parametrize(("weights", "clients"), [("uniform", None), (OWN, None), (OWN, 3)])
def test_weights_of_the_users_own(weights, clients):
    uneven, w = zoo.Uneven(), np.ones(N) if weights == "uniform" else np.array(weights)
    x = X0.mean(0)
    for t in range(4):
        change, total = 0, 0
        for i in range(N) if clients is None else sampled(t, clients):
            y = x
            for _ in range(2):
                y = y - 0.1 * uneven.gradient(i, y)
            change, total = change + w[i] * (y - x), total + w[i]
        x = x + change / total
    method = m.fedavg(lr=0.1, local_steps=2, clients=clients, weights=weights)
    close(run(method, None, 4, uneven.problem)[1], x)


def test_numbers_of_samples_as_own_weights_are_the_default():
    uneven = zoo.Uneven()
    want = run(m.fedavg(lr=0.1, clients=3), None, 3, uneven.problem)[1]
    close(run(m.fedavg(lr=0.1, clients=3, weights=list(uneven.count)), None, 3, uneven.problem)[1], want)


@pytest.mark.parametrize("make", [m.fedavg, m.ifca, m.fednova])
def test_weights_that_are_none_are_refused_in_words(make):
    right = r"give 'samples', 'uniform', or a list of n numbers >= 0, one a node, not all 0"
    for wrong in ("equal", None, True, 2.0, {}, (), (0.0, 0.0), (1.0, -1.0), (1.0, float("inf")), (1.0, "a")):
        with pytest.raises(ValueError, match=right):
            make(lr=0.1, weights=wrong)
    with pytest.raises(ValueError, match=rf"weights holds 2 numbers, but there are {N} nodes; give {N} of them"):
        zoo.run(make(lr=0.1, weights=(1.0, 2.0)), zoo.Uneven(starts="independent").problem, None, 1)


def test_user_level_privacy_does_not_know_own_weights():
    private = dj.Network(privacy=dj.privacy.user_level(clip=1.0, noise_multiplier=0.0))
    private.check(m.fedavg(lr=0.1, weights="uniform"), PROBLEM)
    with pytest.raises(dj.RefusedError, match="sends something else, or weighs it by numbers of its own"):
        private.check(m.fedavg(lr=0.1, weights=OWN), PROBLEM)
