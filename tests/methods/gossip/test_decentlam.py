"""DecentLaM against NumPy, its limits, and its fixed point."""

import numpy as np
import optax
import pytest
from references import LR, MADE, RING, ROUNDS, X0, N, W, close, grads, mix, run

import dejax as dj

m = dj.methods


def test_decentlam():
    x, speed = X0.copy(), np.zeros_like(X0)
    for _ in range(ROUNDS):
        speed = 0.7 * speed + (x - mix(W, x - LR * grads(x))) / LR
        x = x - LR * speed
    close(run(m.decentlam(lr=LR, momentum=0.7), RING)[1], x)


def test_without_momentum_it_is_dsgd():
    close(run(m.decentlam(lr=LR, momentum=0.0), RING)[1], run(m.dsgd(lr=LR), RING)[1])


@pytest.mark.slow
def test_on_the_complete_graph_it_is_heavy_ball():
    complete, x, speed = dj.topology.complete(N).astype("float64"), X0[0], np.zeros(4)
    for _ in range(ROUNDS):
        speed = 0.9 * speed + MADE.gradients(x).mean(0)
        x = x - LR * speed
    equal = np.broadcast_to(X0[0], X0.shape)
    close(run(m.decentlam(lr=LR), complete, x0=equal)[1], np.broadcast_to(x, X0.shape))


@pytest.mark.slow
def test_its_fixed_point_is_that_of_dsgd_and_local_momentum_has_a_worse_one():
    dsgd, mine = run(m.dsgd(lr=0.05), RING, 4000)[1], run(m.decentlam(lr=0.05), RING, 4000)[1]
    close(mine, dsgd, 1e-9)
    heavy = run(m.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=0.05, momentum=0.9)), RING, 4000)[1]
    far = lambda x: np.sqrt(((x - MADE.x_star) ** 2).sum(1).mean())
    assert 1e-3 < far(mine) < 0.5 * far(heavy)


def test_numbers_out_of_range_are_named():
    with pytest.raises(dj.FieldError, match="DecentLam.momentum is 1.0; give a number in"):
        m.decentlam(lr=0.1, momentum=1.0)
    with pytest.raises(dj.FieldError, match="DecentLam.lr is 0.0; give a finite number > 0"):
        m.decentlam(lr=0.0)
