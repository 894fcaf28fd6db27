"""DBW against NumPy under a clock of unequal nodes, its limits, and who is waited for."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import MADE, PROBLEM, X0, N, close, grad, run

import dejax as dj
from dejax.methods.federated._dbw import _non_decreasing

m = dj.methods
SPEED = np.array([1.0, 4.0, 1.5, 9.0, 2.0])


def isotonic(values, weights):
    """Pool adjacent violators, one block after the other."""
    blocks = []
    for v, w in zip(values, weights, strict=True):
        blocks.append([v * w, w, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] > blocks[-1][0] * blocks[-2][1]:
            total, weight, size = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + weight, blocks[-1][2] + size]
    return np.concatenate([[t / w] * size for t, w, size in blocks])


def by_hand(lr, rounds, window, seconds, x, losses=MADE.losses, gradient=grad):
    """The rounds by the equations, with n choices.

    lr: a number, or a function of the round. seconds: of a gradient and a forward pass at each node.
    """
    rate = lr if callable(lr) else lambda t: lr
    n = len(seconds)
    k, history, waits, totals = n, [], [], [[] for _ in range(n)]
    for t in range(rounds):
        waits.append(k)
        lr, before_lr = rate(t), rate(t - 1)
        order = np.argsort(seconds, kind="stable")
        g_i = [gradient(i, x) for i in order[:k]]
        g, loss = np.mean(g_i, 0), np.mean([losses(x)[i] for i in order[:k]])
        v = sum(((a - g) ** 2).sum() for a in g_i) / (k - 1) if k > 1 else history[-1][1]
        slope = max((g**2).sum() - v / k, 0)
        bend = np.nan
        if t:
            before, _, last_slope, last_size, _ = history[-1]
            bend = 2 * (loss - before + before_lr * last_slope) / (before_lr**2 * last_size)
        history.append((loss, v, slope, (g**2).sum(), bend))
        for j in range(k):
            totals[j].append(seconds[order[j]])
        x = x - lr * g
        if not t:
            continue
        recent = np.array(history[-window:])
        v, slope, bend = recent[:, 1].mean(), recent[:, 2].mean(), max(np.nanmean(recent[:, 4]), 0)
        ks = np.arange(1, n + 1)
        gain = (lr - bend * lr**2 / 2) * slope - bend * lr**2 / 2 * v / ks
        times = isotonic([np.mean(s) for s in totals], [len(s) for s in totals])
        speed = gain / times
        new = max(i + 1 for i in range(n) if speed[i] >= (1 - 1e-4) * speed.max()) if gain.max() > 0 else n
        k = max(new, min(k + 1, n)) if loss > 1.01 * before else new
    return x, waits, k


def clocked(method, rounds, speed=SPEED, problem=PROBLEM, **kw):
    clock = dj.faults.clock(gradient=jnp.asarray(speed), **kw)
    return zoo.run(method, problem, dj.Network(clock=clock), rounds, X0)


@pytest.mark.parametrize(
    "lr", [0.3, *(pytest.param(lr, marks=pytest.mark.slow) for lr in (1.2, dj.Cosine(0.6, 12, end=0.05)))], ids=str
)
def test_rounds_follow_the_equations(lr):
    state, meters = clocked(m.dbw(lr=lr, window=3, choices=N), 12)
    x, waits, k = by_hand((lambda t: float(lr(t))) if callable(lr) else lr, 12, 3, SPEED * 4 / 3, X0.mean(0))
    close(np.asarray(state.params["x"]), x, 1e-9)
    assert int(state.wait) == k and len(set(waits)) > 1
    took = np.diff(np.r_[0, np.asarray(meters.seconds)])
    np.testing.assert_allclose(took, np.sort(SPEED * 4 / 3)[np.array(waits) - 1], rtol=1e-6)


def test_nodes_that_are_equally_fast_are_all_waited_for():
    """SGD on all nodes. Without a clock there is nobody who is first."""
    x = X0.mean(0)
    for _ in range(6):
        x = x - 0.3 * np.mean([grad(i, x) for i in range(N)], 0)
    with pytest.raises(dj.RefusedError, match="give network.clock"):
        run(m.dbw(lr=0.3), rounds=6)
    close(np.asarray(clocked(m.dbw(lr=0.3), 6, np.ones(N), latency=0.5)[0].params["x"]), x)


@pytest.mark.slow
def test_gradients_that_are_alike_make_it_wait_for_one():
    made = dj.data.equal_quadratics(nodes=N, dim=4, zeta2=0.0, dtype="float64")
    state, _ = clocked(m.dbw(lr=0.3, choices=N), 4, problem=dj.Problem(made.task, made.data))
    assert int(state.wait) == 1


@pytest.mark.slow
def test_a_round_in_which_nobody_is_heard_changes_nothing():
    network = dj.Network(faults=dj.faults.link_loss(p=1.0), clock=dj.faults.clock(exponential=1.0))
    state, _ = zoo.run(m.dbw(lr=0.3), PROBLEM, network, 2, X0)
    first = m.dbw(lr=0.3).init({"x": jnp.asarray(X0)}, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, state._replace(params=()), first._replace(params=()))
    close(np.asarray(state.params["x"]), X0.mean(0))


def test_isotonic_means_against_pooling():
    rng = np.random.default_rng(0)
    for _ in range(20):
        count = rng.integers(1, 5, 6).astype(float)
        mean = rng.uniform(0.5, 3, 6)
        want = isotonic(mean, count)
        np.testing.assert_allclose(_non_decreasing(jnp.asarray(mean * count), jnp.asarray(count)), want / want[-1])
    unknown = _non_decreasing(jnp.array([2.0, 3.0, 0.0]), jnp.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(unknown, [2 / 3, 1, 1])
    np.testing.assert_array_equal(_non_decreasing(jnp.zeros(3), jnp.ones(3)), np.ones(3))


def test_bad_numbers_name_their_bounds():
    for kw, match in (
        ({"lr": 0.0}, r"Dbw.lr is 0.0; give a finite number > 0"),
        ({"lr": 0.1, "window": 0}, r"Dbw.window is 0; give a whole number >= 1"),
        ({"lr": 0.1, "choices": 0}, r"Dbw.choices is 0; give a whole number >= 1"),
    ):
        with pytest.raises(ValueError, match=match):
            m.dbw(**kw)
