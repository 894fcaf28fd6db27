"""FedAdam, FedYogi and FedAdagrad against NumPy."""

import numpy as np
import optax
import pytest
from references import LR, X0, N, close, grad, run

import dejax as dj

m = dj.methods
SQUARE = {
    "fedadam": lambda v, d, b: b * v + (1 - b) * d**2,
    "fedyogi": lambda v, d, b: v - (1 - b) * d**2 * np.sign(v - d**2),
    "fedadagrad": lambda v, d, b: v + d**2,
}


@pytest.mark.parametrize("name", SQUARE)
def test_rounds_follow_the_paper(name):
    b1, b2, tau = 0.8, 0.9, 0.01
    x, mean, v = X0.mean(0), 0, np.full(X0.shape[1], tau**2)
    for _ in range(5):
        ends = []
        for i in range(N):
            y = x
            for _ in range(2):
                y = y - LR * grad(i, y)
            ends.append(y - x)
        d = np.mean(ends, 0)
        mean, v = b1 * mean + (1 - b1) * d, SQUARE[name](v, d, b2)
        x = x + 0.1 * mean / (np.sqrt(v) + tau)
    more = {} if name == "fedadagrad" else {"b2": b2}
    method = getattr(m, name)(server_lr=0.1, lr=LR, local_steps=2, b1=b1, tau=tau, **more)
    close(run(method, rounds=5)[1], x)


@pytest.mark.parametrize(("name", "more"), [("fedadam", {"b2": 0.999999}), ("fedyogi", {}), ("fedadagrad", {})])
def test_a_large_tau_is_momentum_at_the_server(name, more):
    """x moves by server_lr m / (2 tau): v starts at tau^2 and stays there, so that sqrt(v) + tau = 2 tau."""
    tau = 1e6
    method = getattr(m, name)(server_lr=0.5 * tau, lr=LR, tau=tau, b1=0.9, **more)
    server = dj.optimizer(optax.sgd, 0.25 * 0.1, momentum=0.9)
    close(run(method, rounds=4)[1], run(m.fedopt(server=server, lr=LR), rounds=4)[1], tol=1e-5)
