"""rollout and its chunks: pure, resumable, differentiable, shardable; and what it refuses."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems as zoo
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import dejax as dj
from dejax import engine
from dejax.engine.rollout import _rollout
from dejax.round.meters import Meters, limbs
from dejax.xla.compile_once import once

pytestmark = pytest.mark.worlds

m, LR, N = dj.methods, 0.2, zoo.N
PROBLEM, MADE = zoo.squares()
X0 = zoo.starts()
RING = zoo.ring()


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# ---- chunks
@pytest.mark.slow
def test_the_start_compiled_for_one_call_is_that_of_rollout(key):
    data = dj.data.digits().partition(dj.data.iid(), nodes=4, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 8, 10), data, starts="independent")
    parts = engine.prepare(m.dsgd(lr=LR), problem, dj.Network(dj.topology.ring(4)))
    quick, plain = once(engine.start)(*parts, key), engine.start(*parts, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), quick, plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [m.dsgd(lr=LR), pytest.param(m.gradient_tracking(lr=LR), marks=pytest.mark.slow)],
    ids=["dsgd", "tracking"],
)
def test_seven_rounds_are_three_and_four_bit_for_bit_in_one_program(key, method):
    problem = zoo.Uneven(batch_size=2, sampling="epoch").problem
    codec = dj.compression.error_feedback(dj.compression.rand_k(k=2), gamma=0.3)
    network = dj.Network(RING, codec=codec, faults=(dj.faults.churn(p=0.3),))
    method, problem, network = engine.prepare(method, problem, network, 7)
    begin = lambda: engine.start(method, problem, network, key)
    chunk = lambda carry, first, count: engine.run_chunk(
        method, problem, network, carry, key, jnp.int32(first), jnp.int32(count), 8, jnp.float32(7)
    )
    before = engine.run_chunk._cache_size()
    whole, meters = chunk(begin(), 0, 7)
    part, first = chunk(begin(), 0, 3)
    part, second = chunk(part, 3, 4)
    assert engine.run_chunk._cache_size() == before + 1
    same(whole, part)
    joined = jax.tree.map(lambda a, b: np.concatenate([a[:3], b[:4]]), first, second)
    same(jax.tree.map(lambda a: np.asarray(a[:7]), meters), joined)
    final, rolled = dj.rollout(method, problem, network, key, 7)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-13), final, whole.state)
    assert rolled.totals()["awake"] == int(np.asarray(joined.counts["awake"]["lo"]).sum()) < 7 * N


# ---- transformations
@pytest.mark.slow
def test_sweeps_over_rates_and_keys_equal_separate_runs():
    problem = zoo.Uneven(batch_size=2).problem

    def models(lr, seed):
        return dj.rollout(m.dsgd(lr=lr), problem, dj.Network(RING), jax.random.key(seed), 5)[0].params["x"]

    lrs, seeds = jnp.array([0.05, 0.1]), jnp.array([3, 4])
    swept = jax.vmap(lambda lr: jax.vmap(lambda s: models(lr, s))(seeds))(lrs)
    for i, lr in enumerate(lrs):
        for j, seed in enumerate(seeds):
            np.testing.assert_allclose(swept[i, j], models(float(lr), int(seed)), rtol=0, atol=1e-12)
    assert np.abs(swept[0, 0] - swept[0, 1]).max() > 1e-2 < np.abs(swept[0, 0] - swept[1, 0]).max()


def test_gradient_with_respect_to_the_weights_is_the_finite_difference():
    w0 = zoo.ring().matrix()
    move = np.random.default_rng(0).standard_normal(w0.shape)
    move = move - move.mean(1, keepdims=True)  # rows keep their sums

    def loss(step):
        graph = dj.topology.from_matrix(jnp.asarray(w0) + step * jnp.asarray(move), kind="row").astype("float64")
        final, _ = dj.rollout(
            m.dsgd(lr=LR), PROBLEM, dj.Network(graph), jax.random.key(0), 5, params={"x": jnp.asarray(X0)}
        )
        return jnp.square(final.params["x"] - MADE.x_star[None]).sum()

    loss = jax.jit(loss)
    h = 1e-5
    difference = (loss(h) - loss(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(loss)(0.0), difference, rtol=1e-7)
    assert abs(difference) > 1e-3


@pytest.mark.slow
def test_learned_mixing_weights_beat_the_rules_on_unseen_starts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import learn_mixing

    w = learn_mixing.learn(steps=60, lr=0.02)
    scores = learn_mixing.compare(w)
    sys.modules.pop("learn_mixing")
    assert scores["learned"] < min(scores["metropolis"], scores["best constant"]) - 0.3  # log of squared distance


@pytest.mark.slow
def test_sharded_over_four_devices_gives_the_same_numbers():
    problem, _ = zoo.squares(n=8)
    problem = dataclasses.replace(problem, batch_size=2, sampling="replacement")
    network = dj.Network(dj.topology.ring(8).astype("float64"))
    method, key = m.dsgd(lr=LR), jax.random.key(0)
    x0 = {"x": jnp.asarray(zoo.starts(8))}
    one, counted = dj.rollout(method, problem, network, key, 5, params=x0)
    mesh = Mesh(np.array(jax.devices()[:4]), ("nodes",))
    x4 = jax.device_put(x0, NamedSharding(mesh, P("nodes")))
    data = jax.device_put(problem.data, NamedSharding(mesh, P()))
    four, recounted = dj.rollout(method, dataclasses.replace(problem, data=data), network, key, 5, params=x4)
    np.testing.assert_allclose(four.params["x"], one.params["x"], rtol=0, atol=1e-13)
    assert counted.totals() == recounted.totals()
    assert four.params["x"].sharding.shard_shape((8, zoo.D)) == (2, zoo.D)


# ---- verbs where they cannot work
@dj.struct
class Twice:
    """Two unnamed gossips."""

    traits = dj.Traits()

    def init(self, params, key):
        return m.dsgd(lr=0.0).init(params, key)

    def step(self, state, round):
        return type(state)(round.gossip(round.gossip(state.params)), state.opt)


@dj.struct
class InScan(Twice):
    """A verb inside the user's own scan."""

    def step(self, state, round):
        x, _ = jax.lax.scan(lambda x, _: (round.gossip(x), None), state.params, None, 2)
        return type(state)(x, state.opt)


