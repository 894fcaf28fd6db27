"""The two yardsticks against NumPy."""

import problems as zoo
from references import LR, ROUNDS, X0, close, grads, run

import dejax as dj

m = dj.methods


def test_local_only():
    x = X0.copy()
    for _ in range(ROUNDS):
        x = x - LR * grads(x)
    close(run(m.local_only(lr=LR))[1], x)


def test_centralized_on_unequal_shards():
    uneven = zoo.Uneven()
    x = X0.mean(0)
    for _ in range(ROUNDS):
        x = x - 0.1 * uneven.union_gradient(x)
    method = m.centralized(lr=0.1)
    close(run(method, None, ROUNDS, uneven.problem)[1], x)
