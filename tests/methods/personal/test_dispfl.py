"""DisPFL: sparse models whose patterns change; what is off the mask is zero and is not sent."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
from references import LR, RING, X0, N, W, close, grads, run

import dejax as dj

m = dj.methods
SHAPE = (6, 4)


def problem():
    """f_i(w) = ||w - b_i||^2 / 2 over a matrix, so that it can be pruned."""
    b = np.random.default_rng(3).standard_normal((N, *SHAPE))
    data = dj.data.NodeData({"b": b}, np.arange(N, dtype=np.int32)[:, None], np.ones(N, np.int32), even=True)
    loss = lambda p, batch, key: 0.5 * jnp.square(p["w"][None] - batch["b"]).sum((1, 2))
    init = lambda key: {"w": jax.random.normal(key, SHAPE, jnp.float64)}
    return dj.Problem(dj.tasks.from_functions(init, loss), data), b


def test_a_round_follows_the_paper():
    """One round from a known start, but for what grows at random: that is counted."""
    made, b = problem()
    method = m.dispfl(lr=LR, density=0.5, local_steps=2, prune_rate=0.5, rounds=10)
    before, _ = dj.rollout(method, made, dj.Network(RING), jax.random.key(0), 1)
    after, meters = dj.rollout(method, made, dj.Network(RING), jax.random.key(0), 2)
    x, mask = np.asarray(before.params["w"]), np.asarray(before.mask["w"])
    mixed = x.copy()
    for i in range(N):
        over = sum(W[i, j] * mask[j] * x[j] for j in range(N))
        under = sum(W[i, j] * mask[j] for j in range(N))
        mixed[i] = np.where(under > 0, over / np.where(under > 0, under, 1), x[i])
    y = mixed * mask
    for _ in range(2):
        y = y - LR * mask * (y - b)
    share = 0.25 * (1 + np.cos(np.pi * 1 / 10))
    count = int(np.ceil(share * 12))
    for i in range(N):
        held = np.flatnonzero(mask[i])
        order = held[np.argsort(np.abs(y[i].ravel()[held]), kind="stable")]
        kept = order[count:]
        new = np.asarray(after.mask["w"][i]).ravel()
        assert new[kept].all() and not new[order[:count]].any() and new.sum() == 12
        want = np.zeros(24)
        want[kept] = y[i].ravel()[kept]
        close(np.asarray(after.params["w"][i]).ravel(), want)
    degrees = (W != 0).sum(0) - 1
    assert meters.totals()["wire/gossip"] == 2 * int(degrees.sum()) * (12 * 64 + 24)


def test_density_one_is_gossip_and_local_steps():
    state, x = run(m.dispfl(lr=LR, density=1.0, local_steps=1), dj.Network(RING), rounds=3)
    want = X0
    for _ in range(3):
        mixed = W @ want
        want = mixed - LR * grads(mixed)
    close(x, want)
    assert zoo.N == N and np.asarray(state.mask["x"]).all()
