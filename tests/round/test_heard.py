"""What was heard last: memory of every edge where messages are lost, and whom it is refused to."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import PROBLEM, RING, X0, N, W, close, same

import dejax as dj
from dejax.core.random import fold_name
from dejax.faults.pairs import uniform_of_pairs

ROUNDS = 6


class State(NamedTuple):
    params: Any


@dj.struct
class Listen:
    """x <- W x of what was heard last, then a drift, so that old values differ from new ones."""

    heard: bool = dj.static(default=True)
    by_rows: bool = dj.static(default=False)
    touches: Any = dj.static(default="neighbors")

    @property
    def traits(self):
        return dj.Traits(channel="edges" if self.by_rows else "neighbors", footprint=self.touches)

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        if self.by_rows:
            rows = round.exchange(round.edges.of_nodes(state.params), per_edge=True)
            return State(round.edges.sum(rows.rows))
        got = round.exchange(state.params, heard=self.heard)
        return State(jax.tree.map(lambda x: x + 0.5, got.combine()))


def arrives(t, p):
    key = fold_name(jax.random.fold_in(fold_name(jax.random.fold_in(jax.random.key(0), t), "links"), t), "link_loss")
    draw = lambda i, j: uniform_of_pairs(key, jnp.int32(min(i, j)), jnp.int32(max(i, j)), N)
    return lambda i, j: bool(draw(i, j) >= p)


@pytest.mark.parametrize("faults", [
    dj.faults.link_loss(p=0.5),
    pytest.param(dj.faults.vanish(at=2, nodes=(1,), back=4), marks=pytest.mark.slow),
    pytest.param((dj.faults.link_loss(p=0.5), dj.faults.delay(phases=2)), marks=pytest.mark.slow),
])  # fmt: skip
def test_what_was_heard_last_stands_against_a_loop(faults):
    x, heard, sent = X0.copy(), {}, []
    late = 2 if isinstance(faults, tuple) else 0  # what is lost when it is sent never arrives
    for t in range(ROUNDS):
        vanishing = isinstance(faults, dj.faults.vanish)
        there = ~faults.absent(t, N) if vanishing else np.ones(N, bool)
        sent.append(x.copy())
        new = x.copy()
        for i in np.flatnonzero(there):
            new[i] = W[i, i] * x[i] + 0.5
            for j in ((i - 1) % N, (i + 1) % N):
                if there[j] and t >= late and (vanishing or arrives(t - late, 0.5)(i, j)):
                    heard[i, j] = sent[t - late][j]
                new[i] = new[i] + W[i, j] * heard.get((i, j), x[i])
        x = new
    state, _ = zoo.run(Listen(), PROBLEM, dj.Network(RING, faults=faults), ROUNDS, X0)
    close(np.asarray(state.params["x"]), x)
    forgetful, _ = zoo.run(Listen(heard=False), PROBLEM, dj.Network(RING, faults=faults), ROUNDS, X0)
    assert np.abs(np.asarray(forgetful.params["x"]) - x).max() > 1e-3


@pytest.mark.slow
def test_where_nothing_is_lost_it_is_a_plain_exchange():
    runs = [zoo.run(Listen(heard=h), PROBLEM, dj.Network(RING), ROUNDS, X0)[0] for h in (True, False)]
    same(runs[0].params["x"], runs[1].params["x"])


UPDATES, PAIRS = dj.events.updates(age=1), dj.events.poisson()


@pytest.mark.parametrize(("method", "events", "text"), [
    (Listen(touches=None), None, "called with heard=, but Listen does not say footprint='neighbors'; write traits"),
    (Listen(heard=False), UPDATES, "in a timetable where a node acts on what it heard of its neighbors; give heard=True"),
    (Listen(touches="pair"), PAIRS, "called with heard=, but Listen does not say footprint='neighbors'; write traits"),
    (Listen(by_rows=True), UPDATES, "lets few nodes act at a time, but Listen sends on all edges at once"),
    (Listen(), PAIRS, "lets two nodes meet, but an event of Listen has the footprint 'neighbors'; use poisson for pairs"),
    (Listen(touches="pair", heard=False), UPDATES, "an event of Listen has the footprint 'pair'; use poisson"),
])  # fmt: skip
def test_calls_that_cannot_be_right_are_refused(method, events, text):
    with pytest.raises(ValueError, match=text):
        dj.rollout(method, PROBLEM, dj.Network(RING, events=events), jax.random.key(0), 2)


def test_a_codec_with_copies_per_edge_is_refused():
    codec = dj.compression.copies(dj.compression.top_k(k=2), gamma=0.3, per_edge=True)
    with pytest.raises(dj.RefusedError, match="one memory too many"):
        dj.rollout(Listen(), PROBLEM, dj.Network(RING, codec=codec), jax.random.key(0), 2)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: dj.events.updates(rate=0.0), "Updates.rate is 0.0; give"),
    (lambda: dj.events.updates(age=-1), "Updates.age is -1"),
    (lambda: dj.events.updates(rate=(1.0, 2.0)).plan(RING, 3), r"Updates.rate has shape \(2,\) for n = 5 nodes"),
    (lambda: dj.events.updates().plan(RING, None), "needs the number of rounds"),
    (lambda: dj.events.updates().plan(dj.topology.isolated(3), 2), "node 0 of 'isolated' has no neighbor to meet"),
])  # fmt: skip
def test_bad_input(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_longer_timetable_begins_with_the_same_rounds_and_no_neighbors_act_at_once():
    short, long = (dj.events.updates(width=3, seed=4).plan(dj.topology.ring(12), t) for t in (20, 150))
    for field in ("nodes", "ticks", "times", "whole"):
        same(getattr(long, field)[:20], getattr(short, field))
    for row in np.asarray(long.nodes):
        acting = [i for i in row if i < 12]
        assert acting and all((i - j) % 12 not in (1, 11) for i in acting for j in acting)
