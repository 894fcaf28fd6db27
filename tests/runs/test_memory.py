"""What a run holds: the formula against the arrays, the compiled rounds, and runs that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax.core import byte_sizes
from dejax.planning import plan as planning
from dejax.planning.compiled import allocated
from dejax.runs import memory_check
from dejax.runs.simulate import planned
from dejax.runs.single import SingleRun

MODEL = 4 * (16 * 26 + 26)  # bytes of softmax regression on letters


def letters(n, method, network, task=None, **kw):
    data = dj.data.letters().partition(dj.data.overlapping(samples=16), nodes=n, seed=0)
    task = dj.tasks.logistic(16, 26) if task is None else task
    return method, dj.Problem(task, data, **{"batch_size": 4} | kw), network


@pytest.fixture
def small():
    return letters(8, dj.methods.dsgd(lr=1.0), dj.Network(dj.topology.ring(8)))


def parts_of(plan):
    return {p.name: p.total(plan.n) for p in plan.parts}


def sleeping(kind, n=8):
    """Runs in which nodes sleep, events drive the rounds, or edges have memory: (method, problem, network)."""
    ring, churn = dj.topology.ring(n), (dj.faults.churn(p=0.2),)
    copies = dj.compression.copies(dj.compression.top_k(k=5), gamma=0.001, per_edge=True)
    method, network = {
        "churn": (dj.methods.dsgd(lr=1.0), dj.Network(ring, faults=churn)),
        "events": (dj.methods.ad_psgd(lr=1.0), dj.Network(ring, events=dj.events.poisson())),
        "server churn": (dj.methods.fedavg(lr=1.0, clients=4), dj.Network(faults=churn)),
        "per edge": (dj.methods.dsgd(lr=1.0), dj.Network(ring, codec=copies, faults=(dj.faults.link_loss(p=0.1),))),
        "per edge churn": (dj.methods.dsgd(lr=1.0), dj.Network(ring, codec=copies, faults=churn)),
    }[kind]
    return letters(n, method, network)


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
            codec=dj.compression.copies(dj.compression.top_k(k=10), gamma=0.001, per_edge=True),
        ),
        "seeds": lambda: dj.Network(dj.topology.ring(n)),
    }[kind]()
    return dj.methods.dsgd(lr=0.1), dj.Problem(task, data), network


def settings(kind):
    """(method, problem, network) of many kinds of memory."""
    n, T, m = 16, dj.topology, dj.methods
    top = dj.compression.top_k(k=5)
    return {
        "ring": lambda: letters(n, m.dsgd(lr=1.0), dj.Network(T.ring(n))),
        "table": lambda: letters(n, m.dsgd(lr=1.0), dj.Network(T.random_regular(n, degree=3, seed=0))),
        "dense": lambda: letters(n, m.dsgd(lr=1.0), dj.Network(T.erdos_renyi(n, p=0.9, seed=0))),
        "phases": lambda: letters(n, m.dsgd(lr=1.0), dj.Network(T.one_peer_exponential(n))),
        "tracking": lambda: letters(n, m.gradient_tracking(lr=0.1), dj.Network(T.ring(n))),
        "choco": lambda: letters(n, m.choco(lr=0.1, gamma=0.001, compressor=top), dj.Network(T.ring(n))),
        "error feedback": lambda: letters(
            n, m.dsgd(lr=0.1), dj.Network(T.ring(n), codec=dj.compression.error_feedback(top, gamma=0.3))
        ),
        "epochs": lambda: letters(n, m.dsgd(lr=0.1), dj.Network(T.ring(n)), sampling="epoch"),
        "server": lambda: letters(n, m.scaffold(lr=0.1, clients=4, local_steps=2), dj.Network()),
        "rates": lambda: letters(n, m.dsgd(lr=jnp.full(n, 0.1)), dj.Network(T.ring(n))),
        "wide edges": lambda: wide("edges"),
    }.get(kind, lambda: sleeping(kind, n))()


COMPUTED = [
    "ring",
    "choco",
    "events",
    "per edge churn",
]  # of the others the shapes alone are looked at, which need no compilation
TRACED = [
    "table", "dense", "phases", "tracking", "error feedback", "epochs", "server", "rates", "wide edges", "churn", "server churn",
    "per edge",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*COMPUTED, *TRACED])
def test_the_formula_is_the_bytes_of_the_arrays(kind):
    parts = settings(kind)
    run = SingleRun("run", *parts, [0, 1, 2] if kind in ("choco", "tracking") else 0, 3)
    if kind in COMPUTED:
        run.start()
    carry = run.carry if kind in COMPUTED else run.abstract()
    plan = planning.plan(*parts, rounds=3, seeds=run.width)
    held, size = parts_of(plan), planning.size
    assert held["state"] == pytest.approx(size(carry.state))
    assert held.get("memory of the network", 0) == pytest.approx(size((carry.slots, carry.sent)))
    assert held["graph"] + held.get("numbers", 0) == pytest.approx(
        size(run.ready[0]) + size(run.ready[2]) + size([x for x in jax.tree.leaves(run.ready[1]) if x.ndim == 0])
    )
    data = run.problem.data
    assert held["samples"] == size(data.arrays) and held.get("test set", 0) == size(data.test)
    lists = (data.index, data.count, data.test_index, data.test_count, data.facts)
    assert held["indices"] == pytest.approx(size(lists))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ring", "per edge"])
def test_the_formula_holds_the_arguments_of_the_compiled_rounds(kind):
    parts = settings(kind)
    known = allocated(SingleRun("run", *parts, 0, 3).compiled())
    held = parts_of(planning.plan(*parts, rounds=3))
    arrays = sum(held.values()) - held["Python, JAX, compiler"] - held.get("test set", 0)
    key, numbers = 8, 12
    assert known.arguments <= arrays + key + numbers
    assert known.arguments >= held["state"] + held.get("memory of the network", 0) + held["samples"]


def test_largest_is_the_most_that_fits(small):
    plan = planning.plan(*small, rounds=3)
    assert plan.at(plan.largest) <= plan.memory * planning.KEEP < plan.at(plan.largest + 1)


def fedavg(n):
    """Ten of n clients, none of which keeps anything."""
    made = dj.data.least_squares(nodes=n, dim=4, L=1.0, mu=0.3, zeta2=2.0, seed=0, dtype="float32")
    return dj.methods.fedavg(lr=0.1, clients=10), dj.Problem(made.task, made.data), dj.Network()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["server", "gossip", "data apart"])
def test_the_largest_n_is_one_answer_whatever_n_is_asked(kind):
    def run(n):
        if kind == "server":
            return fedavg(n)
        given = letters(n, dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.random_regular(n, degree=4, seed=0)))
        if kind == "gossip":
            return given
        data = dj.data.letters().partition(dj.data.iid(), nodes=n, seed=0)
        return given[0], dj.Problem(dj.tasks.logistic(16, 26), data, batch_size=4), given[2]

    largest = [planning.plan(*run(n), rounds=3, memory=10**10).largest for n in (100, 1000, 10_000)]
    assert max(largest) <= 1.001 * min(largest)


@pytest.mark.slow
def test_edges_grow_with_the_nodes():
    plan = planning.plan(*wide("edges"), rounds=3, memory=10**8)
    assert plan.at(2 * plan.n) - planning.PROGRAM_BYTES > 1.8 * (plan.total - planning.PROGRAM_BYTES)
    assert planning.plan(*wide("edges"), rounds=3, memory=10**10).largest > plan.n


def limit(monkeypatch, needed, devices=1):
    """A machine whose memory a run of so many bytes may just take."""
    monkeypatch.setattr(planning, "machine_memory", lambda: devices * (int(needed / planning.KEEP) + 2))


@pytest.fixture
def events():
    """Names of what JAX does, in order."""
    seen, watching = [], [True]
    jax.monitoring.register_event_duration_secs_listener(lambda name, _, **kw: watching and seen.append(name))
    yield seen
    watching.clear()


def compiles(events):
    return [name for name in events if name.endswith("backend_compile_duration")]


def test_what_does_not_fit_by_its_shapes_is_refused_before_it_compiles(small, events, monkeypatch, tmp_path):
    plan = planning.plan(*small, rounds=3)
    limit(monkeypatch, plan.total - 10)
    monkeypatch.setattr(SingleRun, "start", lambda run: pytest.fail("starts were drawn"))
    events.clear()
    with pytest.raises(
        dj.TooLargeError,
        match=r"8 nodes need at least .* at most 7 nodes would fit. Take fewer nodes.*check_memory=False",
    ) as error:
        dj.simulate(*small, rounds=3, progress=False, label="big", out=tmp_path / "out")
    assert not compiles(events) and not (tmp_path / "out").exists()
    assert error.value.needed == pytest.approx(plan.total)
    assert error.value.largest == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, [0, 1]], ids=["one seed", "two seeds"])
def test_what_does_not_fit_as_compiled_is_refused_before_its_first_round(small, seed, monkeypatch, tmp_path):
    run = SingleRun("big", *small, seed, 3)
    plan = planning.plan(*small, rounds=3, seeds=run.width).compiled(allocated(run.compiled()))
    limit(monkeypatch, plan.total - 10)
    memory_check.check_shapes(run)  # the arrays alone would fit
    monkeypatch.setattr(SingleRun, "start", lambda run: pytest.fail("starts were drawn"))
    with pytest.raises(
        dj.TooLargeError,
        match=r"8 nodes need \d.* about 7 nodes would fit. .*check_memory=False",
    ) as error:
        dj.simulate(*small, rounds=3, seed=seed, progress=False, label="big", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert error.value.needed == pytest.approx(plan.total)


@pytest.mark.slow
def test_what_fits_as_compiled_runs(small, monkeypatch):
    run = SingleRun("fits", *small, 0, 3)
    limit(monkeypatch, planning.plan(*small, rounds=3).compiled(allocated(run.compiled())).total)
    assert dj.simulate(*small, rounds=1, progress=False, label="fits").facts["fits"]["rounds"] == 1


@pytest.mark.slow
def test_a_comparison_is_refused_by_shapes_before_its_first_run_and_as_compiled_before_the_run_itself(
    small, monkeypatch, tmp_path
):
    large = letters(64, dj.methods.gradient_tracking(lr=1.0), dj.Network(dj.topology.ring(64)), batch_size=16)
    plan = planning.plan(*large, rounds=3)
    limit(monkeypatch, plan.total - 10)
    with pytest.raises(dj.TooLargeError, match="large: 64 nodes need at least"):
        dj.compare({"small": small, "large": large}, 3, progress=False, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    limit(monkeypatch, plan.compiled(allocated(SingleRun("large", *large, 0, 3).compiled())).total - 10)
    with pytest.raises(dj.TooLargeError, match="large: 64 nodes need [0-9]") as error:
        dj.compare({"small": small, "large": large}, 3, progress=False, out=tmp_path / "out")
    assert error.value.history.runs == ["small"] and (tmp_path / "out" / "report.html").is_file()
    assert dj.report.load(tmp_path / "out").facts["large"]["status"].startswith("failed at round 0")


@pytest.mark.slow
def test_what_does_not_fit_runs_where_it_is_not_checked(small, monkeypatch):
    monkeypatch.setattr(planning, "machine_memory", lambda: 1)
    assert dj.simulate(*small, rounds=1, progress=False, check_memory=False, label="big").facts["big"]["rounds"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["churn", "events", "server churn", "per edge", "per edge churn"])
def test_runs_with_sleepers_events_and_edge_memory_are_planned_and_checked(kind, monkeypatch):
    parts = sleeping(kind)
    plan = planning.plan(*parts, rounds=3, memory=10**12)
    held = parts_of(plan)
    assert held["state"] >= (MODEL if kind == "server churn" else 8 * MODEL)
    if kind.startswith("per edge"):
        assert held["memory of the network"] >= 2 * 8 * MODEL  # what each of 16 directed edges holds
    limit(monkeypatch, plan.total - 10)
    with pytest.raises(dj.TooLargeError, match="8 nodes need at least") as error:
        dj.simulate(*parts, rounds=3, progress=False)
    assert error.value.needed == pytest.approx(plan.total)
    limit(monkeypatch, plan.total)
    memory_check.check_shapes(planned({"fits": parts}, 3)[0][0])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seeds"), [("edges", 0), ("seeds", range(40))])
def test_edges_and_seeds_are_counted(kind, seeds, monkeypatch):
    parts = wide(kind)
    many = 1 if seeds == 0 else len(seeds)
    plan = planning.plan(*parts, rounds=3, seeds=many, memory=10**12)
    assert plan.total - planning.PROGRAM_BYTES > 20 * 64 * 4000 * 4  # not told by the number of models
    limit(monkeypatch, plan.total - 10)
    with pytest.raises(dj.TooLargeError, match="64 nodes need at least"):
        memory_check.check_shapes(planned({"big": parts}, 3, seed=seeds)[0][0])


def traces(monkeypatch, method):
    """A list that grows with every trace of a step."""
    traced, step = [], type(method).step
    monkeypatch.setattr(type(method), "step", lambda *args: traced.append(1) or step(*args))
    return traced


def test_the_trace_of_the_check_serves_the_run(monkeypatch):
    parts = letters(9, dj.methods.dsgd(lr=1.0), dj.Network(dj.topology.ring(9)), batch_size=3)
    run, _ = planned({"run": parts}, 3)[0]
    traced = traces(monkeypatch, run.method)
    memory_check.check_shapes(run)
    assert len(traced) == 1
    run.start()
    assert len(traced) == 1


@pytest.mark.slow
def test_rounds_are_compiled_once_for_the_check_every_chunk_a_resume_and_more_rounds(events, monkeypatch, tmp_path):
    parts = letters(10, dj.methods.dsgd(lr=1.0), dj.Network(dj.topology.ring(10)), batch_size=3)
    run, _ = planned({"run": parts}, 8)[0]
    traced = traces(monkeypatch, run.method)
    memory_check.check_compiled(run)
    run.start()
    done = len(compiles(events)), len(traced)
    for count in (1, 4, 3):
        run.advance(count)
    assert (len(compiles(events)), len(traced)) == done
    ran, compiled = [], SingleRun.compiled
    monkeypatch.setattr(SingleRun, "compiled", lambda self: ran.append(compiled(self)) or ran[-1])
    history = dj.simulate(*parts, rounds=5, progress=False, out=tmp_path / "out")
    dj.simulate(*parts, rounds=8, progress=False, resume=tmp_path / "out")
    history.continue_(2, progress=False)
    dj.simulate(*parts, rounds=3, progress=False, check_memory=False)
    assert len(ran) >= 4 and {id(program._executable) for program in ran} == {id(run.compiled()._executable)}
    assert len(traced) == done[1]


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [None, {"runs": 2, "nodes": 4}])
def test_a_sweep_is_checked_with_what_differs_between_its_runs(mesh, monkeypatch):
    """Dense graphs of their own: one lies in the plan of a run, the others come to it; the trace of the check serves the start."""
    from dejax.runs.group import Member, grouped

    n, runs = 64, 4
    _, problem, _ = letters(n, dj.methods.dsgd(lr=1.0), dj.Network(dj.topology.ring(n)), batch_size=3)
    graphs = [dj.Network(dj.topology.erdos_renyi(n, p=0.9, seed=s)) for s in range(runs)]
    members = [Member(str(i), (dj.methods.dsgd(lr=1.0), problem, graph), 3) for i, graph in enumerate(graphs)]
    (group,) = grouped(members, [0], mesh=mesh)
    graph = 4 * (2 * n * n + n)  # float32: W, the same without its diagonal, and the diagonal
    devices = 1 if mesh is None else 8
    assert group.copies == (runs - 1) * graph / devices
    plan = planning.plan(*group.given, rounds=3, seeds=runs, mesh=mesh)
    for less in (10, 0):
        limit(monkeypatch, plan.total + group.copies - less, devices)
        if not less:
            memory_check.check_shapes(group)
            continue
        with pytest.raises(dj.TooLargeError, match=r"fewer runs at once \(now 4"):
            memory_check.check_shapes(group)
    traced = traces(monkeypatch, group.method)
    group.start()
    assert not traced
    beside = allocated(group.compiled()).beside
    limit(monkeypatch, plan.total + group.copies + beside - 10, devices)
    with pytest.raises(dj.TooLargeError, match=r"scratch of the rounds .*fewer runs at once \(now 4"):
        memory_check.check_compiled(group)


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


@pytest.mark.slow
def test_work_of_a_cohort_does_not_grow_with_the_number_of_nodes():
    """Asked at 40 nodes and at 400, the compiled plan of ten sampled clients names one largest n, up to what rounding leaves."""
    largest = []
    for n in (40, 400):
        run = SingleRun("run", *letters(n, dj.methods.fedavg(lr=1.0, clients=10), dj.Network()), 0, 5)
        plan = planning.plan(*run.given, 5, memory=2**33)
        largest.append(plan.compiled(allocated(run.compiled())).largest)
    assert abs(largest[1] / largest[0] - 1) < 0.01


def test_a_batch_that_is_too_large_is_named_with_what_a_node_holds(small):
    method, problem, network = small
    run = SingleRun("run", method, dj.Problem(problem.task, problem.data, batch_size=100_000_000), network, 0, 5)
    plan = planning.plan(*run.given, 5, memory=2**20)
    words = str(memory_check._too_large(run, plan))
    assert "Take a smaller batch_size (now 100,000,000; the largest node holds 16 samples), or fewer nodes" in words
