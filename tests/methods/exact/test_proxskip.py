"""Decentralized ProxSkip against NumPy with the same coins, its limits, and its exactness."""

import jax
import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, PROBLEM, RING, X0, N, W, close, grads, mix, run

import dejax as dj
from dejax.core.random import fold_name

m, t, P, MIX = dj.methods, dj.topology, 0.4, 0.6


def coin(r):
    """What the nodes throw in round r, from the run's key by name."""
    return bool(jax.random.bernoulli(fold_name(jax.random.fold_in(jax.random.key(0), r), "coin"), P))


def loop(w, mix_share, rounds):
    """The paper's form, with h in units of a gradient."""
    x, h = X0.copy(), np.zeros_like(X0)
    for r in range(rounds):
        z = x - LR * (grads(x) - h)
        x = (1 - mix_share) * z + mix_share * mix(w, z) if coin(r) else z
        h = h + P / LR * (x - z)
    return x, h


def test_against_numpy_and_to_the_optimum():
    thrown = {coin(r) for r in range(10)}
    assert thrown == {True, False}
    method = m.proxskip(lr=LR, p=P, mix=MIX)
    for rounds in (3, 10):
        state, x = run(method, RING, rounds)
        want, h = loop(W, MIX, rounds)
        close(x, want)
        close(np.asarray(state.correction["x"]), LR * h)
        close(np.asarray(state.correction["x"]).sum(0), np.zeros(X0.shape[1]))
    state, x = run(method, RING, 2000)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.correction["x"]), LR * grads(x), 1e-10)
    sent = zoo.run(method, PROBLEM, RING, 10, X0)[1].totals()["wire/when/gossip"]
    assert sent == 2 * N * zoo.D * 64 * sum(coin(r) for r in range(10))


@pytest.mark.slow
def test_a_coin_that_always_falls_on_its_face_is_exact_diffusion_or_d2():
    for share, other in ((0.5, m.exact_diffusion), (1.0, m.d2)):
        close(run(m.proxskip(lr=LR, p=1.0, mix=share), RING)[1], run(other(lr=LR), RING)[1])


@pytest.mark.slow
def test_on_the_complete_graph_it_is_scaffnew():
    """x_i = mean(z) where the coin says so, and h_i moves by (p / lr) (mean(z) - z_i)."""
    x, h = X0.copy(), np.zeros_like(X0)
    for r in range(10):
        z = x - LR * (grads(x) - h)
        x = np.broadcast_to(z.mean(0), z.shape) if coin(r) else z
        h = h + P / LR * (x - z)
    close(run(m.proxskip(lr=LR, p=P, mix=1.0), t.complete(N).astype("float64"))[1], x)


def test_how_far_an_average_goes_says_which_graphs_will_do():
    problem = zoo.squares(6)[0]
    even = dj.Network(t.ring(6))
    even.check(m.proxskip(lr=LR, mix=0.9), problem)  # above 1 - 4 / 2.7 = -0.48
    with pytest.raises(dj.RefusedError, match="ProxSkip needs all of them above -0.3333"):
        even.check(m.proxskip(lr=LR, mix=1.0), problem)
