"""Decentralized Adam and AccumAdam against NumPy, and what one step of accumulation is."""

import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, RING, X0, W, close, grads, mix, run

import dejax as dj

m = dj.methods
B1, B2, EPS = 0.8, 0.95, 1e-3


def reference(s, rounds, decay=0.0, l2=0.0):
    x, first, second, a = X0.copy(), np.zeros_like(X0), np.zeros_like(X0), np.zeros_like(X0)
    for t in range(1, rounds + 1):
        g, z = grads(x), mix(W, x)
        g = g + l2 * z
        a = a + g / s
        mean, square = first + (1 - B1) * g, second + (1 - B2) * g * g
        c = -(-t // s)
        x = z * (1 - LR * decay) - LR / (1 - B1**c) * mean / (np.sqrt(square / (1 - B2**c)) + EPS)
        if t % s == 0:
            first, second = B1 * (first + (1 - B1) * a), B2 * (second + (1 - B2) * a * a)
            a = np.zeros_like(a)
    return x


@pytest.mark.parametrize("s", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_decent_adam(s):
    method = m.decent_adam(lr=LR, accumulate=s, b1=B1, b2=B2, eps=EPS, weight_decay=0.3, l2=0.1)
    close(run(method, RING, 7)[1], reference(s, 7, 0.3, 0.1), 1e-11)


@pytest.mark.slow
def test_without_accumulation_it_is_adamw_in_dsgd():
    adamw = dj.optimizer(optax.adamw, learning_rate=LR, b1=B1, b2=B2, eps=EPS, weight_decay=0.3)
    want = run(m.dsgd(optimizer=adamw, order="awc"), RING)[1]
    close(run(m.decent_adam(lr=LR, b1=B1, b2=B2, eps=EPS, weight_decay=0.3), RING)[1], want, 1e-11)


@pytest.mark.slow
def test_one_node_is_adam():
    problem, _ = zoo.squares(n=1)
    alone = dj.topology.ring(1).astype("float64")
    adam = dj.optimizer(optax.adam, learning_rate=LR)
    want = run(m.local_only(optimizer=adam), None, 6, problem, X0[:1])[1]
    close(run(m.decent_adam(lr=LR), alone, 6, problem, X0[:1])[1], want, 1e-11)


@pytest.mark.slow
def test_moments_of_sums_see_less_noise():
    """Of noisy gradients the second moment holds the noise of means of s, not of single ones: steps grow by up to sqrt(s)."""
    uneven = zoo.Uneven(batch_size=1, sampling="replacement").problem
    second = lambda s: run(m.decent_adam(lr=1e-3, accumulate=s, b2=0.9), RING, 400, uneven)[0].square["x"]
    assert float(second(8)[2:].mean()) < 0.7 * float(second(1)[2:].mean())


def test_numbers_out_of_range_are_named():
    for given, want in (({"b1": 1.0}, "a number in"), ({"accumulate": 0}, ">= 1"), ({"eps": 0.0}, "> 0")):
        with pytest.raises(dj.FieldError, match=f"DecentAdam.{next(iter(given))} is .*{want}"):
            m.decent_adam(lr=0.1, **given)
