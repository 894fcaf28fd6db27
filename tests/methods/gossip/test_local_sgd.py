"""Local SGD against NumPy, and what one local step is."""

import problems as zoo
from references import LR, RING, ROUNDS, X0, W, close, grads, mix, run, same

import dejax as dj

m = dj.methods


def test_local_sgd():
    x = X0.copy()
    for _ in range(ROUNDS):
        for _ in range(3):
            x = x - LR * grads(x)
        x = mix(W, x)
    close(run(m.local_sgd(lr=LR, local_steps=3), zoo.ring())[1], x)


def test_one_local_step_is_dsgd_bit_for_bit():
    want = run(m.dsgd(lr=LR), RING)[1]
    same(run(m.local_sgd(lr=LR, local_steps=1), RING)[1], want)