@dj.struct
class InVmap(Twice):
    """A verb inside the user's own vmap."""

    def step(self, state, round):
        x = jax.vmap(lambda x: round.gradient(x))(jax.tree.map(lambda a: a[None], state.params))
        return type(state)(jax.tree.map(lambda a: a[0], x), state.opt)


def test_two_unnamed_gossips_are_refused():
    with pytest.raises(ValueError, match="round.gossip.name is 'gossip' twice.*give each call its own name="):
        zoo.rollout(Twice(), PROBLEM, RING, 1)


@pytest.mark.parametrize("method", [InScan(), InVmap()], ids=["scan", "vmap"])
def test_verbs_inside_own_transformations_are_refused(method):
    with pytest.raises(RuntimeError, match="use round.repeat"):
        zoo.rollout(method, PROBLEM, RING, 1)


# ---- faults, samples, meters
def test_sleepers_change_nothing():
    method, problem, network = engine.prepare(
        m.gradient_tracking(lr=LR), PROBLEM, dj.Network(RING, faults=(dj.faults.churn(p=0.5),)), 6
    )
    key, slept = jax.random.key(1), 0
    carry = engine.start(method, problem, network, key, {"x": jnp.asarray(X0)})
    for t in range(6):
        old = jax.tree.map(np.asarray, carry.state)
        carry, meters = engine.run_chunk(method, problem, network, carry, key, jnp.int32(t), jnp.int32(1), 1)
        new = jax.tree.map(np.asarray, carry.state)
        moved = (new.params["x"] != old.params["x"]).any(1)
        still = ~moved
        assert moved.sum() <= meters.totals()["awake"]
        assert still.sum() >= N - meters.totals()["awake"]
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
            np.testing.assert_array_equal(a[still], b[still])
        slept += int(still.sum())
    assert slept > 0


