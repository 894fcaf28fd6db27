"""GT-SARAH and GT-HSGD against NumPy on the same batches, and on full ones, where variance reduction has nothing to do."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, RING, ROUNDS, X0, N, W, close, grads, mix, run

import dejax as dj

m, PERIOD, ANCHOR, BETA, SLOW = dj.methods, 3, 2, 0.3, 0.05
NOISY = zoo.Uneven(batch_size=1)


class Seen(NamedTuple):
    """The batches of a round."""

    params: Any
    again: Any  # x [n, 1, d], y [n, 1]: the batch of the recursion


@dj.struct
class Watch:
    """Draws a batch by the name that a method draws it by, and keeps it; models stay."""

    lr: Any = 1.0
    inside: str = dj.static(default="")

    def init(self, params, key):
        n, d = params["x"].shape
        return Seen(params, {"x": jnp.zeros((n, 1, d)), "y": jnp.zeros((n, 1))})

    def step(self, state, round):
        draw = lambda r, old: r.batch().data
        if not self.inside:
            return Seen(state.params, draw(round, state.again))
        there = round.index >= 0
        return Seen(state.params, round.when(there, draw, state.again, name=self.inside))


def batches(rounds, inside=""):
    """(x [n, d], y [n]) of every round."""
    out = []
    for r in range(1, rounds + 1):
        state, _ = zoo.run(Watch(inside=inside), NOISY.problem, RING, r, X0)
        out.append((np.asarray(state.again["x"])[:, 0], np.asarray(state.again["y"])[:, 0]))
    return out


def at(batch, x):
    """Gradients of every node at its own sample."""
    a, b = batch
    return ((a * x).sum(1) - b)[:, None] * a


def track(x, y, v, new):
    """One round of tracking of estimates."""
    y = mix(W, y + new - v)
    return mix(W, x - SLOW * y), y, new


def sarah(x, y, v, new, lr=SLOW):
    """The same in the order of GT-SARAH's paper."""
    y = mix(W, y) + new - v
    return mix(W, x) - lr * y, y, new


def test_gt_hsgd_against_numpy():
    drawn = batches(4)
    assert len({a.tobytes() for a, _ in drawn}) > 1
    x, last, y, v = X0.copy(), X0, np.zeros_like(X0), np.zeros_like(X0)
    for t, batch in enumerate(drawn):
        new = at(batch, x) + (1 - BETA) * (v - at(batch, last)) if t else at(batch, x)
        last, (x, y, v) = x, track(x, y, v, new)
        state, got = run(m.gt_hsgd(lr=SLOW, beta=BETA), RING, t + 1, NOISY.problem)
        close(got, x)
        close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.estimate["x"]).mean(0))


def anchors(i, x):
    """What an anchor of node i at x may be: the mean of two gradients, each of any of its samples."""
    one = [(NOISY.a[j] @ x - NOISY.b[j]) * NOISY.a[j] for j in NOISY.rows[i]]
    return [(first + second) / 2 for first in one for second in one]


def test_gt_sarah_between_anchors_against_numpy():
    """From the state after each round the next follows; where an anchor is due, v is a mean of gradients at x."""
    drawn = batches(4, "recursion")
    method = m.gt_sarah(lr=SLOW, period=PERIOD, anchor=ANCHOR)
    host = lambda state: [np.asarray(leaf["x"]) for leaf in state]
    x, y, v, last = X0, np.zeros_like(X0), np.zeros_like(X0), X0
    for t in range(4):
        state, _ = run(method, RING, t + 1, NOISY.problem)
        new_x, new_y, new_v, new_last = host(state)
        if t % PERIOD:
            close(new_v, v + at(drawn[t], x) - at(drawn[t], last))
        else:
            assert all(min(np.abs(new_v[i] - mean).max() for mean in anchors(i, x[i])) < 1e-12 for i in range(N))
        want_x, want_y, _ = sarah(x, y, v, new_v)
        close(new_x, want_x)
        close(new_y, want_y)
        close(new_last, x)
        x, y, v, last = new_x, new_y, new_v, new_last


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [m.gt_sarah(lr=LR, anchor=1, period=PERIOD), m.gt_hsgd(lr=LR, beta=BETA)], ids=["sarah", "hsgd"]
)
def test_full_batches_are_tracking_of_gradients_to_the_optimum(method):
    x, y, g = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for _ in range(ROUNDS):
        if isinstance(method, m.gt_sarah):
            x, y, g = sarah(x, y, g, grads(x), LR)
        else:
            y, g = mix(W, y + grads(x) - g), grads(x)
            x = mix(W, x - LR * y)
    close(run(method, RING)[1], x)
    x = run(method, RING, 1500)[1]
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)


@pytest.mark.slow
def test_beta_one_is_tracking_of_plain_gradients_and_less_of_it_is_less_noise():
    drawn = batches(4)
    x, y, v = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for batch in drawn:
        x, y, v = track(x, y, v, at(batch, x))
    close(run(m.gt_hsgd(lr=SLOW, beta=1.0), RING, 4, NOISY.problem)[1], x)
    assert off(m.gt_hsgd(lr=0.01, beta=0.05)) < off(m.gt_hsgd(lr=0.01, beta=1.0)) / 4


@pytest.mark.slow
def test_the_noise_of_an_anchor_stays():
    """So that one batch is no better an anchor than a plain gradient, and many are better; nobody may leave the choice out."""
    one, many = (off(m.gt_sarah(lr=0.01, anchor=k, period=10)) for k in (1, 16))
    assert many < one / 4 and one > off(m.gt_hsgd(lr=0.01, beta=1.0)) / 2
    with pytest.raises(TypeError, match="anchor"):
        m.gt_sarah(lr=0.01)


def off(method):
    """Mean squared distance of an estimate to the node's whole gradient, late in a run."""
    total = 0.0
    for r in (200, 220, 240, 260):
        state, _ = run(method, RING, r, NOISY.problem)
        v, last = np.asarray(state.estimate["x"]), np.asarray(state.last["x"])
        total += sum(np.square(v[i] - NOISY.gradient(i, last[i])).sum() for i in range(N)) / (4 * N)
    return total
