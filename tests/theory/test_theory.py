"""Exact recursions against measured runs, bounds above them, constants against those of the generators."""

import math

import jax
import numpy as np
import pytest

import dejax as dj
from dejax import theory
from dejax.theory.constants import constants

N, D = 6, 3
METHODS = {
    "atc": lambda lr: dj.methods.dsgd(lr=lr),
    "awc": lambda lr: dj.methods.dsgd(lr=lr, order="awc"),
    "cta": lambda lr: dj.methods.dsgd(lr=lr, order="cta"),
    "local": lambda lr: dj.methods.local_sgd(lr=lr, local_steps=3),
    "tracking": lambda lr: dj.methods.gradient_tracking(lr=lr),
}


def squares(**kw):
    return dj.data.synthetic.least_squares(nodes=N, dim=D, L=1.0, mu=0.2, zeta2=2.0, dtype="float64", **kw)


def logistic(**kw):
    return dj.data.synthetic.logistic(nodes=N, dim=D, samples=20, l2=0.3, heterogeneity=0.5, dtype="float64", **kw)


def ring(n=N):
    return dj.Network(dj.topology.ring(n).astype("float64"))


def spread(made, seed=1):
    """Unequal starts."""
    return {"x": jax.numpy.asarray(np.random.default_rng(seed).standard_normal((made.n, D)))}


def measured(method, made, network, rounds, params=None, every=1, seed=0, **kw):
    problem = dj.Problem(made.task, made.data, **kw)
    metrics = [dj.metrics.objective, dj.metrics.consensus]
    return dj.simulate(
        method, problem, network, rounds=rounds, every=every, seed=seed, metrics=metrics, params=params, progress=False
    )


def predicted(method, made, network, rounds, params=None, **kw):
    return theory.predict(method, dj.Problem(made.task, made.data, **kw), network, rounds, params=params)


@pytest.mark.parametrize("name", METHODS)
def test_the_exact_recursion_is_the_run(name):
    """To rounding, from unequal starts, round for round; the curve ends at its floor."""
    made, method = squares(), METHODS[name](0.3)
    history = measured(method, made, ring(), 40, spread(made))
    got = predicted(method, made, ring(), 40, spread(made))
    for number in ("objective", "consensus"):
        curve = got.curve(number, "exact")
        want = history.series(number)[1][0]
        np.testing.assert_allclose(curve.values, want, rtol=1e-9, atol=1e-12, err_msg=number)
        assert 0 < curve.rate < 1
    far = predicted(method, made, ring(), 600, spread(made))
    for number in ("objective", "consensus"):
        curve = far.curve(number, "exact")
        assert curve.values[-1] == pytest.approx(curve.floor, rel=1e-6, abs=1e-12)
    if name == "tracking":  # exact on unequal data
        assert far.curve("objective").floor == pytest.approx(made.f_star) and far.curve("consensus").floor < 1e-20
    else:
        assert far.curve("objective").floor > made.f_star + 1e-4


@pytest.mark.parametrize("name", METHODS)
def test_the_rate_is_that_of_the_curve(name):
    made, method = squares(), METHODS[name](0.1)
    curve = predicted(method, made, ring(), 400, spread(made)).curve("consensus")
    left = np.abs(np.sqrt(curve.values[[200, 250]]) - math.sqrt(max(curve.floor, 0)))
    assert (left[1] / left[0]) ** (1 / 50) == pytest.approx(curve.rate, abs=0.01)


def test_a_schedule_and_a_sequence_of_graphs():
    made = squares()
    for method, network in (
        (dj.methods.dsgd(lr=dj.InverseSqrt(0.3)), ring()),
        (dj.methods.gradient_tracking(lr=0.05), dj.Network(dj.topology.one_peer_ring(N).astype("float64"))),
        (dj.methods.dsgd(lr=np.linspace(0.1, 0.3, N)), ring()),
    ):
        want = measured(method, made, network, 12, spread(made)).series("objective")[1][0]
        got = predicted(method, made, network, 12, spread(made)).curve("objective", "exact")
        np.testing.assert_allclose(got.values, want, rtol=1e-9)


@pytest.mark.parametrize("name", ["atc", "local", "tracking"])
@pytest.mark.slow
def test_additive_noise_in_the_mean_over_seeds(name):
    """The expected objective and consensus, by 400 seeds within 5 standard errors."""
    made = dj.data.synthetic.quadratics(nodes=N, dim=D, zeta2=1.0, noise=1.0, dtype="float64")
    method, seeds, rounds = METHODS[name](0.1), list(range(400)), 20
    history = measured(method, made, ring(), rounds, every=10, seed=seeds)
    got = predicted(method, made, ring(), rounds)
    for number in ("objective", "consensus"):
        values = history.series(number)[1][:, 1:]
        want = got.curve(number, "exact").values[[10, 20]]
        error = values.std(0) / math.sqrt(len(seeds))
        assert (np.abs(values.mean(0) - want) < 5 * error).all(), number
        assert (error < 0.1 * want).all()


