"""DLM against NumPy in the paper's form, which counts neighbors, its limits, and its exactness."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, run

import dejax as dj

m, t, PENALTY = dj.methods, dj.topology, 0.8
NEIGHBORS = [[j for j in range(N) if j != i and W[i, j] > 0] for i in range(N)]


def paper(c, rho, rounds):
    """x_i -= (g_i + c sum_j (x_i - x_j) + f_i) / (2 c d_i + rho);  f_i += c sum_j (x_i' - x_j')."""
    apart = lambda x: np.stack([sum(x[i] - x[j] for j in NEIGHBORS[i]) for i in range(N)])
    degree = np.array([len(of) for of in NEIGHBORS])[:, None]
    x, f = X0.copy(), np.zeros_like(X0)
    for _ in range(rounds):
        x = x - (grads(x) + c * apart(x) + f) / (2 * c * degree + rho)
        f = f + c * apart(x)
    return x


def test_against_numpy_and_to_the_optimum():
    c = PENALTY / 3  # the ring has weights 1/3
    method, rho = m.dlm(lr=LR, penalty=PENALTY), 1 / LR - 2 * c * 2
    assert rho > 0
    for rounds in (1, 2, 3):
        close(run(method, RING, rounds)[1], paper(c, rho, rounds))
    state, x = run(method, RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.dual["x"]), -grads(x), 1e-10)
    close(np.asarray(state.dual["x"]).sum(0), np.zeros(X0.shape[1]), 1e-10)


@pytest.mark.slow
def test_with_half_a_step_as_penalty_and_equal_starts_it_is_extra():
    equal = np.broadcast_to(X0[0], X0.shape)
    method = m.dlm(lr=LR, penalty=0.5 / LR)
    close(run(method, RING, x0=equal)[1], run(m.extra(lr=LR), RING, x0=equal)[1])
    assert np.abs(run(method, RING)[1] - run(m.extra(lr=LR), RING)[1]).max() > 1e-3


@pytest.mark.slow
def test_no_penalty_is_local_descent():
    alone = t.isolated(N).astype("float64")
    close(run(m.dlm(lr=LR, penalty=0.0), RING, 5)[1], run(m.dsgd(lr=LR), alone, 5)[1])
