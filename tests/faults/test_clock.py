"""Virtual time: the max-plus recursion against closed forms and a NumPy loop."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.faults import clock, rebase
from dejax.mixing.kernels.neighbor_lists import NeighborLists
from dejax.round.context import Context


def ring(n):
    index = jnp.stack([(jnp.arange(n) - 1) % n, (jnp.arange(n) + 1) % n], 1)
    return NeighborLists(index, jnp.full((n, 2), 1 / 3), jnp.full((n,), 1 / 3))


def context(key, n):
    ids = jnp.arange(n, dtype=jnp.int32)
    return Context(jnp.int32(0), ids, key, jax.vmap(lambda i: jax.random.fold_in(key, i))(ids))


def run(clk, links, key, rounds, bits=0.0):
    """Clocks [rounds, n] of compute, then messages; whole seconds carried apart."""
    n = links.n

    @jax.jit
    def all_rounds():
        def one(carry, t):
            time, whole = carry
            ctx = context(jax.random.fold_in(key, t), n)
            time = clk.messages(ctx, clk.compute(ctx, time, None), links, None, jnp.full((n,), bits, jnp.float32))
            time, more = rebase(time)
            return (time, whole + more), (time, whole + more)

        start = (jnp.zeros((n,), jnp.float32), jnp.int32(0))
        return jax.lax.scan(one, start, jnp.arange(rounds))[1]

    time, whole = all_rounds()
    return np.asarray(time, np.float64) + np.asarray(whole, np.float64)[:, None]


@pytest.mark.slow
def test_ring_of_exponential_nodes(key):
    """Mean round time on a ring saturates: 2.16 s a round at n = 8 and Exp(1), against 2.72 with a barrier for all."""
    rounds = 20_000
    seconds = run(clock(gradient=0.0, exponential=1.0), ring(8), key, rounds)
    assert 2.11 < seconds[-1].max() / rounds < 2.21
    barrier = sum(1 / i for i in range(1, 9))
    assert 1 < seconds[-1].max() / rounds < barrier


@pytest.mark.slow
def test_constant_times_are_exact(key):
    """n equal nodes: a round is gradient + latency + 2 messages over the uplink; half the bandwidth doubles that term."""
    for bandwidth, wire in ((1e3, 2 * 100 / 1e3), (500.0, 2 * 100 / 500)):
        seconds = run(clock(gradient=0.5, latency=0.25, bandwidth=bandwidth), ring(6), key, 40, bits=100.0)
        np.testing.assert_allclose(seconds, np.arange(1, 41)[:, None] * (0.75 + wire) * np.ones((1, 6)), rtol=1e-6)


def test_against_numpy_with_slow_nodes_and_lost_links(key):
    n = 7
    links, rng = ring(n), np.random.default_rng(0)
    speed = rng.uniform(0.1, 2, n)
    clk = clock(gradient=jnp.asarray(speed), latency=0.1, bandwidth=jnp.asarray(speed * 1e3))
    time = np.zeros(n)
    got = jnp.zeros((n,), jnp.float32)
    step = jax.jit(
        lambda ctx, t, computes, mask, bits: clk.messages(ctx, clk.compute(ctx, t, computes), links, mask, bits)
    )
    for t in range(30):
        computes, mask, bits = rng.random(n) < 0.7, rng.random((n, 2)) < 0.8, rng.uniform(0, 500, n)
        got = step(
            context(jax.random.fold_in(key, t), n), got, computes, jnp.asarray(mask), jnp.asarray(bits, jnp.float32)
        )
        time = time + np.where(computes, speed, 0)
        ready = time + 0.1 + 2 * bits / (speed * 1e3)
        new = time.copy()
        for i in range(n):
            for s, j in enumerate(((i - 1) % n, (i + 1) % n)):
                if mask[i, s]:
                    new[i] = max(new[i], ready[j])
        time = new
    np.testing.assert_allclose(got, time, rtol=1e-5)
    assert got.dtype == jnp.float32


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "exponential"), [(0.5, 0.0), (0.0, 2.0), (0.3, 0.5)])
def test_distributions(sigma, exponential, key):
    n = 20_000
    seconds = np.asarray(clock(1.5, exponential, sigma).compute(context(key, n), jnp.zeros((n,), jnp.float32), None))
    mean = 1.5 + exponential
    var = 1.5**2 * (math.exp(sigma**2) - 1) + exponential**2
    assert abs(seconds.mean() - mean) < 5 * math.sqrt(var / n)
    assert abs(seconds.var() / var - 1) < 0.2
    constant = clock(1.5).compute(context(key, 3), jnp.zeros((3,), jnp.float32), jnp.array([True, False, True]))
    np.testing.assert_array_equal(constant, [1.5, 0, 1.5])


def test_server_waits_for_the_slowest_that_arrives(key):
    clk = clock(latency=0.5, bandwidth=100.0, server_bandwidth=1000.0)
    time = jnp.array([1.0, 2.0, 9.0], jnp.float32)
    up = jnp.full((3,), 50.0, jnp.float32)
    done = clk.server(context(key, 3), time, up, 200, jnp.array([True, True, False]))
    assert float(done) == pytest.approx((2 + 0.5 + 0.5) + 100 / 1000 + (0.5 + 2.0) + 3 * 200 / 1000)
    done = clk.server(context(key, 3), time, up, 200, None)
    assert float(done) == pytest.approx((9 + 0.5 + 0.5) + 150 / 1000 + (0.5 + 2.0) + 3 * 200 / 1000)
    nobody = clk.server(context(key, 3), time, up, 0, jnp.zeros((3,), bool))
    assert float(nobody) == pytest.approx(1.0 + 0.5)


@pytest.mark.slow
def test_a_single_node_never_waits(key):
    alone = NeighborLists(jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 1)), jnp.ones((1,)))
    seconds = run(clock(gradient=0.5, latency=7.0, bandwidth=1.0), alone, key, 5, bits=100.0)
    np.testing.assert_allclose(seconds[:, 0], 0.5 * np.arange(1, 6))


@pytest.mark.slow
def test_rebase_is_exact_and_keeps_microseconds(key):
    time = jnp.array([123.4567, 125.75, 1e5], jnp.float32)
    moved, whole = rebase(time)
    assert int(whole) == 123 and whole.dtype == jnp.int32
    np.testing.assert_array_equal(np.asarray(moved, np.float64) + 123, np.asarray(time, np.float64))
    seconds = run(clock(gradient=1.000001), ring(4), key, 100_000)
    assert seconds[-1].max() == pytest.approx(100_000 * float(np.float32(1.000001)), abs=2e-2)
    assert np.diff(seconds[-10:, 0]) == pytest.approx(1.000001, abs=3e-7)


@pytest.mark.slow
def test_times_are_leaves(key):
    links, traces = ring(4), []

    @jax.jit
    def round_time(clk):
        traces.append(1)
        ctx = context(key, 4)
        return clk.messages(
            ctx, clk.compute(ctx, jnp.zeros((4,), jnp.float32), None), links, None, jnp.ones((4,), jnp.float32)
        )

    for latency in (0.1, 0.2):
        round_time(clock(latency=jnp.float32(latency)))
    assert len(traces) == 1
    swept = jax.vmap(lambda a: round_time(clock(latency=a)))(jnp.array([0.1, 0.2], jnp.float32))
    np.testing.assert_allclose(swept[1], round_time(clock(latency=jnp.float32(0.2))))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: clock(gradient=-1.0), "Clock.gradient is -1.0"),
        (lambda: clock(exponential=math.inf), "Clock.exponential is inf"),
        (lambda: clock(sigma=-0.1), "Clock.sigma is -0.1"),
        (lambda: clock(latency=math.nan), "Clock.latency is nan"),
        (lambda: clock(bandwidth=0), "Clock.bandwidth is 0"),
        (lambda: clock(server_bandwidth=-5), "Clock.server_bandwidth is -5"),
    ],
)
def test_bad_input(make, text):
    with pytest.raises(ValueError, match=text):
        make()
