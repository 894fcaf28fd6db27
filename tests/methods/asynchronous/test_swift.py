"""SWIFT: against one event at a time in NumPy, and what it becomes when all act at once."""

import jax
import numpy as np
import pytest
from references import LR, PROBLEM, RING, X0, N, W, close, grad, run

import dejax as dj
from dejax.events._updates import updates_of

m = dj.methods
ORDER = np.random.default_rng(4).integers(0, N, 40)


def one_at_a_time(period, weights=W):
    """Every node mails its model after each event; the mail of the neighbors is read in own events."""
    x, mail, counts = X0.copy(), X0.copy(), np.zeros(N, int)
    for i in ORDER:
        g, counts[i] = grad(i, x[i]), counts[i] + 1
        if counts[i] % period == 0:
            x[i] = weights[i, i] * x[i] + sum(weights[i, j] * mail[j] for j in range(N) if j != i)
        x[i] = x[i] - LR * g
        mail[i] = x[i]
    return x


@pytest.mark.parametrize("period, width", [(1, 1), (1, 2), (3, 2)])
def test_events_against_one_at_a_time(period, width):
    plan = updates_of(ORDER, RING, width=width)
    state, got = run(m.swift(lr=LR, period=period), dj.Network(RING, events=plan), plan.rounds)
    close(got, one_at_a_time(period))
    np.testing.assert_array_equal(state.events, np.bincount(ORDER, minlength=N))
    assert np.abs(one_at_a_time(1) - one_at_a_time(3)).max() > 1e-3


def test_weights_of_the_paper_on_a_chain():
    graph = dj.topology.chain(N, weights=dj.topology.degree_sorted()).astype("float64")
    plan = updates_of(ORDER, graph, width=2)
    close(run(m.swift(lr=LR), dj.Network(graph, events=plan), plan.rounds)[1], one_at_a_time(1, graph.matrix()))


def test_in_rounds_it_is_dsgd_that_combines_while_it_computes():
    close(run(m.swift(lr=LR), RING)[1], run(m.dsgd(lr=LR, order="awc"), RING)[1])
    close(run(m.swift(lr=LR, period=20), RING)[1], run(m.local_only(lr=LR))[1])


def test_a_model_goes_to_every_neighbor_in_every_event():
    plan = updates_of(ORDER, RING, width=2)
    network = dj.Network(RING, events=plan)
    _, meters = dj.rollout(m.swift(lr=LR, period=3), PROBLEM, network, jax.random.key(0), plan.rounds)
    totals = meters.totals()
    assert totals["wire/gossip"] == len(ORDER) * 2 * 64 * X0.shape[1] and totals["gradients"] == len(ORDER)


def test_a_slow_node_holds_nobody_up():
    """Node 0 acts at a quarter of the pace: the others make as many steps a second as without it."""
    events = lambda rates: dj.events.updates(rate=rates, seed=1).plan(RING, 2000)
    counts = lambda plan: np.bincount(np.asarray(plan.nodes).ravel(), minlength=N)[:N] / float(plan.whole[-1])
    slow, even = counts(events((0.25, 1.0, 1.0, 1.0, 1.0))), counts(events(1.0))
    np.testing.assert_allclose(slow[1:], 1.0, atol=5 / np.sqrt(400))
    np.testing.assert_allclose(even, 1.0, atol=5 / np.sqrt(400))
    assert slow[0] < 0.4