@pytest.mark.slow
def test_epochs_over_unequal_shards_see_every_row_once():
    uneven = zoo.Uneven(batch_size=2, sampling="epoch")
    problem = uneven.problem
    memory, seen = problem.sampler.init(N), [[] for _ in range(N)]
    keys = jax.random.split(jax.random.key(0), N)
    ids = jnp.arange(N, dtype=jnp.int32)
    draw = jax.jit(problem.draw)
    for step in range(3):
        rows, weight, memory = draw(memory, ids, keys, keys)
        for i in range(N):
            real = np.asarray(weight[i]) > 0
            if step < -(-uneven.count[i] // 2):
                seen[i] += np.asarray(problem.fetch(rows)["y"][i])[real].tolist()
    for i in range(N):
        assert sorted(seen[i]) == sorted(uneven.b[uneven.rows[i]].tolist())


@pytest.mark.parametrize("count", [[0, 1, 4095, 4096], [2**31 - 1] * 1000])
def test_limbs_are_exact_where_one_int32_would_overflow(count):
    parts = limbs(jnp.asarray(count, jnp.int32))
    meters = Meters({"wire/x": parts}, {}, None, None, {"wire/x": 7})
    assert meters.totals()["wire/x"] == 7 * sum(count)


@pytest.mark.slow
def test_bits_of_a_run_are_the_messages_times_their_size():
    _, meters = zoo.rollout(m.gradient_tracking(lr=LR), PROBLEM, RING, 3, X0)
    bits = 3 * 2 * N * 64 * zoo.D
    assert {k: v for k, v in meters.totals().items() if "/" in k} == {"wire/tracker": bits, "wire/params": bits}
    _, meters = zoo.rollout(m.fedavg(lr=LR, clients=2, local_steps=3), PROBLEM, None, 4, X0)
    totals = meters.totals()
    assert totals["gradients"] == 4 * 2 * 3
    assert sorted(v for k, v in totals.items() if "/" in k) == [4 * 2 * 64 * zoo.D] * 2


def test_fedavg_carries_nothing_per_client():
    n = 100_000
    data = dj.data.NodeData(
        {"x": np.zeros((4, zoo.D), np.float32), "y": np.zeros(4, np.float32)},
        np.zeros((n, 1), np.int32), np.ones(n, np.int32), even=True,
    )  # fmt: skip
    problem = dj.Problem(dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss), data, batch_size=1)
    method, problem, network = engine.prepare(m.fedavg(lr=LR, clients=10, local_steps=2), problem, None, 5)
    carry = jax.eval_shape(lambda key: engine.start(method, problem, network, key), jax.random.key(0))
    per_client = [x for x in jax.tree.leaves(carry) if n in x.shape]
    assert not [x for x in per_client if jnp.issubdtype(x.dtype, jnp.floating)]
    assert carry.state.params["x"].shape == (zoo.D,)


# ---- bad input
@pytest.mark.parametrize("lr", [1e39, float("inf"), float("nan"), -0.1])
def test_rates_that_cannot_be(lr):
    for make in (m.dsgd, m.local_sgd, m.gradient_tracking, m.sgp, m.ad_psgd, m.fedavg, m.scaffold, m.centralized):
        with pytest.raises(ValueError, match="lr is .*; give a finite number >=? 0 that fits float32"):
            make(lr=lr)


