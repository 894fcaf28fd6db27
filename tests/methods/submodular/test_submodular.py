"""DOBGA and Mono-DMFW against NumPy, what a boosted gradient is, and (1 - 1/e) of the best reward."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, X0, N, W, close, grads, mix, run

import dejax as dj
from dejax.core.random import fold_in, fold_name, uniform
from dejax.methods.submodular._dobga import SHARE

m = dj.methods
BOX = dj.proximal.box(low=-0.4, high=0.5)
clip = lambda x: np.clip(x, -0.4, 0.5)


def scales(t, seed=0):
    """The z of all nodes in round t, from the run's key by name."""
    keys = fold_in(fold_name(jax.random.fold_in(jax.random.key(seed), t), "scale"), jnp.arange(N))
    return 1 + np.log(SHARE * np.asarray(uniform(keys)) + 1 / np.e).astype(np.float64)[:, None]


@pytest.mark.parametrize("boxed", [True, False])
def test_dobga_against_numpy(boxed):
    prox, project = (BOX, clip) if boxed else (dj.proximal.none(), lambda x: x)
    x = X0.copy()
    for t in range(6):
        x = project(mix(W, x) - LR * SHARE * grads(scales(t) * x))
        if t in (0, 2, 5):
            close(run(m.dobga(lr=LR, prox=prox), RING, t + 1)[1], x, 1e-6)  # z is drawn in float32


def frank_wolfe(blocks, k, project):
    """Blocks of K rewards with one list per step."""
    v = [X0.copy() for _ in range(k)]
    for _ in range(blocks):
        path = [np.zeros_like(X0)]
        for j in range(k):
            path.append(mix(W, path[-1]) + v[j] / k)
        d = last = s = np.zeros_like(X0)
        for j in range(k):
            h = grads(path[j])
            d, last = mix(W, d + h - last), h
            np.testing.assert_allclose(d.mean(0), h.mean(0), atol=1e-12)  # mean(d) = mean(h)
            share = 2 / (j + 4) ** (2 / 3)
            s = (1 - share) * s + share * d
            v[j] = project(v[j] - LR * s)
    return path[-1], np.stack(v, 1)


@pytest.mark.parametrize("k", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_mono_dmfw_against_numpy(k):
    for blocks in (1, 2, 5) if k > 1 else (2, 5):  # one block of one: what is played is the start
        state, x = run(m.mono_dmfw(lr=LR, block=k, prox=BOX), RING, blocks)
        played, answers = frank_wolfe(blocks, k, clip)
        close(x, played, 1e-10)
        close(np.asarray(state.answers["x"]), answers, 1e-10)
        assert blocks == 1 or (np.abs(x) <= 0.5 + 1e-12).all()  # the answers, and so what is played, lie in the box


def test_boosted_gradients_are_means_under_the_density():
    """Draws against quadrature: for slopes that are affine in the point, the mean of z is all that counts."""
    u = (np.arange(200_000) + 0.5) / 200_000
    z = 1 + np.log(SHARE * u + 1 / np.e)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    at, w = (nodes + 1) / 2, weights / 2
    for power in (0, 1, 3):
        close(SHARE * (z**power).mean(), (w * np.exp(at - 1) * at**power).sum(), 1e-8)
    draws = np.concatenate([scales(t) for t in range(400)])
    assert draws.min() >= 0 and draws.max() <= 1
    np.testing.assert_allclose(draws.mean(), z.mean(), atol=4 * z.std() / np.sqrt(len(draws)))


def test_the_boosted_gradient_has_no_bad_stationary_point():
    """<y - x, integral e^(z-1) grad f(z x) dz> >= (1 - 1/e) f(y) - f(x) for all x, y in the box."""
    made = dj.data.diminishing(nodes=N, dim=4, seed=3, dtype="float64")
    nodes, weights = np.polynomial.legendre.leggauss(20)
    at, w = (nodes + 1) / 2, weights / 2
    rng = np.random.default_rng(0)
    f = lambda x: -made.losses(x)
    assert np.abs(f(np.zeros(4))).max() == 0
    for x, y in rng.random((50, 2, 4)):
        slope = sum(wi * np.exp(zi - 1) * -made.gradients(zi * x) for zi, wi in zip(at, w, strict=True))
        assert (slope @ (y - x) >= (1 - 1 / np.e) * f(y) - f(x) - 1e-12).all()
        assert (f(np.maximum(x, y)) + f(np.minimum(x, y)) <= f(x) + f(y) + 1e-12).all()  # submodular
        assert (-made.gradients(x) >= 0).all()  # monotone


def test_rewards_within_a_budget():
    """More than (1 - 1/e) of the best of many points drawn: DOBGA, then Mono-DMFW, then the even share."""
    dim, total = 6, 2.0
    made = dj.data.diminishing(nodes=N, dim=dim, spread=3.0, seed=1, dtype="float64")
    problem = dj.Problem(made.task, made.data)
    budget = dj.proximal.budget(total=total)
    reward = lambda x: float(-made.losses(np.asarray(x)).mean())
    rng = np.random.default_rng(0)
    points = np.asarray(budget.prox(1.0, jnp.asarray(3 * rng.random((20_000, dim)) - 0.5)))
    best = max(reward(x) for x in points)
    assert best < -made.f_star  # the budget binds
    starts = np.zeros((N, dim))
    found = {}
    for name, method, rounds in (
        ("dobga", m.dobga(lr=0.1, prox=budget), 300),
        ("mono_dmfw", m.mono_dmfw(lr=0.3, block=8, prox=budget), 60),
    ):
        state, _ = zoo.run(method, problem, RING, rounds, starts)
        x = np.asarray(state.params["x"])
        assert (x >= 0).all() and (x.sum(1) <= total + 1e-9).all()
        found[name] = min(reward(row) for row in x)
    even = reward(np.full(dim, total / dim))
    assert min(found.values()) > max((1 - 1 / np.e) * best, even)


def test_linear_rewards_give_a_fixed_share_of_the_gradient():
    made = dj.data.consensus(nodes=N, dim=zoo.D, dtype="float64")
    x = zoo.run(m.dobga(lr=LR), dj.Problem(Linear(), made.data), RING, 1, X0)[0].params["x"]
    close(np.asarray(x), mix(W, X0) - LR * SHARE)


class Linear:
    """The sum of all numbers, which slopes by one everywhere."""

    def init(self, key):
        del key
        return {"x": jnp.zeros(zoo.D)}

    def loss(self, params, batch, key):
        del key
        return jnp.broadcast_to(params["x"].sum(), batch["x"].shape[:1])
