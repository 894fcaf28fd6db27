"""Quadratic energy: against one update at a time in NumPy, and against the solution of its linear system."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import LR, MADE, PROBLEM, QSGD, RING, X0, N, W, close, grad, grads, mix, run, same

import dejax as dj
from dejax.core.random import fold_name
from dejax.events._updates import UpdateTable, updates_of
from dejax.faults.pairs import uniform_of_pairs

m, c = dj.methods, dj.compression
COUPLING, AGE, P = 1.5, 3, 0.4
ENERGY = m.quadratic_energy(lr=LR, coupling=COUPLING)
ORDER = np.random.default_rng(2).integers(0, N, 60)
EVENTS = fold_name(jax.random.key(0), "events")  # what randomness of events is drawn from


class Reads(NamedTuple):
    params: Any
    read: Any  # the sum of the values of both neighbors


def solution(coupling=COUPLING):
    """h of (A + coupling (1 - W)) h = b; A and b from gradients at the unit vectors and at zero."""
    d = X0.shape[1]
    b = -grads(np.zeros_like(X0))
    a = np.zeros((N * d, N * d))
    for i in range(N):
        for k in range(d):
            a[i * d : (i + 1) * d, i * d + k] = grad(i, np.eye(d)[k]) + b[i]
    return np.linalg.solve(a + coupling * np.kron(np.eye(N) - W, np.eye(d)), b.ravel()).reshape(N, d)


def ages(tick, i):
    """How many updates of each neighbor node i has not heard of in an event."""
    key = jax.random.fold_in(jax.random.fold_in(fold_name(EVENTS, "gossip.age"), i), int(tick))
    drawn = [jax.random.uniform(jax.random.fold_in(key, j), dtype=jnp.float32) for j in range(N)]
    return [int(u * np.float32(AGE + 1)) for u in drawn]


def up(tick, i, j):
    """Whether node i hears node j in an event."""
    key = fold_name(jax.random.fold_in(fold_name(EVENTS, "links"), 0), "link_loss")
    return float(uniform_of_pairs(key, jnp.int32(min(i, j)), jnp.int32(max(i, j)), N, jnp.int32(tick))) >= P


def one_at_a_time(age, lossy):
    """Each event in its turn: the last version that came from each neighbor, then one step."""
    versions, heard = [[X0[i]] for i in range(N)], {}
    for tick, i in enumerate(ORDER):
        drawn, mixed = ages(tick, i) if age else [0] * N, W[i, i] * versions[i][-1]
        for j in ((i - 1) % N, (i + 1) % N):
            if not lossy or up(tick, i, j):
                heard[i, j] = versions[j][-1 - min(drawn[j], len(versions[j]) - 1)]
            mixed = mixed + W[i, j] * heard.get((i, j), versions[i][-1])  # before the first message: its own
        x = versions[i][-1]
        versions[i].append(x - LR * (grad(i, x) + COUPLING * (x - mixed)))
    return np.stack([v[-1] for v in versions])


def in_events(width, age=AGE, faults=(), method=ENERGY, **kw):
    plan = updates_of(ORDER, RING, width=width, age=age)
    assert width == 1 or plan.rounds < len(ORDER)
    return run(method, dj.Network(RING, events=plan, faults=faults, **kw), plan.rounds)[1]


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("age", [0, AGE])
def test_updates_against_one_at_a_time_in_numpy(age, lossy):
    faults = (dj.faults.link_loss(p=P),) if lossy else ()
    want = one_at_a_time(age, lossy)
    close(in_events(2, age, faults), want)
    assert np.abs(want - one_at_a_time(AGE - age, lossy)).max() > 1e-3


def test_rounds_against_a_loop():
    x = X0.copy()
    for _ in range(10):
        x = x - LR * (grads(x) + COUPLING * (x - mix(W, x)))
    close(run(ENERGY, RING)[1], x)


def test_all_nodes_at_once_from_fresh_values_are_a_round():
    """The damped gradient step: a timetable in which everybody updates in every round, of age 0."""
    everyone = jnp.broadcast_to(jnp.arange(N, dtype=jnp.int32), (10, N))
    ticks = jnp.arange(10 * N, dtype=jnp.int32).reshape(10, N)
    seconds = jnp.arange(10, dtype=jnp.int32)
    plan = UpdateTable(everyone, ticks, jnp.zeros(10), seconds, age=0)
    close(run(ENERGY, dj.Network(RING, events=plan))[1], run(ENERGY, RING)[1])


def test_a_round_is_dsgd_where_lr_times_coupling_is_one():
    close(run(m.quadratic_energy(lr=LR, coupling=1 / LR), RING)[1], run(m.dsgd(lr=LR, order="awc"), RING)[1])


def test_without_coupling_it_is_local_training():
    close(run(m.quadratic_energy(lr=LR, coupling=0.0), RING)[1], run(m.local_only(lr=LR))[1])


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("age", [0, 2, 5])
def test_any_order_and_any_age_come_to_the_solution_of_the_linear_system(age, lossy):
    """lr (L + coupling (1 - W_ii)) <= 1: the largest distance shrinks, however stale the values are."""
    assert pytest.approx(1.0) == MADE.L
    method = m.quadratic_energy(lr=0.45, coupling=COUPLING)
    faults = (dj.faults.link_loss(p=P),) if lossy else ()
    for seed in range(2):
        events = dj.events.updates(age=age, width=2, seed=seed, rate=(1.0, 3.0, 0.7, 1.0, 2.0))
        close(run(method, dj.Network(RING, events=events, faults=faults), 1600)[1], solution(), 1e-9)
    close(run(method, RING, 300)[1], solution(), 1e-9)
    assert np.abs(solution() - solution(0.0)).max() > 0.1 and np.abs(solution() - solution(100.0)).max() > 0.1


OPTIONS = {
    "losses": {"faults": (dj.faults.link_loss(p=P),)},
    "compressed": {"codec": c.direct(QSGD, gamma=0.7)},
    "error feedback": {"codec": c.error_feedback(QSGD, gamma=0.5), "faults": (dj.faults.link_loss(p=P),)},
    "copies": {"codec": c.copies(QSGD, gamma=0.5)},
    "noise": {"privacy": dj.privacy.gaussian_message(clip=5.0, noise_multiplier=0.05)},
    "flips": {"attack": dj.attacks.sign_flip(adversaries=(2,))},
    "median": {"rule": dj.aggregation.coordinate_median(), "faults": (dj.faults.link_loss(p=P),)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_packed_updates_equal_one_at_a_time(name):
    packed = in_events(2, **OPTIONS[name])
    close(packed, in_events(1, **OPTIONS[name]), 1e-14)  # the same draws: a sum may be taken in another order, no more
    assert np.abs(packed - in_events(2)).max() > 1e-3


def test_a_value_is_published_once_however_often_it_is_read():
    """Node 1 acts twice and reads nodes that did not act between: their noised values are the same both times."""
    noise = dj.privacy.gaussian_message(clip=50.0, noise_multiplier=0.01)

    @dj.struct
    class Read:
        """Writes down what it reads."""

        traits = dj.Traits(footprint="neighbors")

        def init(self, params, key):
            return Reads(params, jax.tree.map(jnp.zeros_like, params))

        def step(self, state, round):
            got = round.exchange(state.params, heard=True)
            both = jax.tree.map(lambda x: x.sum(1), got.each()[0])
            return Reads(state.params, both)

    reads = []
    for order in ([1], [1, 1], [1, 3, 1], [1, 0, 1]):
        plan = updates_of(order, RING)
        network = dj.Network(RING, events=plan, privacy=noise)
        state, _ = dj.rollout(Read(), PROBLEM, network, jax.random.key(0), len(order), params={"x": jnp.asarray(X0)})
        reads.append(np.asarray(state.read["x"])[1])
    same(reads[1], reads[0])
    same(reads[2], reads[0])
    assert np.abs(reads[0] - X0[0] - X0[2]).max() > 1e-3  # there is noise
    assert np.abs(reads[3] - reads[0]).max() > 1e-3  # node 0 acted, and published anew


def test_each_update_sends_one_value_to_every_neighbor():
    plan = updates_of(ORDER, RING, width=2)
    _, meters = dj.rollout(ENERGY, PROBLEM, dj.Network(RING, events=plan), jax.random.key(0), plan.rounds)
    totals = meters.totals()
    assert totals["wire/gossip"] == len(ORDER) * 2 * 64 * X0.shape[1] and totals["gradients"] == len(ORDER)
