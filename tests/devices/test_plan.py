"""What a run takes on a mesh: bytes of one device against its arrays and its compiled program, what crosses, and runs that do not fit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shared import compiled

import dejax as dj
from dejax import engine
from dejax.devices import placement
from dejax.planning import plan as planning
from dejax.planning.compiled import allocated, collectives
from dejax.runs import memory_check
from dejax.runs.simulate import planned
from dejax.runs.single import SingleRun

D = 8
T, m = dj.topology, dj.methods
MANY = T.from_matrix(np.stack([T.random_regular(64, degree=4, seed=seed).matrix() for seed in range(8)]))


def digits(n, *units, **kw):
    """Digits in equal parts, an MLP."""
    data = dj.data.digits().partition(dj.data.iid(), nodes=n, seed=0)
    return dj.Problem(dj.tasks.mlp(64, *units, 10), data, **{"batch_size": 4} | kw)


@pytest.mark.slow
def test_a_device_holds_its_part_of_a_ring():
    parts = m.dsgd(lr=0.1), digits(64, 256), dj.Network(T.ring(64))
    alone, each = planning.plan(*parts, rounds=3), planning.plan(*parts, rounds=3, mesh=D)
    held = [{p.name: p.total(64) for p in plan.parts} for plan in (alone, each)]
    assert held[1]["state"] == held[0]["state"] / D
    assert held[1]["samples"] == held[0]["samples"]  # every device has all
    assert each.devices == (1, D)
    assert each.memory == alone.memory // D  # devices of a CPU share it
    assert each.largest % D == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "mesh"), [(0, D), ([0, 1, 2, 3], {"runs": 2, "nodes": 4})], ids=["one seed", "four seeds"]
)
def test_the_formula_is_the_bytes_of_the_arrays_of_one_device(seeds, mesh):
    network = dj.Network(
        T.geometric(64, seed=0), codec=dj.compression.error_feedback(dj.compression.top_k(k=5), gamma=0.3)
    )
    parts = m.gradient_tracking(lr=0.1), digits(64, 16), network
    run = SingleRun("run", *parts, seeds, 3, mesh=mesh)
    run.start()
    plan = planning.plan(*parts, rounds=3, seeds=run.width, mesh=mesh)
    held = {p.name: p.total(64) for p in plan.parts}
    one = lambda tree: sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))
    assert held["state"] == one(run.carry.state)
    assert held["memory of the network"] == one((run.carry.slots, run.carry.sent))
    assert held["graph"] == one(run.ready[2])
    rows, whole = run.ready[1].data, run.problem.data
    assert held["indices"] == one((rows.index, rows.count, whole.index, whole.count, whole.facts))
    arrays = held["state"] + held["memory of the network"] + held["graph"] + held["indices"] + held["samples"]
    assert allocated(run.compiled()).arguments <= arrays + held.get("numbers", 0) + 100
    run.advance(1)
    leaves = jax.tree.leaves((run.carry, run._in_place(run.carry)))
    half = len(leaves) // 2
    assert all(a is b for a, b in zip(leaves[:half], leaves[half:], strict=True))  # rounds leave all where it was
    run.advance(2)


@pytest.mark.slow
def test_devices_need_not_be_there_and_seeds_are_divided():
    parts = m.dsgd(lr=0.1), digits(128, 16), dj.Network(T.ring(128))
    one, four, eight = (
        planning.plan(*parts, rounds=3, seeds=8, memory=10**9, mesh={"nodes": 64, "runs": runs}) for runs in (1, 4, 8)
    )
    assert one.devices == (1, 64) and eight.devices == (8, 64)
    state = [next(p for p in plan.parts if p.name == "state").total(128) for plan in (one, four, eight)]
    assert state[0] == 4 * state[1] == 8 * state[2]
    with pytest.warns(UserWarning, match="3 of them are used"):
        assert planning.plan(m.dsgd(lr=0.1), digits(9, 4), dj.Network(T.ring(9)), 3, mesh=5).devices == (1, 3)


@pytest.mark.slow
def test_what_does_not_fit_on_a_mesh_is_refused_before_it_compiles(monkeypatch):
    parts = m.dsgd(lr=0.1), digits(16, 8), dj.Network(T.geometric(16, seed=0))
    plan = planning.plan(*parts, rounds=3, mesh=D)
    monkeypatch.setattr(planning, "machine_memory", lambda: D * (int(plan.total / planning.KEEP) - 10))
    with pytest.raises(
        dj.TooLargeError, match=r"16 nodes need at least .* on each of 8 devices .*; at most 8 nodes would fit"
    ) as error:
        dj.simulate(*parts, rounds=3, progress=False, mesh=D)
    assert error.value.needed == pytest.approx(plan.total)  # on devices that are there as on paper
    monkeypatch.setattr(planning, "machine_memory", lambda: D * (int(plan.total / planning.KEEP) + 10))
    run, _ = planned({"fits": parts}, 3, mesh=D)[0]
    memory_check.check_shapes(run)
    total = plan.compiled(allocated(run.compiled())).total
    monkeypatch.setattr(planning, "machine_memory", lambda: D * (int(total / planning.KEEP) - 10))
    with pytest.raises(dj.TooLargeError, match=r"16 nodes need \d.* on each of 8 devices .*; about 8 nodes would fit"):
        memory_check.check_compiled(run)


@pytest.mark.parametrize(
    ("method", "graph"),
    [
        pytest.param(m.dsgd(lr=jnp.float32(0.1)), T.ring(64), marks=pytest.mark.slow),
        pytest.param(m.gradient_tracking(lr=jnp.float32(0.1)), T.geometric(64, seed=0), marks=pytest.mark.slow),
        pytest.param(m.dsgd(lr=jnp.float32(0.1)), MANY, marks=pytest.mark.slow),
        pytest.param(m.dsgd(lr=jnp.float32(0.1)), T.complete(64), marks=pytest.mark.slow),
        pytest.param(m.dsgd(lr=jnp.float32(0.1)), T.erdos_renyi(64, p=0.5, seed=0), marks=pytest.mark.slow),
    ],
    ids=["ring", "geometric", "many phases", "complete", "dense"],
)
def test_rows_that_cross_are_what_the_compiled_round_sends(method, graph):
    parts = method, digits(64, 32), dj.Network(graph)
    plan = planning.with_traffic(planning.plan(*parts, rounds=8, mesh=D), *parts, mesh=D)
    text, place = compiled(*parts, D)
    sent = collectives(text, D)
    rows = sum(b for (op, _), b in sent.items() if op in ("collective-permute", "all-gather"))
    if graph.name in ("complete", "erdos_renyi"):  # by the compiler alone
        assert plan.crossing == (0.0, None)
    else:
        assert plan.crossing.rows == pytest.approx(rows, rel=0.15)
    if graph.name == "ring":
        assert plan.crossing.must == plan.crossing.rows == 2 * D * plan.parameters * 4
    if place.ids is not None:
        assert 0.5 * plan.crossing.rows < plan.crossing.must <= plan.crossing.rows


# ---- what is declared
def test_numbers_per_node_are_told_by_what_fields_declare():
    @dj.struct
    class Own:
        """A field of which nothing is said."""

        table: object

    rates, vector = jnp.full(8, 0.1), jnp.zeros(8)
    assert placement.per_node(m.dsgd(lr=rates))
    assert not placement.per_node(m.dsgd(lr=0.1), dj.Network(T.ring(8)))
    assert not placement.per_node(Own(vector))  # a size says nothing
    assert placement.unsaid(8, Own(vector)) == ["Own.table"] and placement.unsaid(9, Own(vector)) == []


def test_a_graph_grows_by_what_its_fields_declare():
    parts = lambda graph, **kw: engine.prepare(m.dsgd(lr=0.1), digits(16, 4), dj.Network(graph, **kw), 3)[2]
    from dejax.planning.plan import graph_bytes

    ring = dj.Network(T.ring(8))
    assert graph_bytes(ring, 8)[0] == graph_bytes(ring, 8)[2] == 0  # offsets, of whatever number
    assert graph_bytes(ring, 2)[0] == 0
    table = parts(T.random_regular(16, degree=3, seed=0))
    assert graph_bytes(table, 16)[0] == 3 * (4 + 8) + 8 + 4  # senders, weights, own weight, messages
    full = parts(T.erdos_renyi(16, p=0.9, seed=0))
    assert graph_bytes(full, 16)[0::2] == (4.0, 8.0)


def test_a_plan_takes_the_seeds_that_a_run_takes_and_needs_no_devices():
    parts = m.dsgd(lr=0.1), digits(16, 4), dj.Network(T.ring(16))
    with pytest.raises(ValueError, match="2 devices along runs, but there is 1 seed; make runs a divisor"):
        planning.plan(*parts, 3, mesh={"runs": 2, "nodes": 2})
    assert placement.on_paper({"runs": 2}).mesh.shape == {"runs": 2, "nodes": D // 2}
    assert placement.on_paper({"runs": 3 * D}).mesh.shape == {"runs": 3 * D, "nodes": 1}


@pytest.mark.slow
def test_a_copy_on_devices_that_are_there_is_planned_as_on_paper():
    parts = m.dsgd(lr=0.1), digits(16, 8), dj.Network(T.ring(16))
    given = engine.prepare(*parts, 3)
    ready = engine.placed(*given, placement.layout(D))
    mine = planning.plan(*parts, rounds=3, mesh=D)
    theirs = planning.plan(*parts, rounds=3, mesh=placement.layout(D), placed=ready)
    assert theirs.parts == mine.parts and np.isfinite(mine.total)


@pytest.mark.slow
def test_the_command_says_bytes_per_device_and_what_crosses(tmp_path, capsys):
    from dejax import cli

    path = tmp_path / "c.yaml"
    path.write_text(
        "rounds: 3\ndata: {source: digits, nodes: 64, partition: iid}\ntask: {mlp: {hidden: [8]}}\n"
        "method: {dsgd: {lr: 0.1}}\nnetwork: {topology: ring}\nmesh: {nodes: 32}\n"
    )
    assert cli.main(["plan", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "bytes on each of 32 devices" in said and "must cross" in said and "of a device; largest n by memory" in said
    assert cli.main(["plan", str(path), "--compile"]) == 2
    assert (
        "--compile cannot compile for the 32 devices of mesh: there are 8; leave --compile out"
        in capsys.readouterr().err
    )
    assert cli.main(["plan", str(path), "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["runs"][0]
    assert run["devices"] == {"runs": 1, "nodes": 32}
    sent = run["between_devices_per_round"]
    assert sent["rows"] == sent["must"] == 2 * 32 * run["parameters"] * 4


@pytest.mark.slow
def test_the_command_compiles_for_devices_that_are_there(tmp_path, capsys):
    from dejax import cli

    path = tmp_path / "c.yaml"
    path.write_text(
        "rounds: 3\ndata: {source: digits, nodes: 64, partition: iid}\ntask: {mlp: {hidden: [8]}}\n"
        f"method: {{dsgd: {{lr: 0.1}}}}\nnetwork: {{topology: ring}}\nmesh: {{nodes: {D}}}\n"
    )
    assert cli.main(["plan", str(path), "--compile", "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["runs"][0]
    assert run["compiled"]["crossing"] >= run["between_devices_per_round"]["rows"]
    scratch = next(p["bytes"] for p in run["parts"] if p["name"] == "scratch of the rounds")
    assert scratch == run["compiled"]["results"] - run["compiled"]["aliased"] + run["compiled"]["scratch"]


def test_operations_that_start_and_end_apart_count_once():
    """As XLA writes them for accelerators: the tuple of a start holds the operand, too."""
    pairs = "source_target_pairs={{0,1},{1,0}}"
    together = f"x = f32[4] collective-permute(f32[4] p), {pairs}"
    apart = f"x = (f32[4], f32[4], u32[], u32[]) collective-permute-start(f32[4] p), {pairs}"
    assert sum(collectives(apart, 2).values()) == sum(collectives(together, 2).values()) == 32
    gathered = "x = (f32[4], f32[8]) all-gather-start(f32[4] p), dimensions={0}"
    assert sum(collectives(gathered, 2).values()) == 32
