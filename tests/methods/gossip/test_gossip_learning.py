"""Gossip learning against NumPy with nodes of unequal age, and what ages decide."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, N, close, grads, mix, run

import dejax as dj

m = dj.methods
AWAKE = np.random.default_rng(3).random((ROUNDS, N)) < 0.6


@dj.struct
class Timed(dj.Fault):
    """Nodes that are awake by a table [T, n]."""

    table: Any
    sleeps = True

    def awake(self, ctx):
        return jnp.asarray(self.table)[ctx.index][ctx.ids]


def reference(table, k, x):
    """Models and ages."""
    age = np.zeros(N, int)
    for up in table:
        sent, old = x.copy(), age.copy()
        for i in np.flatnonzero(up):
            from_ = [i, *(j for j in ((i - 1) % N, (i + 1) % N) if up[j])]
            a = old[from_]
            x[i] = a @ sent[from_] / a.sum() if a.sum() else sent[i]
            age[i] = a.max() + k
        for _ in range(k):
            x = np.where(up[:, None], x - LR * grads(x), x)
    return x, age


def test_gossip_learning_with_sleepers():
    want, age = reference(AWAKE, 2, X0.copy())
    state, x = run(m.gossip_learning(lr=LR, local_steps=2), dj.Network(RING, faults=Timed(AWAKE)))
    close(x, want)
    np.testing.assert_array_equal(state.age, age)
    assert len(set(age.tolist())) > 2


def test_equal_ages_are_the_plain_mean():
    x = X0 - LR * grads(X0)
    for _ in range(4):
        x = mix(RING.matrix(), x)
        x = x - LR * grads(x)
    close(run(m.gossip_learning(lr=LR), RING, 5)[1], x)


def test_a_model_of_age_zero_adopts_what_it_hears_and_gives_nothing():
    table = np.ones((2, N), bool)
    table[0, 0] = False  # node 0 has learned nothing when it first hears the others
    x = X0 - LR * grads(X0)
    x[0] = X0[0]
    sent = x.copy()
    for i in range(N):
        x[i] = np.mean([sent[j] for j in (i - 1, i, (i + 1) % N) if j % N != 0], axis=0)
    x = x - LR * grads(x)
    state, got = run(m.gossip_learning(lr=LR), dj.Network(RING, faults=Timed(table)), 2)
    close(got, x)
    np.testing.assert_array_equal(state.age, np.full(N, 2))


@pytest.mark.slow
def test_one_model_and_one_age_per_message():
    _, meters = zoo.run(m.gossip_learning(lr=LR), zoo.squares()[0], RING, 3, X0)
    assert meters.totals()["wire/exchange"] == 3 * N * 2 * (4 + 1) * 64  # an age is as wide as the model's numbers


@pytest.mark.slow
def test_those_who_have_learned_much_lead_those_who_wake_late():
    """One node trains alone at first; when the others wake up, its neighbors take its model over."""
    table = np.ones((81, N), bool)
    table[:80, 1:] = False
    after = lambda method, rounds: run(method, dj.Network(RING, faults=Timed(table)), rounds)[1]
    learned = after(m.gossip_learning(lr=0.05), 80)[0]
    far = lambda method: np.linalg.norm(after(method, 81)[[1, N - 1]] - learned)
    assert far(m.gossip_learning(lr=0.05)) < 0.5 * far(m.dsgd(lr=0.05, order="cta"))


def test_rules_that_would_be_ignored_are_refused():
    with pytest.raises(dj.RefusedError, match="merge by ages"):
        dj.Network(RING, rule=dj.aggregation.coordinate_median()).check(m.gossip_learning(lr=LR), zoo.squares()[0])