BAD = {
    "scaffold divides": (lambda: m.scaffold(lr=0.0), "divides by it"),
    "both": (lambda: m.dsgd(lr=0.1, optimizer=dj.optimizer(optax.sgd, learning_rate=0.1)), "got both lr and optimizer"),
    "neither": (lambda: m.dsgd(), "got neither lr nor optimizer"),
    "order": (lambda: m.dsgd(lr=0.1, order="act"), "give 'atc', 'awc' or 'cta'"),
    "steps": (lambda: m.local_sgd(lr=0.1, local_steps=0), "give a whole number >= 1"),
    "momentum": (lambda: m.dfedavgm(lr=0.1, momentum=1.0), r"give a number in \[0, 1\)"),
    "clients": (lambda: m.fedavg(lr=0.1, clients=0), "give a whole number >= 1, or None"),
    "gamma": (lambda: m.choco(lr=0.1, gamma=1.5, compressor=dj.compression.top_k(k=1)), r"give a number in \(0, 1\]"),
    "too many clients": (lambda: zoo.rollout(m.fedavg(lr=0.1, clients=N + 1), PROBLEM), "FedAvg.clients is 6, but there are 5 nodes; give at most 5"),
    "no graph": (lambda: zoo.rollout(m.dsgd(lr=0.1), PROBLEM), r"give one, e.g. dejax.topology.ring\(5\)"),
    "other n": (lambda: zoo.rollout(m.dsgd(lr=0.1), PROBLEM, zoo.ring(6)), "n = 6 nodes, but the data are split over 5"),
    "rounds": (lambda: zoo.rollout(m.dsgd(lr=0.1), PROBLEM, RING, 0), "rounds is 0; give a whole number >= 1"),
    "params": (lambda: zoo.rollout(m.dsgd(lr=0.1), PROBLEM, RING, 1, X0[:, :2]), "a leaf of params has shape"),
    "column": (lambda: zoo.rollout(m.dsgd(lr=0.1), PROBLEM, zoo.digraph()), "use sgp on directed graphs"),
    "unused graph": (lambda: zoo.rollout(m.fedavg(lr=0.1), PROBLEM, RING), "set topology to None"),
    "no events": (lambda: zoo.rollout(m.ad_psgd(lr=0.1), PROBLEM, RING), "give network.events"),
    "k above d": (
        lambda: zoo.rollout(m.choco(lr=0.1, gamma=0.1, compressor=dj.compression.top_k(k=9)), PROBLEM, RING), "k"
    ),
    "losses on a directed graph": (
        lambda: zoo.rollout(
            m.dsgd(lr=0.1), PROBLEM, dj.Network(dj.topology.directed_ring(N), faults=(dj.faults.link_loss(p=0.1),))
        ),
        "set repair='row'",
    ),
    "structure": (
        lambda: dj.rollout(m.dsgd(lr=0.1), PROBLEM, dj.Network(RING), jax.random.key(0), 1, params={"y": X0}),
        "params has structure",
    ),
    "scalar loss": (
        lambda: zoo.rollout(
            m.local_only(lr=0.1),
            dataclasses.replace(zoo.Uneven().problem, task=dj.tasks.from_functions(zoo.rows_init, zoo.scalar_loss)),
        ),
        "return one loss per example",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    make, text = BAD[name]
    with pytest.raises(ValueError, match=text):
        make()


def test_a_topology_is_no_network():
    with pytest.raises(TypeError, match="give dejax.Network"):
        dj.rollout(m.dsgd(lr=0.1), PROBLEM, RING, jax.random.key(0), 1)


def test_a_rate_that_diverges_names_the_node():
    _, meters = zoo.rollout(m.local_only(lr=1e30), PROBLEM, None, 10, X0.astype(np.float32))
    assert 0 in np.asarray(meters.bad_node)


def test_what_does_not_fit_is_named_before_anything_is_compiled(key):
    data = dj.data.digits(flat=True)
    parts, ring = data.partition(dj.data.iid(), nodes=4, seed=0), dj.Network(dj.topology.ring(4))
    method = dj.methods.dsgd(lr=0.1)
    with pytest.raises(TypeError, match=r"belong to no node yet; give e.g. data.partition"):
        dj.Problem(dj.tasks.mlp(64, 10), data)
    with pytest.raises(TypeError, match=r"call it: dejax.tasks.mlp"):
        dj.Problem(dj.tasks.mlp, parts)
    with pytest.raises(
        ValueError, match=r"does not take batches of data 'digits' \(x float32\[B, 64\], y int32\[B\]\)"
    ):
        dj.rollout(method, dj.Problem(dj.tasks.mlp(16, 10), parts), ring, key, 2)
    with pytest.raises(ValueError, match=r"gives 5 class scores, but data 'digits' have 10 classes"):
        dj.rollout(method, dj.Problem(dj.tasks.mlp(64, 5), parts), ring, key, 2)
    problem = dj.Problem(dj.tasks.mlp(hidden=(8,)), parts)  # sizes from the data
    assert problem.task == dj.tasks.mlp(64, 8, 10)
    with pytest.raises(TypeError, match=r"give an object with init and step"):
        dj.rollout(dj.methods.dsgd, problem, ring, key, 2)
    with pytest.raises(TypeError, match=r"key is 0; give jax.random.key\(0\)"):
        dj.rollout(method, problem, ring, 0, 2)
    with pytest.raises(ValueError, match=r"FedAvg.clients is 9, but there are 4 nodes"):
        dj.rollout(dj.methods.fedavg(lr=0.1, clients=9), problem, None, key, 2)


@pytest.mark.parametrize(
    ("method", "topology"),
    [
        (m.dsgd(lr=0.1), RING),
        pytest.param(m.fedavg(lr=0.1, clients=2), None, marks=pytest.mark.slow),
    ],
    ids=["nodes", "server"],
)
def test_clocks_are_exact_in_long_runs(method, topology):
    """1,000 steps of 1 ms after 1e6 s of virtual time: float32 clocks, spaced 0.06 s there, would stand still."""
    problem, _ = zoo.squares()
    clock = dj.faults.clock(gradient=1e-3)
    method, problem, network = engine.prepare(method, problem, dj.Network(topology, clock=clock), 1000)
    carry = engine.start(method, problem, network, jax.random.key(0))
    carry.slots["clock_seconds"] = carry.slots["clock_seconds"] + 1_000_000
    *_, meters = engine.run_chunk(
        method, problem, network, carry, jax.random.key(0), jnp.int32(0), jnp.int32(1000), 1000
    )
    np.testing.assert_allclose(meters.seconds, 1e6 + 1e-3 * np.arange(1, 1001), rtol=0, atol=1e-4)


# ---- numbers out of range
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: m.dsgd(lr=jnp.float32(jnp.inf)), "Dsgd.lr is inf"),
        (lambda: m.gradient_tracking(lr=jnp.float64(-0.1)), "GradientTracking.lr is -0.1"),
        (lambda: m.local_sgd(lr=np.array([0.1, 0.2, np.nan, 0.1, 0.1])), r"LocalSgd.lr is nan.*row 2"),
        (lambda: m.dfedavgm(lr=0.1, momentum=jnp.float32(1.5)), "DFedAvgM.momentum is 1.5"),
        (
            lambda: m.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=jnp.float32(jnp.nan))),
            "learning_rate is nan",
        ),
    ],
)
def test_arrays_out_of_range_are_refused_before_compilation(make, text):
    before = _rollout._cache_size()
    with pytest.raises(ValueError, match=text):
        dj.rollout(make(), PROBLEM, dj.Network(RING), jax.random.key(0), 2)
    assert _rollout._cache_size() == before


