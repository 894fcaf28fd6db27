"""Where curves end, what tracking does with noise, runs through phases, and what is named where it holds."""

import math
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import dejax as dj
from dejax import theory
from dejax.data.synthetic.tasks import SquaresTask

N, D = 6, 3


def squares(**kw):
    return dj.data.synthetic.least_squares(nodes=N, dim=D, L=1.0, mu=0.2, zeta2=2.0, dtype="float64", **kw)


def logistic(**kw):
    return dj.data.synthetic.logistic(nodes=N, dim=D, samples=20, l2=0.3, heterogeneity=0.5, dtype="float64", **kw)


def over(graph):
    return dj.Network(graph.astype("float64"))


def flat(rows, d, noise=0.0, common=0):
    """Squares with fewer rows than parameters, `rows` at each of 4 nodes; the last `common` parameters do nothing."""
    rng = np.random.default_rng(0)
    a = [rng.standard_normal((rows, d)) * (np.arange(d) < d - common) for _ in range(4)]
    data = dj.data.from_clients([(x, rng.standard_normal(rows)) for x in a])
    return dj.Problem(SquaresTask(d, noise=noise, dtype="float64"), data)


@pytest.mark.parametrize("method", [dj.methods.dsgd(lr=0.05), dj.methods.gradient_tracking(lr=0.02)])
def test_losses_that_are_flat_somewhere_have_a_floor(method):
    """8 rows, 12 parameters: all rows are met, as runs show, and the factor is that of the curve."""
    problem, network = flat(2, 12), over(dj.topology.ring(4))
    got = theory.predict(method, problem, network, 1300)
    history = dj.simulate(
        method, problem, network, rounds=1300, every=1300, metrics=["objective", "consensus"], progress=False
    )
    for name in ("objective", "consensus"):
        curve = got.curve(name, "exact")
        assert curve.rate < 1 and 0 <= curve.floor < 1e-20
        assert history.last(name) == pytest.approx(curve.values[-1], rel=1e-6, abs=1e-20)
    values = got.curve("consensus", "exact").values[[1000, 1200]]
    assert (values[1] / values[0]) ** (1 / 400) == pytest.approx(curve.rate, abs=2e-3)  # of squares


@pytest.mark.parametrize(
    "method",
    [dj.methods.dsgd(lr=0.1), dj.methods.local_sgd(lr=0.05, local_steps=2), dj.methods.gradient_tracking(lr=0.05)],
)
def test_noise_along_flat_directions_moves_neither_number(method):
    """It moves all models without end; the floor is where the curve is after 2,000 rounds."""
    problem = flat(3, 4, noise=0.5, common=2)
    got = theory.predict(method, problem, over(dj.topology.ring(4)), 2000)
    for name in ("objective", "consensus"):
        curve = got.curve(name, "exact")
        assert curve.rate < 1 and curve.values[-1] == pytest.approx(curve.floor, rel=1e-6) and curve.floor > 1e-5


@pytest.mark.parametrize(
    "method",
    [dj.methods.dsgd(lr=0.1), dj.methods.dsgd(lr=0.1, order="awc"), dj.methods.gradient_tracking(lr=0.1)],
)
def test_gossip_without_losses_ends_in_consensus(method):
    """The factor is rho = 2/3 of the ring of six, by hand; also that of the bound."""
    made = dj.data.synthetic.consensus(nodes=N, dim=D, spread=1.0)
    problem = dj.Problem(made.task, made.data, starts="independent")
    got = theory.predict(method, problem, over(dj.topology.ring(N)), 20)
    for curve in got.curves:
        assert curve.floor == 0 and curve.rate == pytest.approx(2 / 3, abs=1e-6 if curve.kind == "exact" else 1e-3), (
            curve
        )
    for name in ("objective", "consensus"):
        assert (got.curve(name, "exact").values <= got.curve(name, "bound").values * (1 + 1e-9)).all()


