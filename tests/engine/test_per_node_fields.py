"""Numbers of a method or an optimizer, one per node: told by what fields say, never by a size that happens to be n."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, PROBLEM, RING, X0, N, W, close, grads, mix, same

import dejax as dj
from dejax import engine
from dejax.core.fields import declared, grown, per_node, unsaid
from dejax.core.types import NodeFloatLike

SCALE = np.linspace(0.5, 1.5, N)


class State(NamedTuple):
    params: Any
    rates: Any  # [n], one per node
    table: Any  # the same for all nodes, of whatever length


@dj.struct
class Own:
    """D-SGD whose rates stand in its state, and shrink in every round in which a node takes part."""

    scale: Any = dj.number(per_node=True)
    table: Any = dj.number(default=0.0)

    def init(self, params, key):
        rows = lambda x: x * jnp.reshape(self.scale, (-1,) + (1,) * (x.ndim - 1))
        return State(jax.tree.map(rows, params), LR * jnp.asarray(self.scale), jnp.asarray(self.table))

    def step(self, state, round):
        down = lambda x, g: x - jnp.reshape(state.rates, (-1, 1)) * g
        x = round.gossip(jax.tree.map(down, state.params, round.gradient(state.params)))
        return State(x, state.rates * 0.9, state.table)


@dj.struct
class Hinted(Own):
    """The same, said by a hint."""

    scale: NodeFloatLike = dj.number()


@dj.struct
class Mute(Own):
    """The same, and the field says nothing."""

    scale: Any = dj.number()


@pytest.mark.parametrize("cls", [Own, pytest.param(Hinted, marks=pytest.mark.slow)])
def test_rows_that_init_reads_belong_to_nodes(cls):
    """Who sleeps keeps its rate, as it keeps its model: both have the node axis, the table of n rows has not."""
    method = cls(jnp.asarray(SCALE), jnp.arange(float(N)))
    key = jax.random.key(0)
    axes = engine.node_axis(method, PROBLEM, key)
    assert axes.params == {"x": True} and axes.rates is True and axes.table is False
    fault = dj.faults.vanish(at=2, nodes=(1,))
    state, _ = zoo.run(method, PROBLEM, dj.Network(RING, faults=fault), 5, X0)
    x, rates = SCALE[:, None] * X0, LR * SCALE
    for t in range(5):
        there = np.ones(N, bool) if t < 2 else np.arange(N) != 1
        w = np.where(there[:, None] & there, W, 0) * (1 - np.eye(N))
        w = w + np.diag(1 - w.sum(1))
        x = np.where(there[:, None], mix(w, x - rates[:, None] * grads(x)), x)
        rates = np.where(there, rates * 0.9, rates)
    close(np.asarray(state.params["x"]), x)
    close(np.asarray(state.rates), rates)
    same(state.table, np.arange(float(N)))


def test_a_field_that_says_nothing_is_the_same_for_all_nodes():
    assert jax.tree.leaves(declared(Own(SCALE, SCALE))) == [True, False]
    assert jax.tree.leaves(declared(Hinted(SCALE, SCALE))) == [True, False]
    assert jax.tree.leaves(declared(Mute(SCALE, SCALE))) == [False, False]
    assert jax.tree.leaves(declared(Own(0.5))) == [False, False]  # one number is no array
    assert [x.shape for x in jax.tree.leaves(grown(Own(SCALE, SCALE)))] == [(N + 1,), (N,)]
    assert per_node(Own(SCALE)) and not per_node(Mute(SCALE)) and unsaid(N, Mute(SCALE)) == ["Mute.scale"]
    text = r"Mute.scale has 5 rows, which init reads node by node, but .*; write it with dejax.number\(per_node=True\)"
    with pytest.raises(dj.FieldError, match=text):
        dj.rollout(Mute(jnp.asarray(SCALE)), PROBLEM, dj.Network(RING), jax.random.key(0), 1)


def test_schedules_and_optimizers_within_a_method_count():
    rates = jnp.full(N, 0.1)
    assert per_node(dj.methods.dsgd(lr=rates)) and not per_node(dj.methods.dsgd(lr=0.1))
    assert per_node(dj.methods.dsgd(lr=dj.Cosine(peak=rates, length=9.0)))
    adam = dj.optimizer(optax.adam, learning_rate=rates, b1=0.8)
    method = dj.methods.dsgd(optimizer=adam)
    assert per_node(method) and unsaid(N, method) == []
    assert sorted(x.shape for x in jax.tree.leaves(grown(method)) if jnp.ndim(x)) == [(N + 1,)]


def test_rows_of_another_number_than_nodes_are_refused():
    with pytest.raises(ValueError, match=r"Own.scale has shape \(3,\); give one number, or 5"):
        dj.rollout(Own(jnp.ones(3)), PROBLEM, dj.Network(RING), jax.random.key(0), 1)
    with pytest.raises(ValueError, match=r"sgd.learning_rate has shape \(3,\)"):
        method = dj.methods.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=jnp.ones(3)))
        dj.rollout(method, PROBLEM, dj.Network(RING), jax.random.key(0), 1)


@pytest.mark.slow
@pytest.mark.parametrize("local_steps", [1, 2])
def test_an_optimizer_with_one_rate_per_node_is_each_node_with_its_own(local_steps):
    """Against runs with one rate for all and without links, whose rows are those of single nodes."""
    rates, apart = np.linspace(0.05, 0.3, N), dj.Network(dj.topology.isolated(N).astype("float64"))
    make = lambda lr: dj.methods.local_sgd(
        optimizer=dj.optimizer(optax.adam, learning_rate=lr, b1=0.7), local_steps=local_steps
    )
    got = zoo.run(make(jnp.asarray(rates)), PROBLEM, apart, 6, X0)[0].params["x"]
    for i in range(N):
        close(
            np.asarray(got)[i],
            np.asarray(zoo.run(make(float(rates[i])), PROBLEM, apart, 6, X0)[0].params["x"])[i],
            1e-13,
        )
    with pytest.raises(
        ValueError, match="optimizer.learning_rate has shape .* this optimizer steps one model for all nodes"
    ):
        server = dj.optimizer(optax.sgd, learning_rate=jnp.asarray(rates))
        dj.rollout(dj.methods.fedopt(lr=0.1, server=server), PROBLEM, None, jax.random.key(0), 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", [Own(jnp.linspace(0.5, 1.5, 8)), dj.methods.dsgd(
    optimizer=dj.optimizer(optax.sgd, learning_rate=jnp.linspace(0.05, 0.3, 8)))], ids=["method", "optimizer"])  # fmt: skip
def test_rows_stay_with_their_nodes_on_a_mesh(method):
    """A graph whose nodes would be laid out in another order: they keep theirs, and the numbers are those of one device."""
    problem, _ = zoo.squares(8)
    order = np.random.default_rng(0).permutation(8)
    top = dj.topology.from_edges([(int(order[i]), int(order[(i + 1) % 8])) for i in range(8)], n=8).astype("float64")
    one, many = (dj.rollout(method, problem, dj.Network(top), jax.random.key(0), 4, mesh=mesh)[0] for mesh in (None, 4))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
