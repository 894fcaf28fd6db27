"""D2 and exact diffusion against NumPy, what they are of each other, and their exactness."""

import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, mix, run

import dejax as dj

m, t = dj.methods, dj.topology
LAZY = (np.eye(N) + W) / 2


def two_term(w, rounds):
    """x'' = W (2 x' - x - lr (g' - g)) from x' = W (x - lr g)."""
    last, x = X0, mix(w, X0 - LR * grads(X0))
    for _ in range(rounds - 1):
        last, x = x, mix(w, 2 * x - last - LR * (grads(x) - grads(last)))
    return x


@pytest.mark.slow
@pytest.mark.parametrize(("method", "w"), [(m.d2(lr=LR), W), (m.exact_diffusion(lr=LR), LAZY)], ids=["d2", "lazy"])
def test_against_numpy_and_to_the_optimum(method, w):
    for rounds in (1, 2, 3):
        close(run(method, RING, rounds)[1], two_term(w, rounds))
    state, x = run(method, RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.correction["x"]), LR * grads(x), 1e-10)


def test_corrections_sum_to_zero_and_the_mean_follows_the_mean_gradient():
    before, x = run(m.d2(lr=LR), RING, 3)
    after, y = run(m.d2(lr=LR), RING, 4)
    for state in (before, after):
        close(np.asarray(state.correction["x"]).sum(0), np.zeros(X0.shape[1]))
    close(y.mean(0), x.mean(0) - LR * grads(x).mean(0))


@pytest.mark.slow
def test_exact_diffusion_is_d2_on_lazy_weights():
    lazy = t.ring(N, weights=t.lazy()).astype("float64")
    close(run(m.exact_diffusion(lr=LR), RING)[1], run(m.d2(lr=LR), lazy)[1])


@pytest.mark.slow
@pytest.mark.parametrize("method", [m.d2(lr=LR), m.exact_diffusion(lr=LR)], ids=["d2", "lazy"])
def test_without_neighbors_it_is_local_descent(method):
    x = X0.copy()
    for _ in range(4):
        x = x - LR * grads(x)
    close(run(method, t.isolated(N).astype("float64"), 4)[1], x)


@pytest.mark.slow
def test_equal_starts_on_the_complete_graph_are_centralized():
    equal = np.broadcast_to(X0[0], X0.shape)
    want = run(m.centralized(lr=LR), None, x0=equal)[1]
    close(run(m.d2(lr=LR), t.complete(N).astype("float64"), x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.parametrize("n", [5, 6])
def test_the_ring_of_an_even_number_stands_at_the_limit(n):
    """Eigenvalues 1/3 + 2/3 cos(2 pi k / n): the least is -1/3 for even n, and -0.206 for n = 5."""
    problem, _ = zoo.squares(n)
    network = dj.Network(t.ring(n).astype("float64"))
    network.check(m.exact_diffusion(lr=LR), problem)
    if n == 5:
        return network.check(m.d2(lr=LR), problem)
    with pytest.raises(dj.RefusedError, match="D2 needs all of them above -0.3333; use lazy weights"):
        network.check(m.d2(lr=LR), problem)
