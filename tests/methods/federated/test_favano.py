"""FAVANO against NumPy; steps at an upload by hand; no bias by speed where gradients do not change."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import X0, N, close, grad, run, sampled

import dejax as dj
from dejax.core.random import fold_in, fold_name
from dejax.data import NodeData

m = dj.methods
SLOW = functools.partial(pytest.param, marks=pytest.mark.slow)
SPEED = np.array([0.9, 0.2, 0.5, 1.0, 0.7])


def steps_at_upload(speed, share, k, interval, rounds=4000):
    """P(q = 0..k) at an upload, as a sum over the rounds since the last one."""
    now, total = np.eye(k + 1)[0], np.zeros(k + 1)
    for r in range(rounds):
        for _ in range(interval):
            now = np.array(
                [(now[q] * (1 - speed) if q < k else now[q]) + (now[q - 1] * speed if q else 0) for q in range(k + 1)]
            )
        total += share * (1 - share) ** r * now
    return total


def paces(t, interval):
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "pace")
    draw = [jax.random.uniform(fold_in(key, np.int32(i)), (interval,), float) for i in range(N)]
    return np.array([(np.asarray(d) < SPEED[i]).sum() for i, d in enumerate(draw)])


@pytest.mark.parametrize(
    ("alpha", "clients"), [("stochastic", 2), SLOW("deterministic", 2), SLOW("deterministic", None)]
)
def test_rounds_follow_the_paper(alpha, clients):
    k, interval, lr = 4, 3, 0.1
    share = 1 if clients is None else clients / N
    at = np.stack([steps_at_upload(s, share, k, interval) for s in SPEED])
    mean, moved = at @ np.arange(k + 1), 1 - at[:, 0]
    x, w, w0, q = X0.mean(0), np.tile(X0.mean(0), (N, 1)), np.tile(X0.mean(0), (N, 1)), np.zeros(N, int)
    for t in range(6):
        done = np.minimum(paces(t, interval), k - q)
        for i in range(N):
            for _ in range(done[i]):
                w[i] = w[i] - lr * grad(i, w[i])
        q = q + done
        ids = np.arange(N) if clients is None else sampled(t, clients)
        a = mean if alpha == "deterministic" else moved * q
        u = [w0[i] + ((w[i] - w0[i]) / a[i] if q[i] else 0) for i in ids]
        x = (x + np.sum(u, 0)) / (len(ids) + 1)
        w[ids] = w0[ids] = x
        q[ids] = 0
    method = m.favano(lr=lr, clients=clients, local_steps=k, interval=interval, speed=SPEED, alpha=alpha)
    state, got = run(method, rounds=6)
    close(got, x)
    close(state.models["x"], w)
    close(state.mean_steps, mean)
    close(state.moved, moved)


@pytest.mark.slow
def test_the_quickest_nodes_all_heard_move_x_by_the_mean_step():
    """Speed 1 and time for K steps: w' = w + (1 / (n + 1)) sum_i (w_i - w) / K."""
    lr, k, w = 0.1, 3, X0.mean(0)
    moves = []
    for i in range(N):
        y = w
        for _ in range(k):
            y = y - lr * grad(i, y)
        moves.append(y - w)
    for alpha in ("stochastic", "deterministic"):
        got = run(m.favano(lr=lr, local_steps=k, interval=5, speed=1.0, alpha=alpha), rounds=1)[1]
        close(got, w + np.sum(moves, 0) / k / (N + 1))


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ["stochastic", "deterministic"])
def test_updates_do_not_depend_on_speed_where_gradients_do_not_change(alpha):
    """E[(w_i - w0_i) / a_i] = -lr g for every speed: slow nodes pull x along 0, quick ones along 1, equally far.

    Five standard errors over 4000 uploads of each kind.
    """
    k, interval, half, rounds, lr = 4, 6, 20, 200, 0.1
    index = np.arange(2 * half, dtype=np.int32)[:, None]
    rows = {"x": jnp.asarray(np.repeat(np.eye(2), half, 0))}
    task = dj.tasks.from_functions(lambda key: {"x": jnp.zeros(2)}, lambda p, batch, key: batch["x"] @ p["x"])
    problem = dj.Problem(task, NodeData(rows, jnp.asarray(index), jnp.ones(2 * half, jnp.int32)))
    speed = np.repeat([0.1, 0.9], half)
    method = m.favano(lr=lr, local_steps=k, interval=interval, speed=speed, alpha=alpha)
    x = np.asarray(zoo.run(method, problem, None, rounds)[0].params["x"])
    ratio = -x * (2 * half + 1) / (lr * half * rounds)
    for got, s in zip(ratio, (0.1, 0.9), strict=True):
        at, q = steps_at_upload(s, 1.0, k, interval, 1), np.arange(k + 1)
        each = q / (at @ q) if alpha == "deterministic" else (q > 0) / (1 - at[0])
        assert abs(got - 1) < 5 * np.sqrt(at @ (each - 1) ** 2 / (half * rounds)) + 1e-9


@pytest.mark.slow
def test_lost_uploads_leave_nodes_to_go_on_from_where_they_are():
    lost = dj.Network(faults=dj.faults.link_loss(p=1.0))
    state, _ = zoo.run(m.favano(lr=0.1, local_steps=4, interval=3, speed=SPEED), zoo.squares()[0], lost, 3, X0)
    close(state.params["x"], X0.mean(0), 1e-15)
    np.testing.assert_array_equal(state.steps, np.minimum(sum(paces(t, 3) for t in range(3)), 4))
