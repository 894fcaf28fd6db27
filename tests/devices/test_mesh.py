"""Nodes spread over 8 simulated devices: the numbers of one device, sharded, with few bytes between devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from jax.sharding import PartitionSpec as P
from shared import compiled

import dejax as dj
from dejax import engine, mixing
from dejax.core import warn
from dejax.devices import placement
from dejax.planning.compiled import collectives
from dejax.runs import checkpoint, fingerprint

pytestmark = pytest.mark.worlds

N, D = 64, 8
PROBLEM = dataclasses.replace(zoo.squares(n=N)[0], batch_size=2, starts="independent")
T, F, m = dj.topology, dj.faults, dj.methods
MOVED = T.geometric(N, seed=0).astype("float64")  # nodes change places
DENSE = T.geometric(N, seed=0, radius=0.35).astype(
    "float64"
)  # the same, where everybody hears enough to leave some out
MANY = T.from_matrix(np.stack([T.random_regular(N, degree=4, seed=seed).matrix() for seed in range(8)]))


def plain(graph, **kw):
    return dj.Network(graph.astype("float64"), **kw)


ALIE = dj.attacks.alie(adversaries=2, z=1.5)
SETTINGS = {
    "ring": (m.dsgd(lr=0.2), plain(T.ring(N))),
    "relabelled, lossy": (
        m.dsgd(lr=0.2),
        plain(MOVED, faults=(F.link_loss(p=0.2), F.churn(p=0.2)), clock=F.clock(gradient=1.0, exponential=0.5)),
    ),
    "one-peer exponential": (m.dsgd(lr=0.2), plain(T.one_peer_exponential(N))),
    "many phases": (m.dsgd(lr=0.2), plain(MANY)),
    "hubs": (m.gradient_tracking(lr=0.1), plain(T.barabasi_albert(N, m=2, seed=0))),
    "matching": (m.dsgd(lr=0.2), plain(T.random_matching(N))),
    "peers": (m.dsgd(lr=0.2), plain(T.random_peers(N, peers=2))),
    "complete": (m.dsgd(lr=0.2), plain(T.complete(N))),
    "distances": (m.dsgd(lr=0.2), plain(DENSE, rule=dj.aggregation.nna(f=1))),
    "attacked": (m.dsgd(lr=0.2), plain(DENSE, attack=ALIE, rule=dj.aggregation.trimmed_mean(f=1))),
    "dense, robust": (m.dsgd(lr=0.2), plain(T.complete(N), rule=dj.aggregation.coordinate_median())),
    "copies, private": (
        m.dsgd(lr=0.2),
        plain(
            MOVED,
            codec=dj.compression.copies(dj.compression.top_k(ratio=0.1), gamma=0.3),
            privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=0.5),
        ),
    ),
    "per edge": (
        m.dsgd(lr=0.2),
        plain(MOVED, codec=dj.compression.copies(dj.compression.top_k(ratio=0.1), gamma=0.3, per_edge=True)),
    ),
    "server": (m.fedavg(lr=0.1, clients=8), dj.Network()),
    "uneven cohort": (m.fedavg(lr=0.1, clients=10, local_steps=2), dj.Network()),
    "events": (m.ad_psgd(lr=0.1), plain(T.ring(N), events=dj.events.poisson())),
}


NIGHTLY = ("complete", "server", "many phases")  # kernels and verbs that others show, too


def marks(name):
    return {"ring": ()}.get(name, pytest.mark.nightly if name in NIGHTLY else pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SETTINGS])
def test_eight_devices_give_the_numbers_of_one(name):
    method, network = SETTINGS[name]
    key = jax.random.key(0)
    one, meters = dj.rollout(method, PROBLEM, network, key, 4)
    many, spread = dj.rollout(method, PROBLEM, network, key, 4, mesh=D)
    axes = engine.node_axis(method, PROBLEM, key)
    for a, b, has in zip(*map(jax.tree.leaves, (one, many, axes)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
        if has:
            assert {s.data.shape for s in b.addressable_shards} == {(N // D, *b.shape[1:])}
    assert meters.totals() == spread.totals()  # who slept, what was lost: the draws are the same bits


@pytest.mark.slow
def test_relabelled_nodes_keep_names_starts_rates_and_adversaries():
    ids = mixing.relabel([MOVED.host()], D)
    assert ids is not None and sorted(ids) == list(range(N))
    assert not np.array_equal(ids, np.arange(N))
    problem, network = placement.shard(m.dsgd(lr=0.1), PROBLEM, plain(MOVED), placement.layout(D))
    assert network.topology.links.routes.rounds is not None
    np.testing.assert_array_equal(problem.place.ids, ids)
    np.testing.assert_array_equal(problem.data.index, np.asarray(PROBLEM.data.index)[ids])
    links = network.topology.at(0)
    matrix = np.diag(np.asarray(links.self_weights()))
    np.add.at(matrix, (np.arange(N)[:, None], np.asarray(links.senders())), np.asarray(links.weights()))
    np.testing.assert_allclose(matrix, MOVED.matrix()[np.ix_(ids, ids)], atol=1e-15)
    rates, _ = placement.shard(m.dsgd(lr=jnp.full((N,), 0.1)), PROBLEM, plain(MOVED), placement.layout(D))
    assert rates.place.ids is None  # numbers given per node stand in the order of ids, so nobody moves


@pytest.mark.slow
def test_the_kernel_offers_what_every_kernel_offers(key):
    phases = [MOVED.host()]
    mesh = placement.layout(D).mesh
    halo = jax.tree.map(lambda x: jnp.asarray(x[0]), mixing.Halo.build(phases, mesh, "nodes"))
    hubs = jax.tree.map(jnp.asarray, mixing.Hubs.build(T.barabasi_albert(N, m=2, seed=0).host()))
    spread = jax.tree.map(lambda x: x[0], mixing.Halo.build([T.barabasi_albert(N, m=2, seed=0).host()], mesh, "nodes"))
    spread = jax.tree.map(jnp.asarray, spread)
    slots = jax.tree.map(jnp.asarray, MOVED.at(0))
    x = {"a": jax.random.normal(key, (N, 3)), "b": jax.random.normal(key, (N, 2))}
    for ours, theirs in ((halo, slots), (spread, hubs)):
        assert isinstance(ours, mixing.Links) and len(spread.index) > 1

        def both(links, x=x):
            w = links.weights() ** 2
            ext = links.with_neighbors(x)
            swap = jax.tree.map(lambda v: -v, x)
            total = links.fold(lambda c, v, s: c + jnp.square(v["a"]) * w[:, s][:, None], x["a"], ext)
            return (
                links.mix(x), links.weighted(ext, w, links.self_weights()), links.weighted(x, w, w.sum(1), swap),
                links.sq_distances(ext).sum(1), (links.sq_distances(ext, swap) * (w > 0)).max(1), total, links.weights().sum(1),
            )  # fmt: skip

        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12),
            jax.jit(both)(ours),
            jax.jit(both)(theirs),
        )


@pytest.mark.slow
def test_runs_of_a_vmap_over_keys_lie_along_the_axis_of_runs():
    method, network, keys = m.dsgd(lr=0.2), plain(T.ring(N)), jax.random.split(jax.random.key(0), 2)
    many = lambda mesh, **kw: jax.jit(
        jax.vmap(lambda key: dj.rollout(method, PROBLEM, network, key, 2, mesh=mesh)[0].params["x"], **kw)
    )(keys)
    spread = many({"runs": 2, "nodes": 4}, spmd_axis_name="runs")
    np.testing.assert_allclose(spread, many(None), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_number_of_nodes_that_devices_do_not_divide_takes_fewer_of_them():
    problem = zoo.squares(n=12)[0]
    network = plain(T.ring(12))
    one, _ = dj.rollout(m.dsgd(lr=0.2), problem, network, jax.random.key(0), 2)
    with pytest.warns(UserWarning, match="n = 12 nodes do not .* 8 devices: 6 of them .* of 8, e.g. 8 or 16$"):
        many, _ = dj.rollout(m.dsgd(lr=0.2), problem, network, jax.random.key(0), 2, mesh=D)
    assert len(many.params["x"].sharding.device_set) == 6
    np.testing.assert_allclose(one.params["x"], many.params["x"], rtol=0, atol=1e-12)


def test_a_warning_points_at_the_line_that_called_the_library():
    inside = compile("def outer(fn):\n    fn()\n\ndef inner():\n    warn('hm')", warn.OWN + "made_up.py", "exec")
    names = {"warn": warn.warn}
    exec(inside, names)
    with pytest.warns(UserWarning, match="hm") as caught:
        names["outer"](lambda: names["inner"]())
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_meshes_that_cannot_be():
    with pytest.raises(ValueError, match="1 x 99 devices, but there are"):
        placement.as_layout(99)
    with pytest.raises(ValueError, match="name them 'runs'"):
        placement.as_layout(jax.make_mesh((8,), ("x",)))
    with pytest.raises(ValueError, match="mesh has 'foo': 1; the names that it knows are nodes, runs, relabel"):
        placement.as_layout({"foo": 1})
    with pytest.raises(TypeError, match="give a number of devices"):
        placement.as_layout("all")
    for wrong in (True, False, 0, -1, {"nodes": True}, {"runs": True}):  # True is no number of devices
        for made in (placement.as_layout, placement.on_paper):
            with pytest.raises(ValueError, match="give a number of devices >= 1"):
                made(wrong)
    for devices in (8, [0, 1], "all", {0: jax.devices()[0]}, [jax.devices()[0]] * 2):
        for made in (placement.as_layout, placement.on_paper):
            with pytest.raises(TypeError, match="mesh.devices is .*; give a list of different JAX devices"):
                made({"nodes": 2, "devices": devices})
    for made in (placement.as_layout, placement.on_paper):
        with pytest.raises(TypeError, match="mesh.relabel is 'no'; give True or False"):
            made({"nodes": 2, "relabel": "no"})
        assert made({"devices": np.array(jax.devices()[:3], object)}).mesh.shape["nodes"] == 3
        with pytest.raises(ValueError, match="1 x 4 devices, but there are 3; give more of them"):
            made({"nodes": 4, "devices": jax.devices()[:3]})
        for four in (np.int64(4), {"nodes": np.int64(4), "runs": np.int32(1)}):  # a number is a number
            assert made(four).mesh.shape["nodes"] == 4
    with pytest.raises(ValueError, match="2 devices along runs, but rollout is one run"):
        dj.rollout(m.dsgd(lr=0.2), PROBLEM, plain(T.ring(N)), jax.random.key(0), 1, mesh={"runs": 2, "nodes": 4})
    one = lambda key: dj.rollout(m.dsgd(lr=0.2), PROBLEM, plain(T.ring(N)), key, 1, mesh={"runs": 2, "nodes": 4})[0]
    keys = jax.random.split(jax.random.key(0), 2)
    for traced in (lambda: jax.jit(one)(keys[0]), lambda: jax.vmap(one)(keys), lambda: jax.jit(jax.vmap(one))(keys)):
        with pytest.raises(ValueError, match="2 devices along runs, .* within a jax.vmap.*spmd_axis_name='runs'"):
            traced()
    for named in (one, jax.jit(one)):
        jax.eval_shape(jax.vmap(named, spmd_axis_name="runs"), keys)
    with pytest.raises(ValueError, match="2 devices along runs, but there are 3 seeds"):
        dj.simulate(
            m.dsgd(lr=0.2), PROBLEM, plain(T.ring(N)), seeds=[0, 1, 2], mesh={"runs": 2, "nodes": 4}, progress=False
        )
    with pytest.raises(ValueError, match="but there is 1 seed; make runs a divisor of the number of seeds"):
        dj.simulate(m.dsgd(lr=0.2), PROBLEM, plain(T.ring(N)), mesh={"runs": 2, "nodes": 4}, progress=False)


@dj.struct
class LastTwo(m.dsgd):
    """D-PSGD that keeps the last two models of all nodes, [2, n, ...]."""

    def init(self, params, key):
        return {"params": params, "last": jax.tree.map(lambda x: jnp.stack([x, x]), params)}

    def step(self, state, round):
        new = round.gossip(jax.tree.map(lambda x, g: x - self.lr * g, state["params"], round.gradient(state["params"])))
        return {"params": new, "last": jax.tree.map(lambda old, x: jnp.stack([old[1], x]), state["last"], new)}


AXIS = "LastTwo keeps a leaf of shape .2, 4, 4. in its state; .* move it to the front"


def test_a_state_whose_node_axis_is_not_the_first_is_refused_on_a_mesh():
    small = zoo.squares(n=4)[0]
    axes = engine.node_axis(LastTwo(lr=0.1), small, jax.random.key(0))
    assert axes["last"] == {"x": True}  # one device, everybody awake: any axis will do
    with pytest.raises(ValueError, match=AXIS):
        engine.node_axis(LastTwo(lr=0.1), dataclasses.replace(small, place=()), jax.random.key(0))


@pytest.mark.slow
def test_a_state_whose_node_axis_is_not_the_first_is_refused_under_churn():
    with pytest.raises(ValueError, match=AXIS):
        dj.rollout(LastTwo(lr=0.1), zoo.squares(n=4)[0], plain(T.ring(4), faults=F.churn(p=0.5)), jax.random.key(0), 1)


# ---- starts
@pytest.mark.slow
def test_given_starts_lie_by_node_and_stand_at_their_places(tmp_path):
    params = {"x": np.random.default_rng(0).normal(size=(N, 4))}
    method, network = m.dsgd(lr=0.2), plain(MOVED)
    kw = {"params": params, "rounds": 2, "progress": False, "metrics": []}
    one, many = (dj.simulate(method, PROBLEM, network, mesh=mesh, **kw) for mesh in (None, D))
    np.testing.assert_allclose(one.params()["x"], many.params()["x"], rtol=0, atol=1e-12)
    (run,) = many._states.values()
    ids = np.asarray(run.place.ids)
    assert not np.array_equal(ids, np.arange(N))
    begins = engine.laid_out(run.ready[1], run.initial)
    for shard in begins["x"].addressable_shards:
        assert shard.data.shape == (N // D, 4)
        np.testing.assert_array_equal(shard.data, params["x"][ids[shard.index[0]]])
    text = engine.start.lower(*run.ready, run.key, begins).compile().as_text()
    assert not [shape for (_, shape) in collectives(text, D) if "[8,4]" in shape or f"[{N},4]" in shape]
    assert fingerprint.fingerprint(run.initial) == fingerprint.fingerprint(params)  # a resume may have other devices


@pytest.mark.slow
@pytest.mark.parametrize("graph", [T.ring(N), MOVED], ids=["stay", "move"])
def test_given_starts_are_those_of_one_device_in_every_form(graph):
    given = jax.random.normal(jax.random.key(1), (N, 4))

    def roll(method, params, mesh):
        network = plain(graph) if isinstance(method, m.dsgd) else dj.Network()
        final, _ = dj.rollout(method, PROBLEM, network, jax.random.key(0), 2, params=params, mesh=mesh)
        return final.params["x"]

    for method in (m.dsgd(lr=0.2), m.fedavg(lr=0.1)):
        for params in ({"x": given}, {"x": given.astype("float32")}, {"x": given[0]}):
            one = roll(method, params, None)
            np.testing.assert_allclose(one, roll(method, params, D), rtol=0, atol=1e-6)
            inside = jax.jit(lambda params, method=method: roll(method, params, D))(params)
            np.testing.assert_allclose(one, inside, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"a leaf of params has shape \(3, 4\); give"):
        roll(m.dsgd(lr=0.2), {"x": given[:3]}, D)


# ---- the driver
@pytest.mark.slow
def test_seeds_go_on_their_own_axis():
    method, network = SETTINGS["relabelled, lossy"]
    kw = {"rounds": 3, "seeds": [0, 1], "progress": False}
    one = dj.simulate(method, PROBLEM, network, **kw)
    many = dj.simulate(method, PROBLEM, network, mesh={"runs": 2, "nodes": 4}, **kw)
    for seed in (0, 1):
        a, b = one.params(seed=seed)["x"], many.params(seed=seed)["x"]
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    (run,) = many._states.values() if hasattr(many, "_states") else many.states.values()
    assert run.carry.state.params["x"].sharding.spec == P("runs", "nodes")


@pytest.mark.slow
def test_checkpoints_go_on_on_another_number_of_devices(tmp_path):
    method = m.gradient_tracking(lr=0.1)
    network = plain(
        MOVED, codec=dj.compression.copies(dj.compression.qsgd(levels=8), gamma=0.3), faults=(F.churn(p=0.2),)
    )
    problem = dataclasses.replace(PROBLEM, sampling="epoch")
    kw = {"progress": False}
    whole = dj.simulate(method, problem, network, rounds=6, **kw)
    dj.simulate(method, problem, network, rounds=2, out=tmp_path / "run", mesh=8, **kw)
    dj.simulate(method, problem, network, rounds=4, resume=tmp_path / "run", mesh=2, **kw)
    end = dj.simulate(method, problem, network, rounds=6, resume=tmp_path / "run", **kw)
    np.testing.assert_allclose(whole.params()["x"], end.params()["x"], rtol=0, atol=1e-12)
    a, b = whole.records[-1], end.records[-1]
    assert a.keys() == b.keys() and all(a[name] == b[name] for name in ("round", "bytes", "awake", "gradients"))


@pytest.mark.slow
def test_a_key_in_the_state_of_a_mesh_comes_back(tmp_path):
    everywhere = jax.sharding.NamedSharding(jax.make_mesh((D,), ("nodes",)), P())
    state = jax.device_put({"key": jax.random.key(3), "x": jnp.arange(8.0)}, everywhere)
    path = checkpoint.save(tmp_path, 1, state, {})
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    got, _ = checkpoint.load(path, like)
    assert got["key"].sharding.device_set == got["x"].sharding.device_set == everywhere.device_set
    np.testing.assert_array_equal(jax.random.key_data(got["key"]), jax.random.key_data(state["key"]))


# ---- bytes
def round_bytes(graph, task, data, **options):
    """(bytes between devices in one compiled round, bytes of the rows that must cross)."""
    text, place = compiled(m.dsgd(lr=jnp.float32(0.1)), dj.Problem(task, data), dj.Network(graph, **options), D)
    e = graph.host()
    at = np.arange(graph.n) if place.ids is None else np.argsort(np.asarray(place.ids))
    rows = mixing.crossing(at[e.senders], at[e.receivers], graph.n, D)
    model = jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0)))
    return sum(collectives(text, D).values()), rows * sum(x.size * x.dtype.itemsize for x in model)


TOP, RAND = dj.compression.top_k(ratio=0.02), dj.compression.rand_k(ratio=0.02)
CODECS = {
    "top-k copies": dj.compression.copies(TOP, gamma=0.08),
    "top-k error feedback": dj.compression.error_feedback(TOP, gamma=0.05),
    "top-k direct": dj.compression.direct(TOP, gamma=0.1),
    "top-k by leaf": dj.compression.copies(dj.compression.top_k(ratio=0.01, scope="leaf"), gamma=0.03),
    "rand-k": dj.compression.copies(RAND, gamma=0.08),
    "QSGD": dj.compression.copies(dj.compression.qsgd(levels=8), gamma=0.3),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(c, marks=() if c in ("top-k copies", "QSGD") else pytest.mark.nightly) for c in CODECS]
)
def test_compression_moves_nothing_between_devices(name):
    data = dj.data.digits().partition(dj.data.iid(), nodes=16, seed=0)
    task, graph = dj.tasks.mlp(64, 16, 10), T.ring(16)
    sent, must = round_bytes(graph, task, data, codec=CODECS[name])
    assert must <= sent <= 1.1 * must


def night(*values):
    return pytest.param(*values, marks=pytest.mark.nightly)


def _loss(params, batch, key):
    del key
    return jnp.square(params["x"].sum() - batch["y"][:, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph", "most"),
    [
        (lambda n: T.ring(n), 1.1),
        night(lambda n: T.exponential(n), 1.1),
        night(lambda n: T.torus(n), 1.6),
        night(lambda n: T.random_regular(n, degree=4, seed=0), 1.6),
        (lambda n: T.barabasi_albert(n, m=2, seed=0), 1.6),
        night(lambda n: T.watts_strogatz(n, seed=0), 1.6),
        (lambda n: T.geometric(n, seed=0), 1.6),
    ],
    ids=["ring", "exponential", "torus", "regular", "hubs", "small world", "geometric"],
)
def test_a_round_sends_little_more_than_the_rows_that_must_cross(graph, most):
    n, ones = 1024, np.ones((1024, 1), np.float32)
    task = dj.tasks.from_functions(lambda key: {"x": jnp.zeros((256,), jnp.float32)}, _loss)
    data = dj.data.NodeData({"y": ones}, np.arange(n, dtype=np.int32)[:, None], np.ones(n, np.int32), even=True)
    sent, must = round_bytes(graph(n), task, data)
    assert must <= sent <= most * must


REGULAR = T.random_regular(N, degree=4, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph", "options", "most"),
    [
        (T.ring(N), {"rule": dj.aggregation.coordinate_median()}, 1.1),
        (REGULAR, {"rule": dj.aggregation.nna(f=1)}, 1.6),
        (REGULAR, {"codec": dj.compression.copies(TOP, gamma=0.08)}, 1.6),
    ],
    ids=["median", "nearest neighbors", "copies"],
)
def test_rules_and_codecs_on_graphs_send_little_more_than_the_rows_that_must_cross(graph, options, most):
    data = dj.data.digits().partition(dj.data.iid(), nodes=N, seed=0)
    sent, must = round_bytes(graph, dj.tasks.mlp(64, 16, 10), data, **options)
    assert must <= sent <= most * must


@pytest.mark.slow
def test_phases_of_a_period_send_the_rows_that_each_must_cross():
    """All branches stand in one program, of which a round takes one."""
    data = dj.data.digits().partition(dj.data.iid(), nodes=N, seed=0)
    graph, task = T.one_peer_exponential(N), dj.tasks.mlp(64, 16, 10)
    text, place = compiled(m.dsgd(lr=jnp.float32(0.1)), dj.Problem(task, data), dj.Network(graph), D)
    assert place.ids is None
    edges = [graph.host(t) for t in range(graph.period)]
    rows = sum(mixing.crossing(e.senders, e.receivers, N, D) for e in edges)
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))
    assert rows * size <= sum(collectives(text, D).values()) <= 1.1 * rows * size


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [night(dj.tasks.mlp(64, 10)), night(dj.tasks.mlp(64, 16, 10)), dj.tasks.cnn((4, 8), (8, 8), 10, kernel=3)],
    ids=["linear", "mlp", "cnn"],
)
def test_a_round_of_any_model_sends_the_rows_that_must_cross(task):
    sent, must = round_bytes(T.ring(16), task, dj.data.digits().partition(dj.data.iid(), nodes=16, seed=0))
    assert must <= sent <= 1.1 * must