def test_of_a_factor_of_one_no_floor_is_said():
    """Without steps the mean stays where it began; and where L = 1.5 and the rate too large, nothing has an end."""
    got = theory.predict(
        dj.methods.dsgd(lr=0.0), dj.Problem(squares().task, squares().data), over(dj.topology.ring(N)), 5
    )
    assert all(c.floor is None and c.rate == pytest.approx(1, abs=1e-9) for c in got.curves)
    assert got.curve("objective").plain()["floor"] is None


@pytest.mark.parametrize("method", [dj.methods.dsgd(lr=3.0), dj.methods.gradient_tracking(lr=3.0)])
def test_what_diverges_becomes_infinite(method):
    made = dj.data.synthetic.quadratics(nodes=N, dim=D, zeta2=1.0, noise=1.0, dtype="float64")
    got = theory.predict(method, dj.Problem(made.task, made.data), over(dj.topology.ring(N)), 1000)
    assert len(got.curves) == 4 and all(c.values[-1] == c.floor == math.inf and c.rate > 1 for c in got.curves)


@pytest.mark.parametrize(
    ("method", "network", "kw", "words"),
    [
        (
            dj.methods.dsgd(lr=0.05),
            over(dj.topology.ring(N)),
            {},
            "tau = 1, p = 1 - rho^2 = 0.556, and T counts rounds",
        ),
        (dj.methods.dsgd(lr=0.05, order="cta"), over(dj.topology.ring(N)), {}, "tau = 1,"),
        (
            dj.methods.local_sgd(lr=0.05, local_steps=10),
            over(dj.topology.ring(N)),
            {},
            "tau = 10, p = 1 - rho^2 = 0.556, and T counts local steps, 10 in a round",
        ),
        (dj.methods.dsgd(lr=0.05), over(dj.topology.one_peer_ring(N)), {}, "tau = 2,"),
        (dj.methods.dsgd(lr=0.05), over(dj.topology.ring(N)), {"batch_size": 2}, "tau = 1,"),
        (dj.methods.dsgd(lr=0.05), over(dj.topology.ring(N)), {"batch_size": 2, "sampling": "epoch"}, None),
        (dj.methods.dsgd(lr=0.05, order="awc"), over(dj.topology.ring(N)), {}, None),
        (dj.methods.dsgd(lr=dj.InverseSqrt(0.1)), over(dj.topology.ring(N)), {}, None),
        (dj.methods.dsgd(lr=0.05), over(dj.topology.directed_ring(N)), {}, None),
        (dj.methods.dsgd(lr=0.05), over(dj.topology.isolated(N)), {}, None),
        (
            dj.methods.dsgd(lr=0.05),
            dj.Network(dj.topology.ring(N).astype("float64"), attack=dj.attacks.sign_flip(adversaries=1)),
            {},
            None,
        ),
        (
            dj.methods.dsgd(lr=0.05),
            dj.Network(dj.topology.ring(N).astype("float64"), codec=dj.compression.direct(dj.compression.top_k(k=1))),
            {},
            None,
        ),
        (dj.methods.gradient_tracking(lr=0.05), over(dj.topology.ring(N)), {}, None),
    ],
)
def test_results_are_named_where_they_hold(method, network, kw, words):
    made = squares()
    got = theory.predict(method, dj.Problem(made.task, made.data, **kw), network, 5)
    assert (words is None) == (got.notes == ())
    assert words is None or words in got.notes[0]


def test_no_result_is_named_without_a_known_mu():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    for problem in (dj.Problem(dj.tasks.mlp(64, 10), data), flat(2, 12)):
        assert theory.predict(dj.methods.dsgd(lr=0.05), problem, over(dj.topology.ring(4)), 5).notes == ()


