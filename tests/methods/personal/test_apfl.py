"""APFL against NumPy."""

import numpy as np
import pytest
from references import LR, X0, N, close, grad, run, same, sampled

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("learns", [True, False])
def test_rounds_follow_the_paper(learns):
    x, v, a = X0.mean(0), np.tile(X0.mean(0), (N, 1)), np.full(N, 0.4)
    for t in range(5):
        ends = []
        for i in sampled(t, 3):
            w = x
            for _ in range(2):
                slope = grad(i, a[i] * v[i] + (1 - a[i]) * w)
                share = np.clip(a[i] - LR * (v[i] - w) @ slope, 0, 1) if learns else a[i]
                w, v[i], a[i] = w - LR * grad(i, w), v[i] - LR * a[i] * slope, share
            ends.append(w)
        x = np.mean(ends, 0)
    state, got = run(m.apfl(lr=LR, share=0.4, learn_share=learns, clients=3, local_steps=2), rounds=5)
    close(got, x)
    close(state.personal["x"], v)
    close(state.share, a)
    assert (np.asarray(state.share) != 0.4).any() == learns


def test_the_global_model_is_that_of_fedavg_and_a_share_of_one_is_local():
    kw = {"lr": LR, "local_steps": 2}
    state, got = run(m.apfl(share=1.0, learn_share=False, **kw), rounds=4)
    close(got, run(m.fedavg(**kw), rounds=4)[1])
    close(state.personal["x"], run(m.local_only(lr=LR), rounds=8, x0=np.tile(X0.mean(0), (N, 1)))[1])
    same(m.apfl(lr=LR).views(state)["personal"]["x"], state.personal["x"])
