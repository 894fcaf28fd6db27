"""FedBuff against NumPy: stale models, updates weighed by age."""

import jax
import numpy as np
from references import LR, X0, N, close, grad, run, same, sampled

import dejax as dj
from dejax.core.random import fold_name

m = dj.methods


def ages(t, ids, delay):
    """Ages of round t, from the run's key by name and node."""
    round = jax.random.fold_in(jax.random.key(0), t)
    key = fold_name(round, "sample/age") if len(ids) < N else fold_name(round, "age")
    return [int(jax.random.randint(jax.random.fold_in(key, int(i)), (), 0, delay + 1)) for i in ids]


def test_rounds_follow_the_paper():
    delay, past = 3, [X0.mean(0)] * 4
    for t in range(6):
        ids = sampled(t, 3)
        drawn, change = ages(t, ids, delay), 0
        for i, a in zip(ids, drawn, strict=True):
            y = past[a]
            for _ in range(2):
                y = y - LR * grad(i, y)
            change = change + (y - past[a]) / np.sqrt(1 + a) / 3
        past = [past[0] + 0.7 * change, *past[:-1]]
    assert len(set(drawn)) > 1
    close(run(m.fedbuff(lr=LR, clients=3, delay=delay, local_steps=2, server_lr=0.7), rounds=6)[1], past[0])


def test_without_delay_it_is_fedavg_with_equal_weights():
    kw = {"lr": LR, "clients": 3, "local_steps": 2}
    same(run(m.fedbuff(delay=0, **kw))[1], run(m.fedavg(**kw))[1])
