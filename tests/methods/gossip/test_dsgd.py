"""D-PSGD against a loop over nodes in plain NumPy, and what it conserves."""

import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, MADE, RING, ROUNDS, X0, N, W, close, grads, mix, run

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("order", ["atc", "awc", "cta"])
def test_dsgd(order):
    x = X0.copy()
    for _ in range(ROUNDS):
        if order == "atc":
            x = mix(W, x - LR * grads(x))
        elif order == "awc":
            x = mix(W, x) - LR * grads(x)
        else:
            p = mix(W, x)
            x = p - LR * grads(p)
    close(run(m.dsgd(lr=LR, order=order), zoo.ring())[1], x)


def test_dsgd_with_schedule_and_rates_per_node():
    rates = np.linspace(0.05, 0.3, N)
    x, z = X0.copy(), X0.copy()
    for t in range(ROUNDS):
        x = mix(W, x - rates[:, None] * grads(x))
        z = mix(W, z - 0.3 / np.sqrt(1 + t) * grads(z))
    close(run(m.dsgd(lr=rates), zoo.ring())[1], x)
    close(run(m.dsgd(lr=dj.InverseSqrt(0.3)), zoo.ring())[1], z, 2e-7)  # schedules are computed in float32


def test_dsgd_with_adam():
    x, mu, nu = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for t in range(1, ROUNDS + 1):
        g = grads(x)
        mu, nu = 0.9 * mu + 0.1 * g, 0.99 * nu + 0.01 * g * g
        x = mix(W, x - LR * (mu / (1 - 0.9**t)) / (np.sqrt(nu / (1 - 0.99**t)) + 1e-8))
    adam = dj.optimizer(optax.adam, learning_rate=LR, b1=0.9, b2=0.99)
    close(run(m.dsgd(optimizer=adam), zoo.ring())[1], x)


@pytest.mark.parametrize("order", ["atc", "awc"])
def test_mean_of_dsgd_moves_by_the_mean_gradient(order):
    g = np.stack([MADE.gradients(X0[i])[i] for i in range(N)])
    close(run(m.dsgd(lr=LR, order=order), RING, 1)[1].mean(0), X0.mean(0) - LR * g.mean(0))


@pytest.mark.slow
def test_equal_curvature_mean_of_dsgd_is_centralized():
    made = dj.data.equal_quadratics(nodes=N, dim=zoo.D, seed=2, dtype="float64")
    problem = dj.Problem(made.task, made.data)
    x = run(m.dsgd(lr=LR, order="awc"), RING, 8, problem)[1]
    close(x.mean(0), run(m.centralized(lr=LR), None, 8, problem)[1])
    assert np.abs(x - x.mean(0)).max() > 0.01


def test_gossip_contracts_by_rho_each_round():
    x, rho = run(m.dsgd(lr=0.0), RING, 6)[1], dj.topology.rho(RING)
    spread = lambda x: ((x - x.mean(0)) ** 2).sum()
    assert spread(x) <= rho**12 * spread(X0) * (1 + 1e-9)


@pytest.mark.slow
def test_identity_matrix_is_no_communication():
    alone = dj.topology.from_matrix(np.eye(N), allow_disconnected=True).astype("float64")
    want = run(m.local_only(lr=LR))[1]
    for order in ("atc", "awc", "cta"):
        close(run(m.dsgd(lr=LR, order=order), alone)[1], want, 1e-14)


@pytest.mark.slow
def test_adapt_then_combine_and_combine_then_adapt_are_one_sequence():
    w = RING.matrix()
    p = run(m.dsgd(lr=LR, order="atc"), RING, 3, x0=w @ X0)[1]
    x = run(m.dsgd(lr=LR, order="cta"), RING, 3)[1]
    close(w @ x, p)
