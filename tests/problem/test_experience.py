"""Sources of experience: worlds that go on from round to round, and what learns in them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import LR, PROBLEM, close, run

import dejax as dj
from dejax import engine
from dejax.problem import Batch
from dejax.tasks.policies._grid_walk import GridWorld, advantages

N = 4


def walk(loss="ppo", **kw):
    data = dj.data.cells(4).partition(dj.data.iid(), nodes=N, seed=0)
    return dj.Problem(
        dj.tasks.grid_walk(size=4, hidden=16, objective=loss),
        data,
        source=dj.experience.acting(steps=8, copies=4),
        **kw,
    )


@dj.struct
class Count(dj.Experience):
    """Batches of nothing but how often each node drew one before, and the round."""

    acts = False

    def init(self, key, n):
        return jnp.zeros(n, jnp.int32)

    def collect(self, task, params, memory, round):
        x = jnp.stack([memory, jnp.broadcast_to(round.index, memory.shape)], 1)
        return Batch({"x": x[:, None].astype(float)}), memory + 1


def slope(params, batch, key):
    return batch["x"] @ params["w"]


def counted(**kw):
    data = dj.data.from_clients([(np.ones((1, 1)), np.zeros(1)) for _ in range(N)])
    return dj.Problem(dj.tasks.from_functions(lambda key: {"w": jnp.zeros(2)}, slope), data, source=Count(), **kw)


def test_memory_goes_on_and_the_round_is_seen(key):
    state, _ = dj.rollout(dj.methods.local_only(lr=1.0), counted(), None, key, 4)
    np.testing.assert_array_equal(state.params["w"], np.tile([[-6, -6]], (N, 1)))  # 0 + 1 + 2 + 3, twice


def test_memory_stays_where_a_node_sleeps(key):
    churn = dj.Network(dj.topology.isolated(N), faults=dj.faults.churn(p=0.5))
    state, meters = dj.rollout(dj.methods.dsgd(lr=1.0), counted(), churn, key, 8)
    drawn, rounds = -np.asarray(state.params["w"]).T
    awake = (1 + np.sqrt(1 + 8 * drawn)) / 2  # k batches: 0 + 1 + ... + k - 1
    assert (awake == awake.round()).all() and awake.sum() == meters.totals()["gradients"] and (rounds > drawn).any()


@pytest.mark.slow
def test_a_carry_holds_the_worlds(key):
    """Seven rounds are three and four; what is carried are worlds with a node axis."""
    method, problem, network = engine.prepare(dj.methods.dsgd(lr=0.1), walk(), dj.Network(dj.topology.ring(N)))
    chunk = lambda carry, first, count: engine.run_chunk(
        method, problem, network, carry, key, jnp.int32(first), jnp.int32(count), 7
    )[0]
    begin = lambda: engine.start(method, problem, network, key)
    one, two = chunk(begin(), 0, 7), chunk(chunk(begin(), 0, 3), 3, 4)
    jax.tree.map(np.testing.assert_array_equal, one.slots["source"], two.slots["source"])
    jax.tree.map(np.testing.assert_array_equal, one.state, two.state)
    (state, over) = one.slots["source"]
    assert state["at"].shape == (N, 4, 2) and over.shape == (N, 4)
    assert int(state["age"].max()) > 8, "an episode lasts longer than the steps of one round"


def test_the_world_in_numpy():
    world, rng = GridWorld(3), np.random.default_rng(0)
    state, at = world.reset(jnp.array([0, 1], jnp.int32)), np.array([0, 1])
    for age, action in enumerate(rng.integers(0, 5, 20), 1):
        state, reward, over = world.step(state, jnp.int32(action))
        at = np.clip(at + [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)][action], 0, 2)
        there = (at == 2).all()
        np.testing.assert_array_equal(state["at"], at)
        assert reward == there and over == (there or age >= 12)
        np.testing.assert_array_equal(world.observe(state), np.eye(3)[at].ravel())


def test_advantages_in_numpy():
    rng = np.random.default_rng(1)
    reward, value, last, over = rng.random((3, 6)), rng.random((3, 6)), rng.random(3), rng.random((3, 6)) < 0.3
    want, later = np.zeros((3, 6)), np.zeros(3)
    for t in reversed(range(6)):
        after = last if t == 5 else value[:, t + 1]
        later = reward[:, t] + 0.9 * (~over[:, t]) * after - value[:, t] + 0.9 * 0.8 * (~over[:, t]) * later
        want[:, t] = later
    np.testing.assert_allclose(advantages(*map(jnp.asarray, (reward, over, value, last)), 0.9, 0.8), want, rtol=1e-12)


@pytest.mark.slow
def test_at_the_acting_policy_both_losses_have_one_gradient():
    """Where r = 1, the slope of r A is that of A log p: REINFORCE is PPO's first step."""
    ends = [
        dj.rollout(dj.methods.local_only(lr=0.5), walk(loss), None, jax.random.key(0), 20)[0]
        for loss in ("ppo", "reinforce")
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *ends)
    assert np.abs(np.asarray(ends[0].params["actor"]["bias"])).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ppo", "reinforce"])
