"""Chosen neighbors: only they are evaluated, attacked, lost and metered."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits

N, D = zoo.N, 4
X0 = zoo.starts()
PROBLEM, _ = zoo.squares()
RING = zoo.ring()
IDS = np.array([[2, 0], [3, 4], [2, 2], [0, 1], [1, 4]])  # own ids are padding: node 2 hears nobody
REAL = np.arange(N)[:, None] != IDS


@dj.struct
class State:
    params: Any
    seen: Any


def once(step, seen, **options):
    """(what `step(x, round)` returns, meters) of one round."""

    class Probe:
        traits = Traits(pulls=True, needs_sums="it looks at what it chose; leave it out", raw_losses=True)

        def init(self, params, key):
            return State(params, jax.tree.map(jnp.zeros_like, seen))

        def step(self, state, round):
            return State(state.params, step(state.params, round))

    state, meters = zoo.run(dj.struct(Probe)(), PROBLEM, dj.Network(RING, **options), 1, X0)
    return jax.tree.map(np.asarray, state.seen), meters


def pulled(round):
    """The view of those chosen."""
    return round.pull(jnp.asarray(IDS, jnp.int32))


def test_only_the_chosen_are_evaluated():
    def step(x, round):
        got = pulled(round).exchange(x)
        return got.forward(lambda p, b, key: p["x"].sum()), got.mask

    (out, mask), meters = once(step, (jnp.zeros((N, 2)), jnp.zeros((N, 2), bool)))
    np.testing.assert_array_equal(mask, REAL)
    np.testing.assert_allclose(out[REAL], X0.sum(1)[IDS[REAL]], rtol=1e-12)
    assert meters.totals()["forwards"] == REAL.sum()
    assert meters.totals()["wire/pull/exchange"] == REAL.sum() * D * 64


def test_only_the_chosen_adversaries_are_heard():
    """A flipped sign at who hears node 3, who is in the ring of nodes 2 and 4; ALIE by the honest ones that are heard."""
    flip, alie = dj.attacks.sign_flip(adversaries=(3,), strength=2.0), dj.attacks.alie(adversaries=(3,), z=1.0)
    both = lambda x, round: (pulled(round).gossip(x)["x"],)
    (out,), meters = once(both, (jnp.zeros((N, D)),), attack=flip)
    (near,), _ = once(both, (jnp.zeros((N, D)),), attack=alie)
    for i in range(N):
        honest = [i, *(j for j in IDS[i] if j not in (i, 3))]
        mean, std = X0[honest].mean(0), X0[honest].std(0, ddof=1) if len(honest) > 1 else np.zeros(D)
        heard = [X0[j] for j in honest]
        if 3 in IDS[i] and i != 3:
            heard.append(-2.0 * X0[3])
        if i != 3:
            np.testing.assert_allclose(out[i], np.mean(heard, 0), rtol=1e-6)
        if i == 1:
            np.testing.assert_allclose(near[i], np.mean([X0[1], X0[4], mean - std], 0), rtol=1e-6)
        elif i != 3:
            np.testing.assert_allclose(near[i], X0[honest].mean(0), rtol=1e-6)
    assert meters.totals()["hostile/wire/pull/gossip"] == (IDS[REAL] == 3).sum() * D * 64
    assert meters.totals()["wire/pull/gossip"] == (IDS[REAL] != 3).sum() * D * 64


def test_only_the_chosen_are_lost():
    def step(x, round):
        view = pulled(round)
        got = view.exchange(x, name="links")
        return view.gossip(x)["x"], got.mask

    (out, mask), meters = once(step, (jnp.zeros((N, D)), jnp.zeros((N, 2), bool)), faults=dj.faults.link_loss(p=0.5))
    assert not (mask & ~REAL).any() and 0 < mask.sum() < REAL.sum()
    for i in range(N):
        share = 1 / (1 + REAL[i].sum())
        heard = [X0[j] for j, came in zip(IDS[i], mask[i], strict=True) if came]
        np.testing.assert_allclose(out[i], (1 - share * len(heard)) * X0[i] + share * np.sum(heard, 0), rtol=1e-6)
    assert meters.totals()["wire/pull/gossip"] == REAL.sum() * D * 64


def test_a_mask_over_the_chosen():
    owns = np.random.default_rng(0).uniform(size=(N, D)) < 0.5
    step = lambda x, round: (pulled(round).gossip(x, mask={"x": jnp.asarray(owns)})["x"],)

    class Probe:
        traits = Traits(pulls=True, masks=True)

        def init(self, params, key):
            return State(params, (jnp.zeros((N, D)),))

        def step(self, state, round):
            return State(state.params, step(state.params, round))

    state, _ = zoo.run(dj.struct(Probe)(), PROBLEM, dj.Network(RING), 1, X0)
    for i in range(N):
        whom = [i, *(j for j in IDS[i] if j != i)]
        for d in range(D):
            there = [X0[j, d] for j in whom if owns[j, d]]
            np.testing.assert_allclose(state.seen[0][i, d], np.mean(there) if there else X0[i, d], rtol=1e-6)


def test_a_clock_waits_for_the_chosen_alone():
    step = lambda x, round: (pulled(round).gossip(x)["x"],)
    bandwidth = np.full(N, 1e9)
    bandwidth[0] = 1.0  # heard by node 3 alone
    _, meters = once(step, (jnp.zeros((N, D)),), clock=dj.faults.clock(bandwidth=bandwidth))
    assert meters.seconds[-1] == pytest.approx(D * 64, rel=1e-3)
    bandwidth = np.full(N, 1e9)
    ids = np.array([[1, 2], [2, 1], [1, 2], [1, 2], [1, 2]])  # nobody hears node 0
    alone = lambda x, round: (round.pull(jnp.asarray(ids, jnp.int32)).gossip(x)["x"],)
    bandwidth[0] = 1.0
    _, meters = once(alone, (jnp.zeros((N, D)),), clock=dj.faults.clock(bandwidth=bandwidth))
    assert meters.seconds[-1] < 1e-3