def test_several_seeds_are_their_mean():
    made, network = dj.data.synthetic.consensus(nodes=N, dim=D, spread=1.0, dtype="float64"), over(dj.topology.ring(N))
    problem = dj.Problem(made.task, made.data, starts="independent")
    each = [theory.predict(dj.methods.dsgd(lr=0.1), problem, network, 5, seed=s) for s in (3, 4, 5)]
    both = theory.predict(dj.methods.dsgd(lr=0.1), problem, network, 5, seed=[3, 4, 5])
    for at, curve in enumerate(both.curves):
        np.testing.assert_allclose(curve.values, np.mean([got.curves[at].values for got in each], 0), rtol=1e-12)
    with pytest.raises(ValueError, match="seed is empty; give at least one"):
        theory.predict(dj.methods.dsgd(lr=0.1), problem, network, 5, seed=[])


# ---- tracking with noise


@pytest.mark.parametrize("graph", ["ring", "complete", "directed_ring"])
def test_the_bound_of_noisy_tracking_lies_over_the_exact_recursion(graph):
    """From unequal starts, in every round; without limit where it has none, and within a factor where it has one."""
    made = dj.data.synthetic.quadratics(nodes=N, dim=D, zeta2=1.0, noise=1.0, dtype="float64")
    params = {"x": jax.numpy.asarray(np.random.default_rng(1).standard_normal((N, D)))}
    problem, network = dj.Problem(made.task, made.data), over(getattr(dj.topology, graph)(N))
    got = theory.predict(dj.methods.gradient_tracking(lr=0.003), problem, network, 1000, params=params)
    for name in ("objective", "consensus"):
        exact, bound = got.curve(name, "exact"), got.curve(name, "bound")
        assert (exact.values <= bound.values * (1 + 1e-9) + 1e-15).all(), name
        assert bound.floor is None or exact.floor <= bound.floor + 1e-15
    if graph == "ring":
        assert bound.rate < 1 and bound.floor < 100 * exact.floor


def test_without_gradients_the_noise_of_trackers_is_bounded_tightly():
    """L tiny: one round of tracking by hand: x_1 = W (x_0 - lr n_0), so c^2 = lr^2 sum_{i>1} lambda_i^2 sigma^2 / n."""
    task = SquaresTask(D, noise=1.0, dtype="float64")
    data = dj.data.from_clients([(np.zeros((1, D)), np.zeros(1)) for _ in range(N)])
    graph = dj.topology.ring(N)
    got = theory.predict(dj.methods.gradient_tracking(lr=0.1), dj.Problem(task, data), over(graph), 3)
    w = graph.matrix()
    off = w - 1 / N
    want = 0.1**2 * np.sum(off**2) / N
    assert got.curve("consensus", "exact").values[1] == pytest.approx(want, rel=1e-9)
    second = off @ off + off @ (w - np.eye(N))  # x_2 = W x_1 - lr W y_1, y_1 = W n_0 + n_1 - n_0
    want = 0.1**2 * (np.sum(second**2) + np.sum(off**2)) / N
    assert got.curve("consensus", "exact").values[2] == pytest.approx(want, rel=1e-9)
    assert want <= got.curve("consensus", "bound").values[2] < 10 * want


@pytest.mark.parametrize("make", [squares, logistic])
def test_tracking_with_batches_lies_under_its_bound_on_average(make):
    made, method, network = make(), dj.methods.gradient_tracking(lr=0.02), over(dj.topology.complete(N))
    problem = dj.Problem(made.task, made.data, batch_size=2, sampling="replacement")
    history = dj.simulate(
        method,
        problem,
        network,
        rounds=90,
        every=30,
        seed=list(range(30)),
        metrics=["objective", "consensus"],
        progress=False,
    )
    got = theory.predict(method, problem, network, 90)
    for name in ("objective", "consensus"):
        curve = got.curve(name, "bound")
        assert (history.series(name)[1].mean(0) <= curve.values[::30] * (1 + 1e-9) + 1e-15).all(), name
        assert math.isfinite(curve.floor) and curve.rate < 1