@pytest.mark.parametrize("make", [squares, logistic])
@pytest.mark.parametrize("name", METHODS)
def test_the_measured_curve_lies_under_the_bound(name, make):
    """As does the exact one; and the bound is no empty one."""
    made = make()
    lr = 0.02 if name in ("local", "awc") else 0.05
    method, rounds = METHODS[name](lr), 150
    history = measured(method, made, ring(), rounds, spread(made))
    got = predicted(method, made, ring(), rounds, spread(made))
    for number in ("objective", "consensus"):
        curve = got.curve(number, "bound")
        assert (history.series(number)[1][0] <= curve.values * (1 + 1e-9) + 1e-15).all(), number
        exact = got.curve(number, "exact")
        assert (exact is None) == (make is logistic)
        assert exact is None or (exact.values <= curve.values * (1 + 1e-9) + 1e-15).all()
    curve = got.curve("objective", "bound")
    assert curve.rate < 1 and curve.floor - made.f_star < 20 * (curve.values[0] - made.f_star)
    if name in ("atc", "cta") and make is logistic:  # it says something: nearer than the start by far
        assert curve.floor - made.f_star < 0.2 * (curve.values[0] - made.f_star)
    if name == "tracking":
        assert curve.floor == pytest.approx(made.f_star)


@pytest.mark.parametrize("make", [squares, logistic])
@pytest.mark.parametrize("sampling", ["replacement", "without_replacement"])
def test_mini_batches_lie_under_the_bound_on_average(make, sampling):
    made, method = make(), dj.methods.dsgd(lr=0.05)
    kw = {"batch_size": 2, "sampling": sampling}
    history = measured(method, made, ring(), 60, spread(made), every=20, seed=list(range(30)), **kw)
    got = predicted(method, made, ring(), 60, spread(made), **kw)
    assert got.curve("objective", "exact") is None and any("exact" in why for why in got.unknown)
    for number in ("objective", "consensus"):
        curve = got.curve(number, "bound").values[::20]
        assert (history.series(number)[1].mean(0) <= curve * (1 + 1e-9)).all(), number


@pytest.mark.parametrize("make", [squares, logistic])
def test_constants_are_those_of_the_generator(make):
    made = make(noise=0.5) if make is squares else make()
    got = constants(dj.Problem(made.task, made.data))
    for name in ("L", "mu", "zeta2", "f_star"):
        assert getattr(got, name) == pytest.approx(getattr(made, name), rel=1e-9), name
    np.testing.assert_allclose(got.x_star, made.x_star, rtol=1e-8)
    point = np.random.default_rng(0).standard_normal(D)
    np.testing.assert_allclose(got.gradients(np.tile(point, (N, 1))), made.gradients(point), rtol=1e-9)
    one = constants(dj.Problem(made.task, made.data, batch_size=1))
    if make is squares:
        assert one.at_star**2 == pytest.approx(made.sigma2, rel=1e-9)
    else:
        assert one.at_star**2 >= made.sigma2


@pytest.mark.parametrize(
    ("method", "network", "kw", "why"),
    [
        (dj.methods.d2(lr=0.1), dj.Network(dj.topology.ring(N, weights=dj.topology.lazy())), {}, "no curve of D2"),
        (dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.ring(N), faults=dj.faults.link_loss(p=0.1)), {}, "network.faults"),
        (dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.ring(N), codec=dj.compression.direct(dj.compression.top_k(k=1))), {}, "network.codec"),
        (dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.random_matching(N)), {}, "drawn afresh"),
        (dj.methods.dsgd(lr=0.1), ring(), {"batch_size": 2, "sampling": "epoch"}, "by epochs are not unbiased"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(method, network, kw, why):
    got = predicted(method, squares(), network, 5, **kw)
    assert not got.curves and any(why in text for text in got.unknown), got.unknown


def test_unknown_constants_and_graph_facts():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=N, seed=0)
    got = theory.predict(dj.methods.dsgd(lr=0.1), dj.Problem(dj.tasks.mlp(64, 10), data), ring(), 5)
    assert not got.curves and "are not known" in got.constants and got.unknown
    assert got.graph["rho"] == pytest.approx(dj.topology.rho(dj.topology.ring(N)))
    assert got.graph["mixing_time"] >= 1 and 1 < got.graph["effective_neighbours"] < N


def test_a_rate_that_is_too_large_ends_nowhere():
    made = squares()
    got = predicted(dj.methods.dsgd(lr=3.0), made, ring(), 5)
    assert got.curve("objective", "exact").rate > 1 and got.curve("objective", "exact").floor == math.inf
    assert got.curve("objective", "bound").floor == math.inf
    assert got.curve("objective", "bound").plain()["floor"] == "inf"
