"""Who is first by the clock, and what a server that waits for no others saves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import PROBLEM, X0, N

import dejax as dj

SPEED = np.array([3.0, 1.0, 5.0, 2.0, 4.0])


class State(NamedTuple):
    params: Any
    first: Any  # int32 [n], how often each node was first
    ends: Any  # [n], its seconds in the last round


@dj.struct
class First:
    """A gradient at every node; the mean of those of the first k."""

    k: int = dj.static(default=2)
    traits = dj.Traits(channel="server")

    def init(self, params, key):
        del key
        return State(jax.tree.map(lambda x: x[0], params), jnp.zeros(N, jnp.int32), jnp.zeros(N))

    def step(self, state, round):
        began = round.seconds
        grads = round.gradient(jax.tree.map(lambda x: jnp.stack([x] * N), state.params))
        ends = round.seconds - began
        first = round.fastest(self.k)
        mean = round.average(grads, first.astype(float))
        params = jax.tree.map(lambda x, g: x - 0.1 * g, state.params, mean)
        return State(params, state.first + first, ends)


def run(k, rounds, **network):
    state, meters = zoo.run(First(k=k), PROBLEM, dj.Network(**network), rounds, X0)
    return np.asarray(state.first), np.asarray(state.ends), np.asarray(meters.seconds)


def test_the_quickest_nodes_are_first_and_nobody_else_is_waited_for():
    first, ends, seconds = run(2, 3, clock=dj.faults.clock(gradient=jnp.asarray(SPEED), latency=0.25))
    np.testing.assert_array_equal(first, [0, 3, 0, 3, 0])
    np.testing.assert_allclose(ends, SPEED)
    np.testing.assert_allclose(seconds, np.arange(1, 4) * (2.0 + 0.5))


@pytest.mark.slow
def test_without_a_clock_and_among_equals_all_are_first_alike_often():
    for clock in (None, dj.faults.clock()):
        first, ends, _ = run(2, 400, clock=clock)
        assert first.sum() == 800 and ((ends == 0) if clock is None else (ends == 1)).all()
        assert np.abs(first / 400 - 0.4).max() < 5 * np.sqrt(0.4 * 0.6 / 400)


@pytest.mark.slow
def test_the_time_of_the_kth_of_n_exponential_nodes():
    """Its mean is a difference of harmonic numbers."""
    harmonic = lambda n: sum(1 / i for i in range(1, n + 1))
    clock = dj.faults.clock(gradient=0.0, exponential=1.0)
    for k in (1, 3, 5):
        seconds = run(k, 2000, clock=clock)[2]
        var = sum(1 / (N - i) ** 2 for i in range(k))
        assert abs(seconds[-1] / 2000 - (harmonic(N) - harmonic(N - k))) < 5 * np.sqrt(var / 2000)


@pytest.mark.slow
def test_who_is_not_heard_is_never_first():
    network = {"clock": dj.faults.clock(gradient=jnp.asarray(SPEED)), "faults": dj.faults.churn(p=0.5)}
    state, meters = zoo.run(First(k=N), PROBLEM, dj.Network(**network), 30, X0)
    awake = np.asarray(meters.counts["awake"]["lo"])
    assert np.asarray(state.first).sum() == awake.sum() < 30 * N
    seconds = np.asarray(meters.seconds)
    assert (np.diff(np.r_[0, seconds]) <= SPEED.max() + 1e-5).all()  # nodes that wake begin when the server does


@pytest.mark.slow
def test_a_robust_rule_sees_the_first_alone():
    """Also where uploads may be lost: of two gradients the median is the mean."""
    clock = dj.faults.clock(gradient=jnp.asarray(SPEED))
    settings = [
        {"rule": rule, "faults": dj.faults.link_loss(p=0.0)} for rule in (None, dj.aggregation.coordinate_median())
    ]
    mean, median = (zoo.run(First(k=2), PROBLEM, dj.Network(clock=clock, **kw), 3, X0)[0] for kw in settings)
    np.testing.assert_allclose(mean.params["x"], median.params["x"], rtol=1e-12)
