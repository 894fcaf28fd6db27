"""SAVIC against NumPy, its limits, and a badly scaled problem."""

import jax
import numpy as np
import pytest
from references import MADE, X0, N, close, grad, run, sampled

import dejax as dj
from dejax.core.random import fold_name

m = dj.methods


def rounds(scaling, clients, k, number, lr=0.05, b=0.9, floor=0.3):
    x, square = X0.mean(0), 0
    for t in range(number):
        ids = range(N) if clients is None else sampled(t, clients)
        g = np.mean([grad(i, x) for i in ids], 0)
        b_t = (b - b ** (t + 1)) / (1 - b ** (t + 1)) if scaling == "adam" else (b if t else 0)
        square = b_t * square + (1 - b_t) * g * g
        s, ends = np.maximum(floor, np.sqrt(square)), []
        for i in ids:
            y = x
            for _ in range(k):
                y = y - lr * grad(i, y) / s
            ends.append(y)
        x = np.mean(ends, 0)
    return x, square


@pytest.mark.parametrize(("scaling", "clients"), [("adam", None), pytest.param("rmsprop", 3, marks=pytest.mark.slow)])
def test_rounds_follow_the_paper(scaling, clients):
    method = m.savic(lr=0.05, beta=0.9, floor=0.3, scaling=scaling, clients=clients, local_steps=3)
    state, x = run(method, rounds=5)
    want, square = rounds(scaling, clients, 3, 5)
    close(x, want)
    close(state.scale["x"], square)


def test_adams_scaling_is_the_mean_of_all_squares():
    """b_t makes weights b^(t - s) (1 - b) / (1 - b^(t + 1)) of round s."""
    b, method = 0.9, m.savic(lr=0.05, beta=0.9, floor=0.3, local_steps=3)
    starts = [X0.mean(0)] + [run(method, rounds=t)[1] for t in (1, 2, 3)]
    squares = np.stack([np.mean([grad(i, x) for i in range(N)], 0) ** 2 for x in starts])
    weights = b ** np.arange(3, -1, -1) * (1 - b) / (1 - b**4)
    close(run(method, rounds=4)[0].scale["x"], weights @ squares)


def directions(t):
    """The signs of round t, from the run's key by name."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "sample/directions")
    return np.asarray(jax.random.rademacher(jax.random.fold_in(key, 0), (4,), np.float64))


HESSIANS = np.stack([MADE.gradients(e) - MADE.gradients(np.zeros(4)) for e in np.eye(4)], 2)  # [n, d, d]


def test_oasis_follows_the_paper():
    """v * H v, H the mean of the sampled nodes' Hessians."""
    method = m.savic(lr=0.05, beta=0.8, floor=0.3, scaling="oasis", clients=3, local_steps=2)
    x, diagonal = X0.mean(0), 0
    for t in range(4):
        ids = sampled(t, 3)
        v = directions(t)
        h = v * (HESSIANS[ids].mean(0) @ v)
        diagonal = 0.8 * diagonal + 0.2 * h if t else h
        s, ends = np.maximum(0.3, np.abs(diagonal)), []
        for i in ids:
            y = x
            for _ in range(2):
                y = y - 0.05 * grad(i, y) / s
            ends.append(y)
        x = np.mean(ends, 0)
    state, got = run(method, rounds=4)
    close(got, x)
    close(state.scale["x"], diagonal)


def test_oasis_counts_a_product_with_the_hessian():
    """One per sampled node and round, beside the gradient at the server and those of local steps."""
    problem = dj.Problem(MADE.task, MADE.data)
    history = dj.simulate(
        m.savic(lr=0.05, scaling="oasis", clients=3, local_steps=2), problem, dj.Network(), 4, every=4, progress=False
    )
    last = history.records[-1]
    assert last["products"] == 4 * 3 and last["gradients"] == 4 * 3 * 3


@pytest.mark.slow
def test_oasis_on_diagonal_hessians_is_newtons_method():
    made = dj.data.quadratics(nodes=N, dim=4, dtype="float64")
    x = run(m.savic(lr=1.0, scaling="oasis", local_steps=1), rounds=1, problem=dj.Problem(made.task, made.data))[1]
    close(x, made.x_star)


@pytest.mark.slow
def test_a_high_floor_is_local_sgd():
    """Of nodes that count alike; all have as many samples here."""
    got = run(m.savic(lr=20.0, floor=100.0, local_steps=3), rounds=4)[1]
    close(got, run(m.fedavg(lr=0.2, local_steps=3), rounds=4)[1])


@pytest.mark.slow
def test_one_step_is_preconditioned_descent_on_the_mean_loss():
    x = run(m.savic(lr=0.1, floor=0.3, local_steps=1), rounds=1)[1]
    g = np.mean([grad(i, X0.mean(0)) for i in range(N)], 0)
    close(x, X0.mean(0) - 0.1 * g / np.maximum(0.3, np.abs(g)))
