"""Synthetic problems: constants as asked, the optimum where it is said to be, and tasks that agree with the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import data

PROBLEMS = {
    "least_squares": lambda **kw: data.least_squares(nodes=6, dim=4, L=2.0, mu=0.25, zeta2=3.0, noise=0.5, **kw),
    "quadratics": lambda **kw: data.quadratics(nodes=6, dim=4, zeta2=2.0, **kw),
    "equal_quadratics": lambda **kw: data.equal_quadratics(nodes=6, dim=4, L=2.0, mu=0.25, zeta2=3.0, **kw),
    "logistic": lambda **kw: data.logistic(nodes=6, dim=4, samples=20, **kw),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_vanishes_at_the_optimum(name, dtype):
    p = PROBLEMS[name](dtype=dtype)
    assert p.x_star.dtype == np.float64
    assert np.linalg.norm(p.gradients(p.x_star).mean(0)) < 1e-14 * max(1, p.L)
    assert p.f_star == p.losses(p.x_star).mean()
    rng = np.random.default_rng(1)
    for _ in range(20):  # mu/2 ||x - x*||^2 <= f(x) - f*  <= L/2 ||x - x*||^2
        x = p.x_star + rng.standard_normal(4)
        gap, r = p.losses(x).mean() - p.f_star, ((x - p.x_star) ** 2).sum()
        assert p.mu / 2 * r * (1 - 1e-9) <= gap <= p.L / 2 * r * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_task_and_data_agree_with_the_host(name, key):
    """jax.grad of the mean loss over each node's own rows is the host's gradient, also away from the optimum."""
    p = PROBLEMS[name](dtype="float64")
    x = p.x_star + 0.3 * np.arange(4)

    def one(i):
        batch = {k: v[p.data.index[i]] for k, v in p.data.arrays.items()}
        return jax.value_and_grad(lambda q: p.task.loss(q, batch, key).mean())({"x": jnp.asarray(x)})

    values, grads = zip(*[one(i) for i in range(p.n)], strict=True)
    np.testing.assert_allclose(values, p.losses(x), rtol=1e-13)
    np.testing.assert_allclose([g["x"] for g in grads], p.gradients(x), rtol=1e-11, atol=1e-13)
    test = p.task.metrics({"x": jnp.asarray(x)}, p.data.test)["loss"]
    np.testing.assert_allclose(test.mean(), p.losses(x).mean(), rtol=1e-13)


def test_constants_as_asked():
    p = data.least_squares(nodes=7, dim=5, L=3.0, mu=0.1, zeta2=2.5, dtype="float64")
    np.testing.assert_allclose([p.L, p.mu, p.zeta2], [3.0, 0.1, 2.5], rtol=1e-12)
    p = data.least_squares(nodes=7, dim=5, L=3.0, mu=0.1, zeta2=0.0, noise=0.8, dtype="float64")
    np.testing.assert_allclose(p.sigma2, 0.64, rtol=1e-12)
    assert p.zeta2 < 1e-25
    p = data.equal_quadratics(nodes=7, dim=5, L=3.0, mu=0.1, zeta2=2.5, dtype="float64")
    np.testing.assert_allclose([p.L, p.mu, p.zeta2], [3.0, 0.1, 2.5], rtol=1e-12)
    p = data.logistic(nodes=7, dim=5, l2=0.05)
    assert p.mu == 0.05 and p.zeta2 > 0.01
    assert data.logistic(nodes=7, dim=5, samples=20_000, heterogeneity=0.0).zeta2 < 1e-3


def test_constants_by_finite_differences():
    """L and mu are what second differences of the node losses show, for a problem made of rows."""
    p = data.least_squares(nodes=3, dim=3, L=2.0, mu=0.5, dtype="float64")
    eye, h = np.eye(3), 1e-3
    hessians = np.stack([(p.gradients(h * e) - p.gradients(-h * e)) / (2 * h) for e in eye], -1)
    values = np.linalg.eigvalsh(hessians)
    np.testing.assert_allclose([values.max(), values.min()], [2.0, 0.5], rtol=1e-9)


def test_float32_constants_are_those_of_the_stored_numbers():
    p = PROBLEMS["least_squares"](dtype="float32")
    a, b = (np.asarray(p.data.arrays[k], np.float64) for k in "xy")
    star = np.linalg.lstsq(a, b, rcond=None)[0]
    np.testing.assert_allclose(p.x_star, star, rtol=1e-12)
    assert abs(p.zeta2 - 3.0) < 1e-5 and p.data.arrays["x"].dtype == jnp.float32


@pytest.mark.parametrize("name", [*PROBLEMS, "consensus", "diminishing"])
def test_rows_and_models_are_as_wide_as_jax_allows(name, key):
    make = PROBLEMS.get(name) or (lambda: getattr(data, name)(nodes=6, dim=4))
    for wide, dtype in ((True, jnp.float64), (False, jnp.float32)):
        with jax.enable_x64(wide):
            p = make()
            assert p.data.arrays["x"].dtype == p.task.init(key)["x"].dtype == dtype


def test_float64_runs_come_to_the_optimum():
    """In float32 they stop at about 1e-6."""
    p = data.least_squares(nodes=4, dim=3, zeta2=0.0, mu=0.5)
    method, problem = dj.methods.dsgd(lr=0.5), dj.Problem(p.task, p.data)
    state, _ = dj.rollout(method, problem, dj.Network(dj.topology.complete(4)), jax.random.key(0), 200)
    assert np.abs(np.asarray(state.params["x"]) - p.x_star).max() < 1e-12


def test_quadratics_follow_the_published_recipe():
    p = data.quadratics(nodes=5, dim=3, zeta2=4.0, dtype="float64")
    a, b = np.asarray(p.data.arrays["x"]), np.asarray(p.data.arrays["y"])
    for i in range(5):
        np.testing.assert_allclose(a[i], (i + 1) / np.sqrt(5) * np.eye(3), rtol=1e-15)
    np.testing.assert_allclose(p.x_star, np.linalg.solve((a @ a).sum(0), np.einsum("nij,ni->j", a, b)), rtol=1e-12)
    big = data.quadratics(nodes=2, dim=20_000 // 100, zeta2=4.0)
    first = np.asarray(big.data.arrays["y"])[0]
    assert abs(first.var() - 4.0) < 5 * 4.0 * np.sqrt(2 / 200)


def test_equal_quadratics_mean_identity():
    """The mean of unequal models moves as if it sat at the mean: mean_i grad f_i(x_i) = grad f(mean x)."""
    p = data.equal_quadratics(nodes=6, dim=4, dtype="float64")
    x = np.random.default_rng(0).standard_normal((6, 4))
    own = np.stack([p.gradients(x[i])[i] for i in range(6)])
    np.testing.assert_allclose(own.mean(0), p.gradients(x.mean(0)).mean(0), atol=1e-14)
    r, rb = np.asarray(p.data.arrays["x"][0]), np.asarray(p.data.arrays["y"])
    np.testing.assert_allclose(p.x_star, np.linalg.solve(r, rb.T).T.mean(0), rtol=1e-11)


@pytest.mark.slow
def test_gradient_noise_has_the_asked_variance_and_leaves_the_loss(key):
    p = data.quadratics(nodes=2, dim=8, noise=0.6, dtype="float64")
    batch = {k: v[:1] for k, v in p.data.arrays.items()}
    params = {"x": jnp.ones(8)}
    grad = lambda k: jax.grad(lambda q: p.task.loss(q, batch, k).mean())(params)["x"]
    g = np.asarray(jax.jit(jax.vmap(grad))(jax.random.split(key, 4000)))
    exact = p.gradients(np.ones(8))[0]
    assert np.abs(g.mean(0) - exact).max() < 5 * 0.6 / np.sqrt(8 * 4000)
    assert abs(((g - exact) ** 2).sum(1).mean() - 0.36) < 5 * 0.36 * np.sqrt(2 / 8 / 4000)
    np.testing.assert_allclose(p.task.loss(params, batch, key), p.losses(np.ones(8))[:1], rtol=1e-13)
    assert abs(p.sigma2 - 0.36) < 1e-12


def test_consensus_has_no_gradient_and_random_starts(key):
    p = data.consensus(nodes=3, dim=500, spread=2.0)
    assert p.optimum is None
    x = p.task.init(key)["x"]
    assert abs(float(x.std()) - 2.0) < 5 * 2.0 / np.sqrt(1000)
    assert not p.gradients(np.asarray(x, np.float64)).any()


def test_tasks_are_values():
    assert PROBLEMS["logistic"]().task == PROBLEMS["logistic"]().task
    assert hash(PROBLEMS["quadratics"]().task) == hash(PROBLEMS["quadratics"](seed=5).task)


def test_gradient_descent_reaches_the_optimum(key):
    p = PROBLEMS["logistic"](dtype="float64")
    f = lambda q: p.task.loss(q, p.data.test, key).mean()
    x = jax.lax.fori_loop(
        0, 3000, lambda _, q: jax.tree.map(lambda a, g: a - g / p.L, q, jax.grad(f)(q)), p.task.init(key)
    )
    np.testing.assert_allclose(x["x"], p.x_star, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: data.least_squares(nodes=4, dim=3, mu=2.0, L=1.0), r"mu is 2\.0 and L is 1\.0"),
        (lambda: data.least_squares(nodes=4, dim=3, zeta2=-1.0), "zeta2"),
        (lambda: data.least_squares(nodes=1, dim=3), "with one node"),
        (lambda: data.least_squares(nodes=4, dim=3, samples=2), "give samples >= 3"),
        (lambda: data.least_squares(nodes=4, dim=3, samples=3, noise=1.0), "give samples >= 4"),
        (lambda: data.logistic(nodes=4, dim=3, l2=0.0), "l2"),
        (lambda: data.quadratics(nodes=0, dim=3), "nodes is 0; give a whole number >= 1"),
        (lambda: data.consensus(nodes=4, dim=3, spread=0.0), "spread"),
        (lambda: data.quadratics(nodes=2, dim=3, dtype="float16"), "dtype"),
    ],
)
def test_bad_requests_are_named(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_problems_are_seeded():
    a, b, c = (data.least_squares(nodes=3, dim=2, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.x_star, b.x_star)
    assert not np.allclose(a.x_star, c.x_star)


def test_diminishing_rewards_are_largest_at_one():
    p = data.diminishing(nodes=6, dim=4, rows=3, dtype="float64")
    assert p.f_star == p.losses(p.x_star).mean() and p.mu < 0 < p.L  # neither convex nor concave
    points = np.random.default_rng(0).random((200, 4))
    assert (np.stack([p.losses(x) for x in points]) > p.losses(p.x_star)).all()
    x = points[0]
    mean = lambda x, rows: p.task.loss({"x": x}, {"x": rows}).mean()
    rows = np.asarray(p.data.arrays["x"]).reshape(6, 3, 4, 4)
    np.testing.assert_allclose([float(mean(jnp.asarray(x), r)) for r in rows], p.losses(x), atol=1e-12)
    np.testing.assert_allclose([jax.grad(mean)(jnp.asarray(x), r) for r in rows], p.gradients(x), atol=1e-12)
