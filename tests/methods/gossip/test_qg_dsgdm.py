"""QG-DSGDm against NumPy, and what its momentum is without neighbors."""

import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, MADE, RING, ROUNDS, X0, N, W, close, grads, mix, run

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("nesterov", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_qg_dsgdm(nesterov):
    beta, mu, x, q = 0.7, 0.6, X0.copy(), np.zeros_like(X0)
    for _ in range(ROUNDS):
        g = grads(x)
        heavy = beta * q + g
        new = mix(W, x - LR * (g + beta * heavy if nesterov else heavy))
        x, q = new, mu * q + (1 - mu) * (x - new) / LR
    close(run(m.qg_dsgdm(lr=LR, beta=beta, mu=mu, nesterov=nesterov), RING)[1], x)


def test_without_beta_it_is_dsgd_for_every_mu():
    close(run(m.qg_dsgdm(lr=LR, beta=0.0, mu=0.9), RING)[1], run(m.dsgd(lr=LR), RING)[1])


@pytest.mark.slow
def test_on_the_complete_graph_it_is_quasi_hyperbolic_momentum():
    complete, x, q = dj.topology.complete(N).astype("float64"), X0[0], np.zeros(4)
    for _ in range(ROUNDS):
        g = MADE.gradients(x).mean(0)
        x, q = x - LR * (0.9 * q + g), (0.9 + 0.1 * 0.9) * q + 0.1 * g
    equal = np.broadcast_to(X0[0], X0.shape)
    got = run(m.qg_dsgdm(lr=LR, nesterov=False), complete, x0=equal)[1]
    close(got, np.broadcast_to(x, X0.shape))


@pytest.mark.slow
def test_unequal_data_bias_it_less_than_local_momentum():
    far = lambda method: ((run(method, RING, 600)[1] - MADE.x_star) ** 2).mean()
    heavy = dj.optimizer(optax.sgd, learning_rate=0.05, momentum=0.9)
    assert far(m.qg_dsgdm(lr=0.05)) < 0.5 * far(m.dsgd(optimizer=heavy))


@pytest.mark.slow
def test_moves_are_divided_by_the_rate_of_their_round():
    rates = dj.InverseSqrt(0.3)
    x, q = X0.copy(), np.zeros_like(X0)
    for t in range(ROUNDS):
        lr, g = 0.3 / np.sqrt(1 + t), grads(x)
        new = mix(W, x - lr * (g + 0.9 * (0.9 * q + g)))
        x, q = new, 0.9 * q + 0.1 * (x - new) / lr
    close(run(m.qg_dsgdm(lr=rates), zoo.ring())[1], x, 1e-6)


def test_a_rate_of_zero_is_refused():
    with pytest.raises(dj.FieldError, match="QgDsgdm.lr is 0.0; give a finite number > 0"):
        m.qg_dsgdm(lr=0.0)
