"""Decentralized ADMM against NumPy, with the argmin of least squares in closed form, and what one local step is."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grad, grads, mix, run

import dejax as dj

m, PENALTY = dj.methods, 0.8


def argmin(i, slope, about):
    """The y where g_i(y) + slope + 2 penalty (y - about) = 0; g_i is affine, so its matrix is read off the unit vectors."""
    zero = np.zeros_like(about)
    hessian = np.stack([grad(i, e) - grad(i, zero) for e in np.eye(len(about))], 1)
    return np.linalg.solve(hessian + 2 * PENALTY * np.eye(len(about)), 2 * PENALTY * about - slope - grad(i, zero))


def loop(rounds, steps=None):
    """x_i = argmin loss_i + f_i . y + penalty sum_j W_ij |y - (x_i + x_j)/2|^2, or so many gradient steps towards it."""
    x, f = X0.copy(), np.zeros_like(X0)
    for _ in range(rounds):
        middle = (x + mix(W, x)) / 2  # mean of the midpoints
        if steps is None:
            x = np.stack([argmin(i, f[i], middle[i]) for i in range(N)])
        else:
            y = x
            for _ in range(steps):
                y = y - LR * (grads(y) + f + 2 * PENALTY * (y - middle))
            x = y
        f = f + PENALTY * (x - mix(W, x))
    return x


def test_against_numpy_and_to_the_optimum():
    method = m.dadmm(lr=LR, penalty=PENALTY, local_steps=3)
    for rounds in (1, 2, 3):
        close(run(method, RING, rounds)[1], loop(rounds, 3))
    state, x = run(method, RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.dual["x"]), -grads(x), 1e-10)
    close(np.asarray(state.dual["x"]).sum(0), np.zeros(X0.shape[1]), 1e-10)


@pytest.mark.slow
def test_many_local_steps_are_the_closed_form_and_one_is_dlm():
    close(run(m.dadmm(lr=LR, penalty=PENALTY, local_steps=100), RING, 3)[1], loop(3), 1e-10)
    close(run(m.dadmm(lr=LR, penalty=PENALTY, local_steps=1), RING)[1], run(m.dlm(lr=LR, penalty=PENALTY), RING)[1])