# ---- shapes of numbers
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: (m.fedavg(lr=jnp.ones(N - 1), clients=2), {}), r"FedAvg.lr has shape \(4,\).*shape \(5,\)"),
        (lambda: (m.fedavg(lr=jnp.ones((N, 1)), clients=2), {}), r"FedAvg.lr has shape \(5, 1\).*shape \(5,\)"),
        (lambda: (m.ifca(lr=np.ones(1)), {}), r"Ifca.lr has shape \(1,\)"),
        (lambda: (m.fedavg(lr=0.1, server_lr=jnp.ones(N)), {}), r"FedAvg.server_lr has shape \(5,\); give one number$"),
        (lambda: (m.scaffold(lr=jnp.ones(N)), {}), r"Scaffold.lr has shape \(5,\); give one number$"),
        (lambda: (m.dsgd(lr=dj.optimizers.Cosine(jnp.ones(2), 9)), {}), r"Dsgd.lr returns an array of shape \(2,\)"),
        (
            lambda: (m.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=jnp.ones(N + 1))), {}),
            r"sgd\.learning_rate has shape \(6,\); give one number, or 5, one per node",
        ),
        (
            lambda: (m.dsgd(lr=0.1), {"clock": dj.faults.clock(latency=jnp.ones(N + 1))}),
            r"Clock.latency has shape \(6,\)",
        ),
        (lambda: (m.dsgd(lr=0.1), {"faults": (dj.faults.link_loss(p=jnp.zeros(N)),)}), r"LinkLoss.p has shape \(5,\)"),
        (
            lambda: (
                m.dsgd(lr=0.1),
                {"codec": dj.compression.direct(dj.compression.qsgd(levels=4), gamma=jnp.ones(N))},
            ),
            r"Direct.gamma has shape \(5,\); give one number$",
        ),
    ],
)
def test_arrays_of_another_length_are_refused_before_compilation(make, text):
    method, options = make()
    before = _rollout._cache_size()
    topology = RING if getattr(method, "channel", "edges") == "edges" else None
    with pytest.raises(ValueError, match=text):
        dj.rollout(method, zoo.squares()[0], dj.Network(topology, **options), jax.random.key(0), 2)
    assert _rollout._cache_size() == before


