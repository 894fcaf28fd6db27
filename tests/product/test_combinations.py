"""A committed sample of whole experiments: method, options, graph, task, devices. sample_combinations.py draws it anew."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import members
import numpy as np
import pytest
import settings

import dejax as dj
from dejax import engine
from dejax.core.method import traits

LINES = pathlib.Path(__file__).with_name("combinations.txt").read_text().splitlines()
pytestmark = pytest.mark.filterwarnings("ignore:.* beside network.rule", "ignore:.*adversaries")  # notes, not refusals
ROUNDS = 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[pytest.mark.nightly] * (i % 3 > 0)) for i, line in enumerate(LINES)]
)
def test_a_combination_learns_the_same_however_it_is_cut(line):
    """Finite models, and something moved (all uploads may be lost); three rounds are one and two, bit for bit, by the same program; devices change no number."""
    name, options, graph, task, devices = line.split()
    method, problem = members.methods()[name], settings.problem(task)
    network = settings.network(graph, () if options == "plain" else options.split("+"))
    if traits(method).needs_events == "apart":  # which tells gradients from meetings
        network = dataclasses.replace(network, events=dj.events.decoupled(width=2))
    key = jax.random.key(7)
    parts = engine.prepare(method, problem, network, ROUNDS)
    begin = engine.start(*parts, key)
    chunk = lambda carry, first, count: engine.run_chunk(
        *parts, carry, key, jnp.int32(first), jnp.int32(count), 4, jnp.float32(ROUNDS)
    )
    again = jax.tree.map(jnp.copy, begin)  # a chunk takes its carry
    before = [
        np.asarray(jax.device_get(x)) for x in jax.tree.leaves((begin.state, begin.slots)) if x.dtype != key.dtype
    ]
    whole, meters = chunk(begin, 0, ROUNDS)
    parted, _ = chunk(chunk(again, 0, 1)[0], 1, ROUNDS - 1)
    after = jax.tree.leaves(whole)
    for x, y in zip(after, jax.tree.leaves(parted), strict=True):
        if jnp.issubdtype(x.dtype, jnp.inexact):
            assert np.isfinite(x).all()
        np.testing.assert_array_equal(jax.device_get(x), jax.device_get(y))
    moved = [x for x in jax.tree.leaves((whole.state, whole.slots)) if x.dtype != key.dtype]
    assert any((np.asarray(x) != y).any() for x, y in zip(moved, before, strict=True))
    if graph == "server" and name not in ("local_only", "centralized"):
        assert int(np.asarray(meters.counts["awake"]["lo"]).sum()) > 0
    if int(devices) > 1:
        many, spread = dj.rollout(method, problem, network, key, ROUNDS, mesh=int(devices))
        one = engine.state_of(whole)
        wide = 1e-10 if task == "regression" else 1e-4
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_allclose(a, b, rtol=wide, atol=wide)
        for name in spread.counts:
            np.testing.assert_array_equal(spread.counts[name]["lo"].sum(), meters.counts[name]["lo"].sum())


def test_the_sample_has_every_method_option_graph_and_task():
    found = [line.split() for line in LINES]
    assert len(LINES) == len(set(LINES)) >= 100
    methods, options, graphs, tasks, devices = zip(*found, strict=True)
    assert set(methods) == set(members.methods())
    assert set("+".join(options).split("+")) >= set(members.options())
    assert set(graphs) == set(settings.GRAPHS)
    assert set(tasks) == set(settings.TASKS)
    assert 10 <= sum(d != "1" for d in devices) <= len(LINES) / 4
