"""Network Lasso against ADMM with one dict of duals, its conditions of optimality, and its two ends."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, close, grad, grads, run

import dejax as dj

m, PENALTY = dj.methods, 0.7
NEIGHBORS = [[(i - 1) % N, (i + 1) % N] for i in range(N)]


def argmin(i, copies, duals):
    """Where g_i(y) + penalty sum_j (y - z_ij + u_ij) = 0; the Hessian is read off the unit vectors."""
    zero, d = np.zeros(X0.shape[1]), X0.shape[1]
    hessian = np.stack([grad(i, e) - grad(i, zero) for e in np.eye(d)], 1)
    target = sum(copies[i, j] - duals[i, j] for j in NEIGHBORS[i])
    return np.linalg.solve(hessian + 2 * PENALTY * np.eye(d), PENALTY * target - grad(i, zero))


def loop(rounds, lam, steps=None, lost=lambda t, i, j: False):
    """The three steps of each round, with gradient steps or the closed form; `lost(t, i, j)`: i misses what j sent."""
    x, u = X0.copy(), {(i, j): np.zeros(X0.shape[1]) for i in range(N) for j in NEIGHBORS[i]}
    for t in range(rounds):
        z, new = {}, {}
        for i, j in u:
            a, b = x[i] + u[i, j], x[j] + u[j, i]
            share = max(1 - lam / (PENALTY * np.linalg.norm(a - b)), 0.5)
            z[i, j] = share * a + (1 - share) * b
            new[i, j] = a - z[i, j]
            if lost(t, i, j):
                z[i, j], new[i, j] = x[i], u[i, j]
        u = new
        if steps is None:
            x = np.stack([argmin(i, z, u) for i in range(N)])
            continue
        y = x.copy()
        for _ in range(steps):
            pull = [sum(y[i] - z[i, j] + u[i, j] for j in NEIGHBORS[i]) for i in range(N)]
            y = y - LR * (grads(y) + PENALTY * np.stack(pull))
        x = y
    return x


def test_against_numpy_at_any_price():
    for lam in (0.0, 0.3, 5.0):
        method = m.network_lasso(lr=LR, lam=lam, penalty=PENALTY, local_steps=3)
        for rounds in (1, 3, 6):
            close(run(method, RING, rounds)[1], loop(rounds, lam, 3))


def objective(x, lam):
    """sum_i f_i(x_i) + lam sum over edges |x_i - x_j|."""
    local = sum(MADE.losses(x[i])[i] for i in range(N))
    return local + lam * sum(np.linalg.norm(x[i] - x[(i + 1) % N]) for i in range(N))


def test_conditions_of_optimality():
    """Nodes that are equal form a group, whose slopes and edges that leave it balance."""
    lam = 0.9
    _, x = run(m.network_lasso(lr=LR, lam=lam, penalty=PENALTY), RING, 1000)
    fused = [np.linalg.norm(x[i] - x[(i + 1) % N]) < 1e-7 for i in range(N)]
    assert 0 < sum(fused) < N - 1  # some neighbors are equal, and not all
    group = np.arange(N)
    for i in [*range(N), *range(N)]:
        if fused[i]:
            group[i] = group[(i + 1) % N] = min(group[i], group[(i + 1) % N])
    slopes = grads(x)
    for g in set(group):
        inside = [i for i in range(N) if group[i] == g]
        pulls = [x[i] - x[j] for i in inside for j in NEIGHBORS[i] if group[j] != g]
        total = sum(slopes[i] for i in inside) + lam * sum(p / np.linalg.norm(p) for p in pulls)
        close(total, np.zeros_like(total), 1e-7)
    best = objective(x, lam)
    rng = np.random.default_rng(0)
    assert all(objective(x + 0.01 * rng.standard_normal(x.shape), lam) > best for _ in range(20))


def test_price_zero_is_local_and_a_high_one_is_consensus():
    local = run(m.local_only(lr=LR), None)[1]
    close(run(m.network_lasso(lr=LR, lam=0.0, penalty=PENALTY, local_steps=1), RING)[1], local)
    _, x = run(m.network_lasso(lr=LR, lam=1e3, penalty=PENALTY), RING, 800)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)


@pytest.mark.slow
def test_many_local_steps_are_the_closed_form():
    method = m.network_lasso(lr=LR, lam=0.3, penalty=PENALTY, local_steps=150)
    close(run(method, RING, 4)[1], loop(4, 0.3), 1e-10)


@pytest.mark.slow
def test_lost_messages_move_no_fixed_point():
    lam = 0.9
    method = m.network_lasso(lr=LR, lam=lam, penalty=PENALTY)
    lossy = dj.Network(RING, faults=dj.faults.directed_link_loss(p=0.3), repair="row")
    close(run(method, lossy, 1500)[1], run(method, RING, 1500)[1], 1e-6)
