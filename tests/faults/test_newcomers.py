"""Nodes that begin from what their neighbors hold, against loops in NumPy."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, PROBLEM, RING, X0, N, W, close, grads, same

import dejax as dj
from dejax import faults
from dejax.core.random import fold_name
from dejax.faults.pairs import uniform_of_pairs

JOIN = 3
m = dj.methods


def everybody_up(t):
    return lambda i, j: True


def loop(rounds, at, arrives=everybody_up, tracking=False, w=W, lr=LR):
    """ATC D-PSGD (or ATC tracking) of who is there; who joins begins from the mean of neighbors that were there."""
    x, y, last = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for t in range(rounds):
        there, before, up = np.asarray(at) <= t, np.asarray(at) < t, arrives(t)
        held = x.copy()
        for i in np.flatnonzero(there & ~before) if t else ():
            heard = [j for j in range(N) if j != i and w[i, j] and before[j] and up(i, j)]
            if heard:
                x[i] = sum(w[i, j] * held[j] for j in heard) / sum(w[i, j] for j in heard)
        g = grads(x)
        gossip = lambda v, there=there, up=up: np.stack([
            v[i] if not there[i] else v[i] + sum(
                w[i, j] * (v[j] - v[i]) for j in range(N) if j != i and there[j] and up(i, j)
            ) for i in range(N)
        ])  # fmt: skip
        if tracking:
            y = np.where(there[:, None], gossip(y) + g - last, y)
            last = np.where(there[:, None], g, last)
        half = np.where(there[:, None], x - lr * (y if tracking else g), x)
        x = np.where(there[:, None], gossip(half), x)
    return x


def run(method, fault, rounds=7, network=RING, x0=X0, **kw):
    state, meters = zoo.run(method, PROBLEM, dj.Network(network, faults=fault, **kw), rounds, x0)
    return zoo.models(method, state), meters


ONE = np.where(np.arange(N) == JOIN, 4, 0)
FEW = np.arange(N) // 2  # two join in each round, side by side: they do not hear each other


@pytest.mark.parametrize("at", [ONE, pytest.param(FEW, marks=pytest.mark.slow)], ids=["one", "few"])
def test_who_joins_begins_from_the_mean_of_its_neighbors(at):
    fault = faults.joins(at=tuple(at.tolist()), start="neighbors")
    got, meters = run(m.dsgd(lr=LR), fault)
    close(got, loop(7, at))
    assert np.abs(got - run(m.dsgd(lr=LR), dataclasses.replace(fault, start="own"))[0]).max() > 1e-3
    joining = [(i, j) for i in range(N) for j in ((i - 1) % N, (i + 1) % N) if at[i] > 0 and at[j] < at[i]]
    assert meters.totals()["wire/newcomers/models"] == 64 * X0.shape[1] * len(joining)


@pytest.mark.slow
def test_the_rest_of_the_state_begins_as_init_makes_it():
    """The tracker and the last gradient are those of before round 0, so that mean(y) = mean(g) holds on."""
    fault = faults.joins(at=4, nodes=(JOIN,), start="neighbors")
    close(run(m.gradient_tracking(lr=LR), fault)[0], loop(7, ONE, tracking=True))


@pytest.mark.slow
def test_a_lost_model_is_left_out_of_the_mean():
    fault = (faults.joins(at=tuple(FEW.tolist()), start="neighbors"), faults.link_loss(p=0.5))

    def arrives(t):
        key = fold_name(
            jax.random.fold_in(fold_name(jax.random.fold_in(jax.random.key(0), t), "links"), t), "link_loss"
        )
        draw = lambda i, j: uniform_of_pairs(key, jnp.int32(min(i, j)), jnp.int32(max(i, j)), N)
        return lambda i, j: bool(draw(i, j) >= 0.5)

    close(run(m.dsgd(lr=LR), fault)[0], loop(7, FEW, arrives))


@pytest.mark.slow
def test_equal_models_are_taken_over_exactly():
    """lr = 0 and equal models among those who are there: a newcomer equals them, to the last bit."""
    x0 = np.broadcast_to(X0[0], X0.shape).copy()
    x0[JOIN] = X0[JOIN]
    fault = faults.joins(at=2, nodes=(JOIN,), start="neighbors")
    got, _ = run(m.dsgd(lr=0.0), fault, x0=x0, network=dj.topology.complete(N).astype("float64"))
    close(got, np.broadcast_to(X0[0], X0.shape), 1e-15)
    assert np.abs(run(m.dsgd(lr=0.0), faults.joins(at=2, nodes=(JOIN,)), x0=x0)[0] - X0[0]).max() > 1e-3


NOBODY = {
    "at 0": faults.joins(at=0, share=0.5, start="neighbors"),
    "no share": faults.joins(at=3, share=0.0, start="neighbors"),
    "all at 0": faults.joins(at=(0,) * N, start="neighbors"),
    "nobody vanishes": faults.vanish(at=2, share=0.0),
}


@pytest.mark.parametrize("name", ["at 0", *(pytest.param(n, marks=pytest.mark.slow) for n in list(NOBODY)[1:])])
def test_nobody_who_joins_is_no_fault_bit_for_bit(name):
    same(run(m.dsgd(lr=LR), NOBODY[name])[0], run(m.dsgd(lr=LR), ())[0])


@pytest.mark.slow
def test_without_a_neighbor_that_was_there_a_node_keeps_its_own_start():
    """Node 0 joins a chain whose node 1 joins with it: nobody else is next to it."""
    at = tuple(2 if i < 2 else 0 for i in range(N))
    fault, chain = faults.joins(at=at, start="neighbors"), dj.topology.chain(N).astype("float64")
    got, _ = run(m.dsgd(lr=0.0), fault, rounds=3, network=chain)
    close(got, loop(3, at, w=chain.matrix(), lr=0.0))


class Seen(NamedTuple):
    params: Any
    first: Any  # int [n]: the round in which the node was fresh
    times: Any  # int [n]: how often


@dj.struct
class Notes:
    """Writes down when each node is fresh, in a round and within `repeat`."""

    def init(self, params, key):
        n = jax.tree.leaves(params)[0].shape[0]
        return Seen(params, jnp.full((n,), -1), jnp.zeros((n,), int))

    def step(self, state, round):
        count = round.repeat(2, lambda r, c: c + r.fresh, jnp.zeros((round.n,), int))
        first = jnp.where(round.fresh, round.index.astype(state.first.dtype), state.first)
        return Seen(round.gossip(state.params), first, state.times + count)


def test_methods_see_whose_first_round_it_is():
    at = np.arange(N) // 2
    fault = (faults.joins(at=tuple(at.tolist())), faults.vanish(at=3, nodes=(0,), back=5))
    state, _ = zoo.run(Notes(), PROBLEM, dj.Network(RING, faults=fault), 7, X0)
    same(state.first, at)
    same(state.times, np.full(N, 2))


@pytest.mark.slow
def test_a_node_that_sleeps_at_first_is_fresh_when_it_wakes():
    network = dj.Network(RING, faults=faults.churn(p=0.6))
    runs = [zoo.run(Notes(), PROBLEM, network, t, X0)[0] for t in (1, 2, 12)]
    assert (np.asarray(runs[0].first) == -1).any() and (np.asarray(runs[1].first) == 1).any()
    same(runs[2].times, np.full(N, 2))


@pytest.mark.slow
def test_adversaries_forge_the_models_that_they_hand_over():
    fault = faults.joins(at=1, nodes=(JOIN,), start="neighbors")
    attack = dj.attacks.sign_flip(adversaries=(JOIN - 1,))
    got, _ = run(m.dsgd(lr=0.0), fault, rounds=2, attack=attack)
    x = X0.copy()
    flip = lambda v: np.where((np.arange(N) == JOIN - 1)[:, None], -v, v)
    for t in range(2):
        there = np.ones(N, bool) if t else np.arange(N) != JOIN
        if t:
            x[JOIN] = (flip(x)[JOIN - 1] + x[JOIN + 1]) / 2
        sent, new = flip(x), x.copy()
        for i in np.flatnonzero(there):
            new[i] = x[i] + sum(W[i, j] * (sent[j] - x[i]) for j in range(N) if j != i and there[j])
        x = new
    close(got, x)


def test_a_word_that_is_no_start():
    with pytest.raises(ValueError, match="Joins.start is 'mean'; give 'own' or 'neighbors'"):
        faults.joins(at=1, share=0.1, start="mean")