# ---- phases


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (dj.methods.dsgd(lr=0.1), dj.methods.dsgd(lr=0.02, order="awc")),
        (dj.methods.local_sgd(lr=0.02, local_steps=3), dj.methods.local_sgd(lr=0.05, local_steps=1)),
        (dj.methods.gradient_tracking(lr=0.02), dj.methods.gradient_tracking(lr=0.05)),
    ],
)
@pytest.mark.parametrize("graph", ["complete", "one_peer_ring"])
def test_the_recursion_goes_on_from_phase_to_phase(first, later, graph):
    """To rounding, also into the middle of a sequence's period; bounds lie above, as far as there are any."""
    made, nets = squares(), [over(dj.topology.ring(N)), over(getattr(dj.topology, graph)(N))]
    problem = dj.Problem(made.task, made.data)
    params = {"x": jax.numpy.asarray(np.random.default_rng(1).standard_normal((N, D)))}
    phases = [{"until": 5}, {"method": later, "network": nets[1]}]
    history = dj.simulate(
        first,
        problem,
        nets[0],
        rounds=20,
        params=params,
        metrics=["objective", "consensus"],
        progress=False,
        phases=phases,
    )
    got = theory.predict(first, problem, nets[0], 20, params=params, phases=[(5, later, nets[1])])
    alone = theory.predict(later, problem, nets[1], 20)
    for name in ("objective", "consensus"):
        want = history.series(name)[1][0]
        exact, bound = got.curve(name, "exact"), got.curve(name, "bound")
        np.testing.assert_allclose(exact.values, want, rtol=1e-9, atol=1e-13, err_msg=name)
        assert (want[: len(bound.values)] <= bound.values * (1 + 1e-9) + 1e-13).all()
        assert exact.rate == pytest.approx(alone.curve(name, "exact").rate)
        assert exact.floor == pytest.approx(alone.curve(name, "exact").floor, abs=1e-12)
        assert len(bound.values) == (21 if graph == "complete" else 6)
    if graph == "one_peer_ring":
        assert any(text.startswith("rounds 5 and later: no bound over a sequence") for text in got.unknown)
        assert bound.floor is None and bound.rate is None


def test_phases_with_noise_go_on_with_their_covariance():
    """One phase cut into two is that phase."""
    made = dj.data.synthetic.quadratics(nodes=N, dim=D, zeta2=1.0, noise=1.0, dtype="float64")
    problem, network, method = (
        dj.Problem(made.task, made.data),
        over(dj.topology.ring(N)),
        dj.methods.gradient_tracking(lr=0.05),
    )
    whole = theory.predict(method, problem, network, 12)
    cut = theory.predict(method, problem, network, 12, phases=[(5, method, network)])
    for a, b in zip(whole.curves, cut.curves, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
        assert a.floor == pytest.approx(b.floor) and a.rate == pytest.approx(b.rate)
    for begin in (0, 12):
        with pytest.raises(ValueError, match="begins at round"):
            theory.predict(method, problem, network, 12, phases=[(begin, method, network)])
    with pytest.raises(ValueError, match="is a Dsgd; give a GradientTracking"):
        theory.predict(method, problem, network, 12, phases=[(5, dj.methods.dsgd(lr=0.1), network)])


def test_the_page_says_of_its_table_what_stands_there():
    """How far bounds of D-PSGD and local SGD lie above what was measured."""
    page = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in page.splitlines()
        if line.startswith(("| squares | ", "| logistic | "))
    ]
    ratios = [float(row[5]) / float(row[3]) for row in rows if "tracking" not in row[2]]
    low, high = re.search(r"but ([0-9,]+) to ([0-9,]+) times", page).groups()
    assert len(ratios) == 4
    assert min(ratios) == pytest.approx(float(low.replace(",", "")), rel=0.01)
    assert max(ratios) == pytest.approx(float(high.replace(",", "")), rel=0.01)
