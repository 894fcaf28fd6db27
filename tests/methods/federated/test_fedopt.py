"""FedOpt: any optax optimizer at the server, against FedAvg and NumPy."""

import numpy as np
import optax
from references import LR, X0, N, close, grad, run, same

import dejax as dj

m = dj.methods


def test_plain_steps_of_one_are_fedavg():
    kw = {"lr": LR, "clients": 3, "local_steps": 2}
    close(run(m.fedopt(server=dj.optimizer(optax.sgd, 1.0), **kw))[1], run(m.fedavg(**kw))[1])


def test_momentum_at_the_server_is_fedavgm():
    x, v = X0.mean(0), 0
    for _ in range(4):
        change = np.mean([-LR * grad(i, x) for i in range(N)], 0)
        v = 0.9 * v + change
        x = x + 0.5 * v
    close(run(m.fedopt(server=dj.optimizer(optax.sgd, 0.5, momentum=0.9), lr=LR), rounds=4)[1], x)


def test_the_servers_rate_may_be_a_schedule():
    falling = dj.optimizer(optax.sgd, dj.optimizers.InverseSqrt(peak=1.0, offset=2.0))
    x = X0.mean(0)
    for t in range(3):
        x = x + np.mean([-LR * grad(i, x) for i in range(N)], 0) / np.sqrt(1 + t / 2)
    close(run(m.fedopt(server=falling, lr=LR), rounds=3)[1], x)
    same(
        run(m.fedopt(server=falling, lr=LR, weights="uniform"), rounds=3)[1],
        run(m.fedopt(server=falling, lr=LR), rounds=3)[1],
    )
