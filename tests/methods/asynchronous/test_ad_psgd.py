"""AD-PSGD against one event at a time in NumPy, and events in packs."""

import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, PROBLEM, QSGD, RING, X0, N, close, grad, run, same

import dejax as dj
from dejax.events._timetable import timetable_of

m, c = dj.methods, dj.compression


EVENTS = np.random.default_rng(5).integers(0, N, 30)


PARTNERS = (EVENTS + np.random.default_rng(6).choice([1, N - 1], 30)) % N


@pytest.mark.parametrize("width", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ad_psgd(width):
    x, view = X0.copy(), X0.copy()
    for i, j in zip(EVENTS, PARTNERS, strict=True):
        g = grad(i, view[i])
        x[i] = x[j] = (x[i] + x[j]) / 2
        x[i] = x[i] - LR * g
        view[i] = x[i]
    plan = timetable_of(EVENTS, PARTNERS, n=N, width=width)
    state, got = run(m.ad_psgd(lr=LR), dj.Network(zoo.ring(), events=plan), rounds=plan.rounds)
    close(got, x)
    close(np.asarray(state.view["x"]), view)


def events(method, width, stale=True, problem=PROBLEM, **kw):
    plan = timetable_of(EVENTS, PARTNERS, n=N, width=width, stale=stale)
    assert width == 1 or plan.rounds < len(EVENTS)
    return run(method, dj.Network(RING, events=plan, **kw), plan.rounds, problem)[1]


def minibatches(sampling):
    return zoo.Uneven(batch_size=2, sampling=sampling).problem


def adam():
    return m.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=0.05), order="awc")


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, sampling, options",
    [
        (m.ad_psgd(lr=LR), "replacement", {}),
        (m.ad_psgd(lr=LR), "epoch", {"faults": dj.faults.link_loss(p=0.3)}),
        (adam(), "epoch", {}),
        (m.dsgd(lr=LR, order="atc"), "replacement", {"codec": c.error_feedback(QSGD, gamma=0.5)}),
    ],
    ids=["ad_psgd", "ad_psgd_losses", "adam", "error_feedback"],
)
def test_packed_events_equal_one_event_at_a_time_bit_for_bit(method, sampling, options):
    packed = events(method, 2, problem=minibatches(sampling), **options)
    same(packed, events(method, 1, problem=minibatches(sampling), **options))
    assert np.abs(packed - X0).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2])
def test_ad_psgd_is_dsgd_with_stale_gradients_bit_for_bit(width):
    problem = minibatches("replacement")
    a = events(m.ad_psgd(lr=LR), width, problem=problem)
    same(a, events(m.dsgd(lr=LR, order="awc"), width, problem=problem))
    assert np.abs(a - events(m.dsgd(lr=LR, order="awc"), width, False, problem=problem)).max() > 1e-3


def test_averages_of_events_keep_the_mean():
    close(events(m.ad_psgd(lr=0.0), 2).mean(0), X0.mean(0))
