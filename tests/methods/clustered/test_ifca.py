"""IFCA against NumPy."""

import numpy as np
import problems as zoo
import pytest
from references import ROUNDS, X0, N, close, run, sampled

import dejax as dj

m = dj.methods


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 3])
def test_ifca(clients):
    uneven = zoo.Uneven(starts="independent")
    loss = lambda i, x: 0.5 * np.mean((uneven.a[uneven.rows[i]] @ x - uneven.b[uneven.rows[i]]) ** 2)
    models, choice = X0[:2].copy(), np.zeros(N, int)
    for t in range(ROUNDS):
        change, total = np.zeros_like(models), np.zeros(2)
        for i in range(N) if clients is None else sampled(t, clients):
            c = choice[i] = int(np.argmin([loss(i, x) for x in models]))
            y = models[c]
            for _ in range(3):
                y = y - 0.1 * uneven.gradient(i, y)
            change[c], total[c] = change[c] + uneven.count[i] * (y - models[c]), total[c] + uneven.count[i]
        models = models + change / np.maximum(total, 1)[:, None]
    method = m.ifca(lr=0.1, clusters=2, local_steps=3, clients=clients)
    state, got = run(method, None, ROUNDS, uneven.problem)
    close(np.asarray(state.models["x"]), models)
    np.testing.assert_array_equal(state.choice, choice)
    assert len(set(choice.tolist())) == 2  # both models are in use
    assert len(got) == N


def test_one_cluster_with_own_weights_is_fedavg_with_them():
    uneven = zoo.Uneven(starts="independent")
    own = (0.0, 2.0, 1.0, 0.5, 3.0)
    got = run(m.ifca(lr=0.1, clusters=1, weights=own), None, 4, uneven.problem, np.broadcast_to(X0[0], X0.shape))[1]
    want = run(m.fedavg(lr=0.1, weights=own), None, 4, uneven.problem, np.broadcast_to(X0[0], X0.shape))[1]
    close(got, np.broadcast_to(want, got.shape))