def test_returns_grow(loss):
    for method, network in (
        (dj.methods.dsgd(lr=1.0), dj.Network(dj.topology.ring(N))),
        (dj.methods.fedavg(lr=1.0, local_steps=2, clients=2), None),
    ):
        history = dj.simulate(
            method, walk(loss), network, rounds=200, every=200, progress=False, metrics=["mean_model", "local_models"]
        )
        first, last = history.records[0], history.records[-1]
        assert last["return/local"] > 0.7 > 0.2 > first["return/local"], (type(method).__name__, first, last)


def test_a_batch_of_a_source_that_acts_needs_models(key):
    @dj.struct
    class Blind(dj.methods.local_only):
        def step(self, state, round):
            round.batch()
            return state

    with pytest.raises(dj.FieldError, match=r"params is not given, but Acting acts with the nodes' models"):
        dj.rollout(Blind(lr=0.1), walk(), None, key, 1)


def test_what_a_source_excludes():
    with pytest.raises(dj.FieldError, match="but the source of experience says itself what a batch is"):
        walk(batch_size=3)
    with pytest.raises(dj.FieldError, match="needs a world to act in"):
        dataclasses.replace(PROBLEM, source=dj.experience.acting())
    clip = dj.Network(privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
    with pytest.raises(dj.RefusedError, match="the samples of Acting follow from one another"):
        clip.check(dj.methods.local_only(lr=0.1), walk())


@dj.struct
class Asking(dj.Experience):
    """Batches of what one verb gives at the nodes' models; memory counts them."""

    verb: Any = dj.static()

    def init(self, key, n):
        return jnp.zeros(n, jnp.int32)

    def collect(self, task, params, memory, round):
        got = self.verb(round, params)
        x = params["w"] if got is None else jnp.broadcast_to(got["w"], params["w"].shape)
        return Batch({"x": x[:, None]}), memory + 1


class State(NamedTuple):
    params: Any


@dj.struct
class Looking:
    """Draw, then learn from what was drawn; pairs meet."""

    traits = dj.Traits(weights=("doubly", "row"), footprint="pair")

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        grads = round.gradient(state.params, round.batch(params=state.params))
        return State(round.gossip(jax.tree.map(lambda x, g: x - g, state.params, grads)))


def asking(verb, **kw):
    start = lambda key: {"w": jax.random.normal(key, (2,), float)}
    data = dj.data.from_clients([(np.ones((1, 1)), np.zeros(1)) for _ in range(N)])
    return dj.Problem(dj.tasks.from_functions(start, slope), data, source=Asking(verb), starts="independent", **kw)


RING, PAIRS = dj.topology.ring(N), dj.events.poisson()
GOSSIP = lambda r, x: r.gossip(x)
INNER = {
    "gossip": GOSSIP,
    "mix": lambda r, x: r.exchange(x).mix(),
    "when": lambda r, x: r.when(r.index >= 0, GOSSIP, x),
    "repeat": lambda r, x: r.repeat(1, GOSSIP, x),
}


@pytest.mark.parametrize("verb", INNER)
def test_a_source_gossips_under_a_method_that_does(verb, key):
    """x <- W x - lr W x at the first step, of messages metered apart."""
    problem = asking(INNER[verb])
    start = engine.starts(dj.methods.dsgd(lr=0.5), problem, key)["w"]
    state, meters = dj.rollout(dj.methods.dsgd(lr=0.5, order="awc"), problem, dj.Network(RING), key, 1)
    np.testing.assert_allclose(state.params["w"], 0.5 * RING.matrix() @ start, rtol=1e-12)
    (acting,) = [name for name in meters.totals() if name.startswith("wire/gradient.batch/")]
    assert meters.totals()[acting] == meters.totals()["wire/gossip"] > 0


@pytest.mark.parametrize("clients", [None, 2])
def test_a_source_averages_at_a_server(clients, key):
    method = dj.methods.fedavg(lr=0.5, local_steps=1, clients=clients)
    problem = dataclasses.replace(asking(lambda r, x: r.average(x)), starts="equal")
    start = np.asarray(engine.starts(method, problem, key)["w"])[0]
    state, meters = dj.rollout(method, problem, None, key, 1)
    np.testing.assert_allclose(state.params["w"], 0.5 * start, rtol=1e-12)
    ups = {name: count for name, count in meters.totals().items() if name.startswith("up/")}
    assert len(ups) == 2 and len(set(ups.values())) == 1


def test_a_source_gossips_where_pairs_meet(key):
    network = dj.Network(RING, events=PAIRS)
    state, meters = dj.rollout(Looking(), asking(GOSSIP), network, key, 3)
    assert meters.totals()["wire/batch/gossip"] == meters.totals()["wire/gossip"] > 0
    assert np.isfinite(state.params["w"]).all()


SOURCE = "is called by Problem.source Asking"
ELSEWHERE = {
    "gossip at a server": (GOSSIP, dj.methods.fedavg(lr=0.1), None, f"gossip {SOURCE}, but the method FedAvg does not"),
    "graph at a server": (lambda r, x: r.degree, dj.methods.fedavg(lr=0.1), None, f"degree {SOURCE}, but the method FedAvg"),
    "gossip of nobody": (GOSSIP, dj.methods.local_only(lr=0.1), None, f"gossip {SOURCE}, but the method LocalOnly"),
    "server beside a graph": (lambda r, x: r.average(x), dj.methods.dsgd(lr=0.1), dj.Network(RING), "does not say channel='server'"),
    "trait": (lambda r, x: r.pull(r.ids[:, None]), dj.methods.dsgd(lr=0.1), dj.Network(RING), "does not say pulls=True; collect without it"),
    "few nodes of a timetable": (
        GOSSIP, dj.methods.dsgd(lr=0.1), dj.Network(RING, events=PAIRS), f"{SOURCE} at those nodes alone that act in this round"),
    "itself": (lambda r, x: r.batch(params=x).data, dj.methods.dsgd(lr=0.1), dj.Network(RING), "source Asking, which would ask itself"),
    "itself by a gradient": (lambda r, x: r.gradient(x), dj.methods.dsgd(lr=0.1), dj.Network(RING), "which would ask itself"),
}  # fmt: skip


@pytest.mark.parametrize("where", ELSEWHERE)
def test_what_a_source_cannot_do_is_refused_in_words(where, key):
    verb, method, network, text = ELSEWHERE[where]
    with pytest.raises(dj.FieldError, match=text):
        dj.rollout(method, asking(verb), network, key, 1)


def test_gradients_of_a_source_are_no_steps_of_the_learner(key):
    ones = Batch({"x": jnp.ones((N, 1, 2))})
    problem = asking(lambda r, x: r.gradient(x, ones))
    state, meters = dj.rollout(dj.methods.local_only(lr=0.5), problem, None, key, 1)
    start = engine.starts(dj.methods.local_only(lr=0.5), problem, key)["w"]
    np.testing.assert_allclose(state.params["w"], start - 0.5, rtol=1e-12)
    assert meters.totals()["gradients"] == 2 * N
    np.testing.assert_allclose(meters.values["loss/source"], [start.sum(1).mean()], rtol=1e-12)
    np.testing.assert_allclose(meters.values["loss"], [start.sum(1).mean()], rtol=1e-12)
    roles = {"roles": {"b": "personal"}, "personal_lr": 0.1}
    task = dj.tasks.from_functions(lambda key: {"w": jnp.zeros(2), "b": jnp.zeros(2)}, slope)
    with pytest.raises(dj.FieldError, match="but the model has leaves that a gradient trains itself"):
        dj.rollout(dj.methods.local_only(lr=0.1), dataclasses.replace(problem, task=task, **roles), None, key, 1)


def test_raw_losses_in_a_source_are_refused_beside_privacy(key):
    look = lambda r, x: (r.loss(x, Batch({"x": jnp.ones((N, 1, 2))})), None)[1]
    dj.rollout(dj.methods.dsgd(lr=0.1), asking(look), dj.Network(RING), key, 1)
    noise = dj.privacy.gaussian_message(clip=1.0, noise_multiplier=0.1)
    with pytest.raises(
        dj.FieldError, match=f"loss {SOURCE.replace('called', 'called on private samples')}.* raw_losses"
    ):
        dj.rollout(dj.methods.dsgd(lr=0.1), asking(look), dj.Network(RING, privacy=noise), key, 1)


def test_the_memory_of_a_source_is_seen_after_a_run():
    run = lambda method, problem, network=None, **kw: dj.simulate(
        method, problem, network, rounds=5, progress=False, metrics=[], **kw
    )
    method = dj.methods.local_only(lr=1.0)
    np.testing.assert_array_equal(run(method, counted()).memory(), np.full(N, 5))
    np.testing.assert_array_equal(run(method, counted(), seeds=[0, 1]).memory(), np.full((2, N), 5))
    churn = dj.Network(dj.topology.isolated(N), faults=dj.faults.churn(p=0.5))
    history = run(dj.methods.dsgd(lr=1.0), counted(), churn)
    k = np.asarray(history.memory())
    np.testing.assert_array_equal(-np.asarray(history.final.params["w"])[:, 0], k * (k - 1) / 2)
    assert (k < 5).any()


@pytest.mark.slow
def test_samples_are_the_default():
    """A source of a user's own that draws as the default does changes no number."""

    @dj.struct
    class Mine(dj.Experience):
        acts = False

        def collect(self, task, params, memory, round):
            return dataclasses.replace(PROBLEM, source=None).experience.collect(task, params, memory, round)

    method = dj.methods.local_only(lr=LR)
    close(run(method, problem=dataclasses.replace(PROBLEM, source=Mine()))[1], run(method)[1])
