"""EXTRA against NumPy in the paper's form, its sums, and its exactness."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, mix, run

import dejax as dj

m, t = dj.methods, dj.topology


def two_term(rounds):
    """x'' = (I + W) x' - (I + W)/2 x - lr (g' - g) from x' = W x - lr g."""
    lazy = (np.eye(N) + W) / 2
    last, x = X0, mix(W, X0) - LR * grads(X0)
    for _ in range(rounds - 1):
        last, x = x, x + mix(W, x) - mix(lazy, last) - LR * (grads(x) - grads(last))
    return x


def test_against_numpy_and_to_the_optimum():
    for rounds in (1, 2, 3):
        close(run(m.extra(lr=LR), RING, rounds)[1], two_term(rounds))
    state, x = run(m.extra(lr=LR), RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.dual["x"]), -LR * grads(x), 1e-10)


def test_the_dual_sums_to_zero_and_the_mean_follows_the_mean_gradient():
    before, x = run(m.extra(lr=LR), RING, 3)
    y = run(m.extra(lr=LR), RING, 4)[1]
    close(np.asarray(before.dual["x"]).sum(0), np.zeros(X0.shape[1]))
    close(y.mean(0), x.mean(0) - LR * grads(x).mean(0))


@pytest.mark.slow
def test_its_first_round_is_dsgd_and_without_neighbors_it_is_local_descent():
    close(run(m.extra(lr=LR), RING, 1)[1], run(m.dsgd(lr=LR, order="awc"), RING, 1)[1])
    alone = t.isolated(N).astype("float64")
    close(run(m.extra(lr=LR), alone, 5)[1], run(m.dsgd(lr=LR), alone, 5)[1])


def test_an_eigenvalue_of_minus_one_is_refused():
    pairs = dj.Network(t.ring(2, weights=t.constant(1.0)))  # two nodes that swap their models
    data = dj.data.least_squares(nodes=2, dim=2, L=1.0, mu=0.5, zeta2=1.0, seed=0)
    with pytest.raises(
        dj.RefusedError, match="an eigenvalue of W of -1, but Extra needs all of them above -1; use lazy"
    ):
        pairs.check(m.extra(lr=0.1), dj.Problem(data.task, data.data))