def test_a_function_that_is_no_schedule_is_refused():
    run = lambda lr: dj.rollout(m.dsgd(lr=lr), PROBLEM, dj.Network(RING), jax.random.key(0), 1)
    with pytest.raises(TypeError, match=r"Dsgd.lr cannot be called with the round under jit \(TracerBool.*jnp.where"):
        run(lambda t: 0.1 if t < 5 else 0.01)
    with pytest.raises(
        TypeError,
        match=r"Dsgd.lr (gives a str in a round|cannot be called with the round under jit .*type <class 'str'>)",
    ):
        run(lambda t: "fast")


def test_a_wrong_personal_rate_is_refused():
    problem = dataclasses.replace(PROBLEM, personal_lr=jnp.ones(2))
    with pytest.raises(ValueError, match=r"Problem.personal_lr has shape \(2,\)"):
        dj.rollout(m.dsgd(lr=0.1), problem, dj.Network(RING), jax.random.key(0), 2)


def test_the_rate_of_a_method_of_ones_own_is_checked_where_it_is_read():
    @dj.struct
    class Own:
        lr: object

        def init(self, params, key):
            return m.dsgd(lr=0.1).init(params, key)

        def step(self, state, round):
            return m.dsgd(lr=round.sample(2).rate(self.lr)).step(state, round)

    for lr, text in (
        (jnp.ones(N - 1), r"shape \(4,\); give one row per node: \(5"),
        (jnp.ones((N, 1)), r"shape \(5, 1\)"),
    ):
        with pytest.raises(ValueError, match=text):
            dj.rollout(Own(lr), PROBLEM, dj.Network(RING), jax.random.key(0), 1)


@pytest.mark.slow
def test_one_rate_per_node_is_that_of_each_node_in_a_cohort():
    rates = jnp.linspace(0.1, 0.3, N)
    run = lambda lr: dj.rollout(m.fedavg(lr=lr, clients=N), PROBLEM, None, jax.random.key(0), 2)[0]
    same(run(rates), run(dj.optimizers.InverseSqrt(rates, jnp.inf)))
    x = jax.tree.leaves(run(rates).params)[0]
    assert not np.allclose(x, jax.tree.leaves(run(rates[::-1]).params)[0])
    same(run(jnp.full(N, 0.2)), run(0.2))


def test_options_at_a_server_are_checked_against_its_cohort():
    method = m.fedavg(lr=0.1, clients=4)
    for f, text in (
        (2, "TrimmedMean.f is 2, but the server combines 4 values and at most 1"),
        (jnp.int32(3), "f is 3"),
    ):
        with pytest.raises(ValueError, match=text):
            dj.rollout(method, PROBLEM, dj.Network(rule=dj.aggregation.trimmed_mean(f=f)), jax.random.key(0), 1)
    dj.rollout(method, PROBLEM, dj.Network(rule=dj.aggregation.trimmed_mean(f=1)), jax.random.key(0), 1)
