"""NIDS against NumPy in the paper's form, with a step size for every node."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, PROBLEM, RING, X0, N, W, close, grads, mix, run

import dejax as dj

m, t = dj.methods, dj.topology
OWN = LR * np.array([0.5, 1.0, 2.0, 1.5, 0.7])


def two_term(lr, rounds):
    """z'' = z' - x' + W~ (2 x' - x - L (g' - g)) with x = z, L = diag(lr), W~ = I - c L (I - W), c = 1 / (2 max lr)."""
    steps = np.broadcast_to(lr, (N,))
    w = np.eye(N) - (steps / (2 * steps.max()))[:, None] * (np.eye(N) - W)
    last, x = X0, X0 - steps[:, None] * grads(X0)
    for _ in range(rounds - 1):
        last, x = x, mix(w, 2 * x - last - steps[:, None] * (grads(x) - grads(last)))
    return x


@pytest.mark.parametrize("lr", [LR, OWN], ids=["one", "own"])
def test_against_numpy_and_to_the_optimum(lr):
    for rounds in (1, 2, 3):
        close(run(m.nids(lr=lr), RING, rounds)[1], two_term(lr, rounds))
    state, x = run(m.nids(lr=lr), RING, 1500)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.dual["x"]), -grads(x), 1e-10)
    close(np.asarray(state.dual["x"]).sum(0), np.zeros(X0.shape[1]), 1e-10)


def test_nothing_is_sent_in_round_0():
    sent = [zoo.run(m.nids(lr=LR), PROBLEM, RING, r, X0)[1].totals()["wire/when/gossip"] for r in (1, 3)]
    assert sent == [0, 2 * 2 * N * zoo.D * 64]  # two rounds of two edges per node, in bits


@pytest.mark.slow
def test_gradients_that_do_not_vary_and_equal_starts_make_it_extra():
    """NIDS mixes the difference of gradients, EXTRA does not: without one, and with equal starts, they are one sequence."""
    slopes = jnp.asarray(np.random.default_rng(0).standard_normal((N, zoo.D)))
    data = dj.data.NodeData({"x": slopes}, jnp.arange(N, dtype=jnp.int32)[:, None], jnp.ones(N, jnp.int32))
    loss = lambda params, batch, key: batch["x"] @ params["x"]
    init = lambda key: {"x": jax.random.normal(key, (zoo.D,), jnp.float64)}
    problem = dj.Problem(dj.tasks.from_functions(init, loss), data)
    equal = np.broadcast_to(X0[0], X0.shape)
    one, other = (run(method(lr=LR), RING, 5, problem, equal)[1] for method in (m.nids, m.extra))
    close(one, other)
    assert np.abs(run(m.exact_diffusion(lr=LR), RING, 5, problem, equal)[1] - one).max() > 1e-3
