"""What a run takes: the plan against the compiled program, and runs that do not fit."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax.core import byte_sizes, random
from dejax.planning import liveness, plan as planning
from dejax.runs import memory_check
from dejax.runs.simulate import planned
from dejax.xla import materialize


def letters(n, task, method, topology, batch_size=None):
    data = dj.data.letters().partition(dj.data.overlapping(samples=16), nodes=n, seed=0)
    return method, dj.Problem(task, data, batch_size=batch_size), dj.Network(topology)


# Of scripts/plan_table.py, all within a fifth; docs/running.md has the whole table.
NEAR = [
    "wide: D-PSGD", "wide: QSGD copies", "wide: QSGD direct", "wide: rand-k direct", "wide: coordinate median", "wide: noisy gradients", "wide: NNA",
    "wide: ALIE, NNA", "many: local SGD, exponential",
    "many: CHOCO, QSGD", "many: trimmed mean, 6-regular", "many: block 100", "many: full batch", "many: AD-PSGD, events", "many: SCAFFOLD",
    "CNN, n = 32: D-PSGD", "CNN, n = 32: FedAvg", "logistic, n = 16,384",
    "strided, grouped, dilated CNN, n = 16",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR)
def test_the_plan_is_within_a_fifth_of_what_is_compiled(name, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import plan_table

    planned, compiled = plan_table.measure(name)
    assert planned / compiled == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_largest_is_the_most_that_fits(small):
    plan = planning.plan(*small, rounds=3)
    assert plan.at(plan.largest) <= plan.memory * planning.KEEP < plan.at(plan.largest + 1)


def peak(fn, *args):
    return liveness.peak(jax.make_jaxpr(fn)(*args))


def test_what_is_fused_takes_no_memory_however_long_its_chain():
    def chain(x):
        for _ in range(100):
            x = x * 1.5 + x
        return x

    x = jnp.ones(1000, "float32")
    assert peak(lambda x: chain(x).sum(), x) == 4
    assert peak(lambda key: random.uniform(key, (1000,)).sum(), jax.random.key(0)) < 100
    assert peak(lambda x: chain(x) @ x, x) == 4004  # a product reads whole arrays


def test_what_is_read_at_many_places_or_asked_for_is_written():
    x = jnp.ones(1000, "float32")
    shifts = lambda y, k: sum(jnp.roll(y, s) for s in range(1, k))
    assert peak(lambda x: shifts(x + 1, 3).sum(), x) == 4
    assert peak(lambda x: shifts(x + 1, 40).sum(), x) == 4004
    written = 4004 if jax.default_backend() == "cpu" else 4
    assert peak(lambda x: shifts(materialize.materialize(x + 1), 3).sum(), x) == written


def test_what_many_kernels_read_is_computed_in_each_unless_it_is_gathered():
    x, places = jnp.ones((64, 1024), "float32"), jnp.arange(64)
    sums = lambda y, k: [(y + i).sum(0) for i in range(k)]
    assert peak(lambda x: sums(x * 2, 40), x) == 40 * 4096
    assert peak(lambda x: sums(x[places], 2), x) == x.nbytes + 2 * 4096


def test_large_rows_that_a_library_reduces_are_written():
    def normed(x, shape):
        y = x / 3
        return (y * jax.lax.rsqrt(jnp.square(y.reshape(shape)).sum(1)).reshape(-1, *[1] * (x.ndim - 1))).sum(0)

    x = jnp.ones((64, 1024), "float32")
    assert peak(lambda x: normed(x, x.shape), x) >= x.nbytes
    assert peak(lambda x: normed(x, x.shape), x[:, :64]) < 1000
    assert peak(lambda x: normed(x, (64, -1)), x.reshape(64, 32, 32)) < 5000  # XLA reduces these itself


def test_long_rows_are_joined_by_copying():
    x = jnp.ones((64, 1024), "float32")
    joined = lambda x, axis: jnp.concatenate([x + 1, x + 2], axis).sum(0)
    assert peak(lambda x: joined(x, 1), x) == 4 * x.nbytes
    assert peak(lambda x: joined(x, 1), x[:, :32]) == 64 * 4
    assert peak(lambda x: joined(x, 0), x) == 4096


def test_many_arrays_are_joined_by_copying():
    x = jnp.ones((64, 1024), "float32")
    joined = lambda x, k: jax.lax.concatenate([x * (i + 2) for i in range(k)], 0).sum(0)
    assert peak(lambda x: joined(x, 8), x) <= 8 * x.nbytes
    assert peak(lambda x: joined(x, 9), x) == 2 * 9 * x.nbytes


def test_a_stack_of_many_arrays_is_a_copy():
    x = jnp.ones((64, 1024), "float32")
    stacked = lambda x, k: jnp.stack([x * (i + 2) for i in range(k)]).sum(0)
    assert peak(lambda x: stacked(x, 8), x) <= 8 * x.nbytes
    assert peak(lambda x: stacked(x, 9), x) >= 2 * 9 * x.nbytes


def test_a_slice_or_padding_of_nothing_takes_no_memory():
    x, w = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 8), "float32")
    whole = lambda x, i: jax.lax.dynamic_slice(jnp.pad(x, ((0, 0), (0, 0))), (i, 0), (64, 1024))
    assert peak(lambda x, i: whole(x, i) @ w, x, 0) < 5000
    assert peak(lambda x, i: jax.lax.dynamic_slice(x, (i, 0), (63, 1024)) @ w, x, 0) > 63 * 4096


def test_products_transpose_what_does_not_lie_as_they_need_it():
    x, w = jnp.ones((256, 4, 64), "float32"), jnp.ones((4, 64, 1), "float32")
    assert peak(lambda x, w: jnp.einsum("rgc,gco->gro", x, w), x, w) >= x.nbytes
    assert peak(lambda x, w: jnp.einsum("grc,gco->gro", x, w), x.swapaxes(0, 1), w) < x.nbytes


def test_a_loop_stacks_into_zeros_that_are_there_from_the_start():
    x, w = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 1024), "float32")
    rows = lambda x: jax.lax.map(lambda row: row * 2 + 1, x)
    assert peak(lambda x: rows(x @ w @ w @ w) @ w, x) == 3 * x.nbytes


def test_a_maximum_pool_of_overlapping_windows_scatters_at_places():
    pool = lambda x: -jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3, 3), (2, 2), "SAME").sum()
    x = jnp.ones((64, 64), "float32")
    assert peak(jax.grad(pool), x) > 4 * x.nbytes


def test_what_a_product_needs_in_memory_is_computed_again_by_others():
    x, w = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 1024), "float32")

    def twice(x, factor):
        y = x + factor
        return (y * (y @ w @ w)).sum(0)

    assert peak(lambda x: twice(x, 1), x) == 2 * x.nbytes
    assert peak(lambda x: twice(x, x.T.reshape(x.shape)), x) == 3 * x.nbytes  # of two arrays: read from memory


def test_a_value_lies_in_the_slot_of_a_result_that_is_made_later():
    x, w, back = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 8), "float32"), jnp.ones((8, 1024), "float32")
    jaxpr = jax.make_jaxpr(lambda x: jnp.tanh(x) @ w @ back)(x)
    assert liveness.peak(jaxpr) == x.nbytes + 64 * 8 * 4
    assert liveness.peak(jaxpr, [True]) == 64 * 8 * 4


def test_a_loop_works_in_the_slot_that_it_carries_on():
    x, w, places = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 1024), "float32"), jnp.arange(64)[::-1]
    turn = lambda x: jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, 3)[0][places]
    jaxpr = jax.make_jaxpr(turn)(x)
    assert liveness.peak(jaxpr, [False]) == 2 * x.nbytes
    assert liveness.peak(jaxpr, [True]) == x.nbytes


def test_a_choice_between_a_value_and_itself_is_the_value():
    x, w = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 1024), "float32")
    assert peak(lambda mask, x: jnp.where(mask, x, x) @ w, x > 0, x) == x.nbytes
    assert peak(lambda mask, x: jnp.where(mask, x, 0) @ w, x > 0, x) == 2 * x.nbytes


def test_the_results_of_a_branch_are_those_of_the_condition():
    x, w = jnp.ones((64, 1024), "float32"), jnp.ones((1024, 1024), "float32")
    either = lambda p, x: jax.lax.cond(p, lambda x: x @ w, lambda x: x @ w @ w, x)
    assert peak(either, True, x) == 2 * x.nbytes + 4  # and which of them


@pytest.mark.slow
def test_edges_grow_with_the_nodes():
    plan = planning.plan(*wide("edges"), rounds=3, memory=10**8)
    assert plan.at(2 * plan.n) - planning.PROGRAM_BYTES > 1.8 * (plan.total - planning.PROGRAM_BYTES)
    assert planning.plan(*wide("edges"), rounds=3, memory=10**10).largest > plan.n


@pytest.fixture
def small():
    return letters(8, dj.tasks.logistic(16, 26), dj.methods.dsgd(lr=1.0), dj.topology.ring(8), batch_size=4)


def test_what_does_not_fit_is_refused_before_it_compiles(small, monkeypatch):
    plan = planning.plan(*small, rounds=3)
    monkeypatch.setattr(planning, "machine_memory", lambda: int(plan.total / planning.KEEP) - 10)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, _, **kw: compiled.append(name))
    compiled.clear()
    with pytest.raises(
        dj.TooLargeError, match=r"8 nodes need about .* 7 nodes would fit. Take fewer nodes.*check_memory=False"
    ) as error:
        dj.simulate(*small, rounds=3, progress=False, label="big")
    assert not [name for name in compiled if name.endswith("backend_compile_duration")]
    assert error.value.needed == pytest.approx(plan.total)
    assert error.value.largest == 7


@pytest.mark.slow
def test_what_does_not_fit_runs_where_it_is_not_checked(small, monkeypatch):
    monkeypatch.setattr(planning, "machine_memory", lambda: 1)
    assert dj.simulate(*small, rounds=1, progress=False, check_memory=False, label="big").facts["big"]["rounds"] == 1


def test_memory_that_blocks_bound_does_not_limit_n():
    part = planning.Part("activations", per_node=100.0, most=1000.0)
    assert [part.total(n) for n in (5, 10, 20)] == [500.0, 1000.0, 1000.0]
    plan = planning.Plan("x", 5, 1, 1, (part, planning.Part("state", 10.0)), int(2000 / planning.KEEP) + 1, None, {})
    assert plan.largest == 100


@pytest.mark.slow
def test_activations_of_nodes_that_train_all_at_once_are_not_bounded():
    most = []
    for rows in (16, 256):  # activations and batches of 0.6 and of 10 models a node
        made = letters(64, dj.tasks.mlp(16, 64, 26), dj.methods.dsgd(lr=0.1), dj.topology.ring(64), batch_size=rows)
        (part,) = (p for p in planning.plan(*made, rounds=1).parts if p.name == "activations, batches")
        most.append(part.most)
    assert most[0] == np.inf and most[1] == 32 * 2**20


def sleeping(kind, n=8):
    """Runs in which nodes sleep, events drive the rounds, or edges have memory: (method, problem, network)."""
    data = dj.data.letters().partition(dj.data.overlapping(samples=16), nodes=n, seed=0)
    problem = dj.Problem(dj.tasks.logistic(16, 26), data, batch_size=4)
    ring, churn = dj.topology.ring(n), (dj.faults.churn(p=0.2),)
    copies = dj.compression.copies(dj.compression.top_k(k=5), gamma=0.3, per_edge=True)
    method, network = {
        "churn": (dj.methods.dsgd(lr=1.0), dj.Network(ring, faults=churn)),
        "events": (dj.methods.ad_psgd(lr=1.0), dj.Network(ring, events=dj.events.poisson())),
        "server churn": (dj.methods.fedavg(lr=1.0, clients=4), dj.Network(faults=churn)),
        "per edge": (dj.methods.dsgd(lr=1.0), dj.Network(ring, codec=copies, faults=(dj.faults.link_loss(p=0.1),))),
        "per edge churn": (dj.methods.dsgd(lr=1.0), dj.Network(ring, codec=copies, faults=churn)),
    }[kind]
    return method, problem, network


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["churn", "events", "server churn", "per edge", "per edge churn"],
)
def test_runs_with_sleepers_events_and_edge_memory_are_planned_and_checked(kind, monkeypatch):
    parts = sleeping(kind)
    plan = planning.plan(*parts, rounds=3, memory=10**12)
    model = 4 * (16 * 26 + 26)
    held = {p.name: p.total(8) for p in plan.parts}
    assert held["state"] >= (model if kind == "server churn" else 8 * model)
    if kind.startswith("per edge"):
        assert held["memory of the network"] >= 2 * 8 * model  # what each of 16 directed edges holds
    monkeypatch.setattr(planning, "machine_memory", lambda: int(plan.total / planning.KEEP) - 10)
    with pytest.raises(dj.TooLargeError, match="8 nodes need about") as error:
        dj.simulate(*parts, rounds=3, progress=False)
    assert error.value.needed == pytest.approx(plan.total)
    monkeypatch.setattr(planning, "machine_memory", lambda: int(plan.total / planning.KEEP) + 10)
    memory_check.check(*planned({"fits": parts}, 3)[0])


def wide(kind):
    """Runs of 4,000 parameters on 64 nodes whose memory lies elsewhere than in models: on edges, with seeds."""
    n, d = 64, 4000
    task = dj.tasks.from_functions(
        lambda key: {"x": jnp.zeros((d,), "float32")}, lambda p, batch, key: (p["x"].sum() - batch["y"]) ** 2
    )
    data = dj.data.NodeData(
        {"y": np.ones(n, np.float32)}, np.arange(n, dtype=np.int32)[:, None], np.ones(n, np.int32), even=True
    )
    network = {
        "edges": lambda: dj.Network(
            dj.topology.random_regular(n, degree=40, seed=0),
            codec=dj.compression.copies(dj.compression.top_k(k=10), gamma=0.3, per_edge=True),
        ),
        "seeds": lambda: dj.Network(dj.topology.ring(n)),
    }[kind]()
    return dj.methods.dsgd(lr=0.1), dj.Problem(task, data), network


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seeds"), [("edges", 0), ("seeds", range(40))])
def test_the_rough_count_sees_edges_and_seeds(kind, seeds, monkeypatch):
    parts = wide(kind)
    many = 1 if seeds == 0 else len(seeds)
    monkeypatch.setattr(planning, "PROGRAM_BYTES", 0)
    plan = planning.plan(*parts, rounds=3, seeds=many, memory=10**12)
    assert plan.rounds_alone > 20 * 64 * 4000 * 4  # not told by the number of models
    monkeypatch.setattr(memory_check._blocks, "budget", lambda which: 0)  # what it adds hides the rest at this size
    monkeypatch.setattr(planning, "machine_memory", lambda: int(plan.total / planning.KEEP) - 10)
    with pytest.raises(dj.TooLargeError, match="64 nodes need about"):
        memory_check.check(*planned({"big": parts}, 3, seed=seeds)[0])


def test_the_trace_of_the_check_serves_the_run(monkeypatch):
    parts = letters(9, dj.tasks.logistic(16, 26), dj.methods.dsgd(lr=1.0), dj.topology.ring(9), batch_size=3)
    run, schedule = planned({"run": parts}, 3)[0]
    traced, step = [], type(run.method).step
    monkeypatch.setattr(type(run.method), "step", lambda *args: traced.append(1) or step(*args))
    memory_check.check(run, schedule)
    assert len(traced) == 1
    run.start()
    assert len(traced) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [None, {"runs": 2, "nodes": 4}])
def test_a_sweep_is_checked_with_what_differs_between_its_runs(mesh, monkeypatch):
    """Dense graphs of their own: one lies in the plan of a run, the others come to it; the trace of the check serves the start."""
    from dejax.runs.evaluation import Schedule
    from dejax.runs.group import Member, grouped

    n, runs = 64, 4
    _, problem, _ = letters(n, dj.tasks.logistic(16, 26), dj.methods.dsgd(lr=1.0), dj.topology.ring(n), batch_size=3)
    graphs = [dj.Network(dj.topology.erdos_renyi(n, p=0.9, seed=s)) for s in range(runs)]
    members = [Member(str(i), (dj.methods.dsgd(lr=1.0), problem, graph), 3) for i, graph in enumerate(graphs)]
    (group,) = grouped(members, [0], mesh=mesh)
    graph = 4 * (2 * n * n + n)  # float32: W, the same without its diagonal, and the diagonal
    devices = 1 if mesh is None else 8
    assert group.copies == (runs - 1) * graph / devices
    plan = planning.plan(*group.given, rounds=3, seeds=runs, mesh=mesh)
    for more, fits in ((-10, False), (10, True)):
        memory = devices * (int((plan.total + group.copies) / planning.KEEP) + more)
        monkeypatch.setattr(planning, "machine_memory", lambda memory=memory: memory)
        if fits:
            memory_check.check(group, Schedule(3))
        else:
            with pytest.raises(dj.TooLargeError, match=r"fewer runs at once \(now 4"):
                memory_check.check(group, Schedule(3))
    traced, step = [], type(group.method).step
    monkeypatch.setattr(type(group.method), "step", lambda *args: traced.append(1) or step(*args))
    group.start()
    assert not traced


@pytest.mark.parametrize(
    ("own", "limits", "memory"),
    [
        ("0::/", {"memory.max": 5000}, 5000),
        ("0::/", {"memory.max": "max"}, None),
        # SLURM, or a unit of systemd: the limit lies in the job's group, or in one around it
        ("0::/job/step", {"job/step/memory.max": 3000, "job/memory.max": 7000}, 3000),
        ("0::/job/step", {"job/step/memory.max": "max", "job/memory.max": 2000, "other/memory.max": 10}, 2000),
        ("0::/job/step", {"memory.max": 6000}, 6000),  # a container sees its own group as the root
        (
            "9:cpuset:/job\n5:cpu,memory:/job/a:b\n0::/",
            {"memory/job/a:b/memory.limit_in_bytes": 4000, "memory/memory.limit_in_bytes": 9223372036854771712},
            4000,
        ),
        (None, {"memory/memory.limit_in_bytes": 1000}, 1000),
        (None, {}, None),
    ],
)
def test_the_memory_of_the_machine_is_that_of_the_innermost_bound(own, limits, memory, tmp_path, monkeypatch):
    if own is not None:
        (tmp_path / "own").write_text(own + "\n")
    for name, value in limits.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    monkeypatch.setattr(byte_sizes, "CGROUPS", tmp_path / "tree")
    monkeypatch.setattr(byte_sizes, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(byte_sizes.os, "sysconf", lambda name: 1000)  # 1000 pages of 1000 bytes
    assert planning.machine_memory() == (memory or 1000**2)
