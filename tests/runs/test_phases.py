"""Phases: what changes in mid-run, what goes on, and what is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import problems as zoo
import pytest
import toy

import dejax as dj
from dejax.runs.group import Member
from dejax.runs.sweep import run_members

CHILD = Path(__file__).with_name("phased_child.py")
METHOD, PROBLEM, NETWORK = toy.experiment()
RING, FULL = dj.topology.ring(6), dj.topology.complete(6)
LOSSY = dj.Network(FULL, faults=dj.faults.link_loss(0.3))
PHASES = [{"until": 3}, {"until": 6, "network": LOSSY}, {"method": dj.methods.dsgd(lr=0.1)}]
QUIET = {"progress": False, "every": 1}


def whole(**kw):
    return dj.simulate(METHOD, PROBLEM, NETWORK, 9, **{**QUIET, "phases": PHASES, **kw})


def identical(a, b):
    assert toy.plain(a.records) == toy.plain(b.records)
    for x, y in zip(jax.tree.leaves(a.state()), jax.tree.leaves(b.state()), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_two_equal_phases_are_one_run_bit_for_bit():
    once = dj.simulate(METHOD, PROBLEM, NETWORK, 9, **QUIET)
    identical(whole(phases=[{"until": 4}, {"network": dj.Network(dj.topology.ring(6))}]), once)
    assert len(jax.tree.leaves(once.state())) > 0


def test_each_phase_mixes_by_its_own_graph():
    x0 = zoo.starts()
    rings, full = zoo.ring(), dj.topology.complete(zoo.N).astype("float64")
    history = dj.simulate(
        dj.methods.dsgd(lr=0.0), zoo.squares()[0], dj.Network(rings), 5, params={"x": x0}, progress=False,
        phases=[{"until": 2}, {"until": 4, "network": dj.Network(full)}, {}],
    )  # fmt: skip
    w, f = rings.matrix(), full.matrix()
    np.testing.assert_allclose(history.state().params["x"], w @ f @ f @ w @ w @ x0, atol=1e-12)
    assert [(t, graph["name"]) for t, graph in history.graphs[history.runs[0]]] == [
        (0, "ring"),
        (2, "complete"),
        (4, "ring"),
    ]


def test_local_work_and_rate_change_and_counts_go_on():
    local = lambda lr, k: dj.methods.local_sgd(lr=lr, local_steps=k)
    history = dj.simulate(
        local(0.1, 2), PROBLEM, NETWORK, 6, phases=[{"until": 2}, {"method": local(0.05, 5)}], **QUIET
    )
    assert [r.get("gradients", 0) for r in history.records] == [0, 12, 24, 54, 84, 114, 144]
    each = history.records[1]["bytes"]
    assert [r["bytes"] for r in history.records] == [t * each for t in range(7)]
    assert history.facts["local_sgd"]["phases"] == [2] and history.facts["local_sgd"]["local_steps"] == "2, then 5"
    rates = dj.optimizers.Piecewise((0.1, 0.05), (2,))
    plain = dj.simulate(dj.methods.dsgd(lr=rates), PROBLEM, NETWORK, 6, **QUIET)
    phased = dj.simulate(
        dj.methods.dsgd(lr=0.1),
        PROBLEM,
        NETWORK,
        6,
        phases=[{"until": 2}, {"method": dj.methods.dsgd(lr=0.05)}],
        **QUIET,
    )
    np.testing.assert_allclose(phased.last("loss"), plain.last("loss"), rtol=1e-6)


def test_virtual_seconds_go_on():
    slow = dj.Network(RING, clock=dj.faults.clock(gradient=1.0))
    fast = dj.Network(FULL, clock=dj.faults.clock(gradient=0.5))
    history = dj.simulate(METHOD, PROBLEM, slow, 6, phases=[{"until": 4}, {"network": fast}], **QUIET)
    seconds = np.diff([r.get("seconds", 0.0) for r in history.records])
    np.testing.assert_allclose(seconds[1:4], seconds[0], rtol=1e-6)
    assert (seconds > 0).all() and seconds[-1] < seconds[0]


@pytest.mark.parametrize("at", [1, 3, 5, 6, 8])
def test_a_run_resumes_inside_any_phase(at, tmp_path):
    stop = lambda record: record["round"] == at
    whole(out=tmp_path / "run", callbacks=[stop])
    identical(whole(resume=tmp_path / "run"), whole())


def test_other_phases_are_another_experiment(tmp_path):
    whole(out=tmp_path / "run", callbacks=[lambda record: record["round"] == 4])
    for phases in (None, [{"until": 2}, *PHASES[1:]], [*PHASES[:2], {}]):
        with pytest.raises(dj.CheckpointError, match="of another experiment"):
            whole(resume=tmp_path / "run", phases=phases)


def test_more_rounds_lengthen_the_last_phase(tmp_path):
    whole(out=tmp_path / "run")
    longer = dj.simulate(METHOD, PROBLEM, NETWORK, 12, resume=tmp_path / "run", phases=PHASES, **QUIET)
    identical(longer, dj.simulate(METHOD, PROBLEM, NETWORK, 12, phases=PHASES, **QUIET))
    identical(whole().continue_(3, every=1, progress=False), longer)


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 3, 7])
def test_killed_and_resumed_equals_unbroken(at, tmp_path):
    path = os.pathsep.join([str(CHILD.parent), str(CHILD.parents[2]), *sys.path])
    child = [sys.executable, str(CHILD), str(tmp_path / "run"), str(at)]
    assert subprocess.run(child, env=os.environ | {"PYTHONPATH": path}, check=False).returncode == -signal.SIGKILL
    identical(whole(resume=tmp_path / "run"), whole())


@pytest.mark.slow
def test_seeds_and_groups_give_the_numbers_of_single_runs():
    many = whole(seeds=[0, 1])
    np.testing.assert_allclose(many.series("loss", "dsgd")[1][0], whole().series("loss", "dsgd")[1][0], rtol=1e-6)
    rates = (0.3, 0.2)
    phases = lambda lr: [{"until": 4}, {"method": dj.methods.dsgd(lr=lr / 2), "network": LOSSY}]
    members = [Member(str(lr), (dj.methods.dsgd(lr=lr), PROBLEM, NETWORK), 9, phases=phases(lr)) for lr in rates]
    history = run_members(members, [0], None, None, {"every": 3}, progress=False)
    for lr in rates:
        alone = dj.simulate(
            dj.methods.dsgd(lr=lr), PROBLEM, NETWORK, 9, phases=phases(lr), every=3, progress=False, seeds=[0]
        )
        np.testing.assert_allclose(history.last("loss", str(lr)), alone.last("loss"), rtol=1e-6)


@pytest.mark.worlds
def test_nodes_on_a_mesh_change_places_between_phases():
    n = 16
    problem = zoo.squares(n=n)[0]
    first, second = (dj.Network(g.astype("float64")) for g in (dj.topology.geometric(n, seed=0), dj.topology.ring(n)))
    go = lambda **kw: dj.simulate(
        dj.methods.dsgd(lr=0.2), problem, first, 6, phases=[{"until": 3}, {"network": second}], **QUIET, **kw
    )
    np.testing.assert_allclose(go(mesh=4).state().params["x"], go().state().params["x"], atol=1e-12)


ADAM = dj.methods.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=0.1))
EF = dj.compression.error_feedback(dj.compression.top_k(k=2), gamma=0.4)
COPIES = dj.Network(RING, codec=dj.compression.copies(dj.compression.top_k(k=2), gamma=0.4))
TIMED = dj.Network(RING, clock=dj.faults.clock())
REFUSED = {
    "no list": ({"until": 3}, r"^phases is \{'until': 3\}; give a list of phases"),
    "unknown": ([{"until": 3, "task": 1}, {}], r"^phases\[0\]\.task is no part of a phase; give some of until, method, network"),
    "no end": ([{}, {}], r"^phases\[0\]\.until is missing"),
    "end of the last": ([{"until": 3}, {"until": 9}], r"^phases\[1\]\.until is 9, but the last phase lasts"),
    "out of order": ([{"until": 3}, {"until": 3}, {}], r"^phases\[1\]\.until is 3, but the phase begins at round 3"),
    "never begins": ([{"until": 9}, {}], r"^phases\[0\]\.until is 9, but the run has 9 rounds"),
    "no number": ([{"until": "x"}, {}], r"^phases\[0\]\.until is 'x'"),
    "another method": ([{"until": 3}, {"method": dj.methods.local_sgd(lr=0.1)}], r"^phases\[1\]\.method is a LocalSgd, but the run's is a Dsgd"),
    "another state": ([{"until": 3}, {"method": ADAM}], r"^phases\[1\]\.method needs a state of another form: state/opt"),
    "a codec with memory": ([{"until": 3}, {"network": dj.Network(RING, codec=EF)}], r"^phases\[1\]\.network\.codec is another one"),
    "a clock that begins": ([{"until": 3}, {"network": TIMED}], r"^phases\[1\]\.network\.clock is another one, but seconds"),
    "a delay": ([{"until": 3}, {"network": dj.Network(RING, faults=dj.faults.delay(2))}], r"^phases\[1\]\.network\.faults is another one"),
    "events": ([{"until": 3}, {"network": dj.Network(RING, events=dj.events.poisson())}], r"^phases\[1\]\.network\.events is another one"),
    "who joins": ([{"until": 3}, {"network": dj.Network(RING, faults=dj.faults.joins(at=[0, 0, 0, 0, 0, 8], start="neighbors"))}], r"^phases\[1\]\.network needs a memory"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_phase_cannot_change_is_refused_in_words(name):
    phases, words = REFUSED[name]
    with pytest.raises(dj.FieldError, match=words):
        whole(phases=phases)


def test_copies_at_neighbors_keep_their_graph():
    full = dj.Network(FULL, codec=COPIES.codec)
    with pytest.raises(
        dj.RefusedError, match=r"^phases\[1\]\.network\.topology is another one, but neighbors hold copies"
    ):
        dj.simulate(METHOD, PROBLEM, COPIES, 9, phases=[{"until": 3}, {"network": full}], **QUIET)
    dj.simulate(METHOD, PROBLEM, COPIES, 4, phases=[{"until": 3}, {"method": dj.methods.dsgd(lr=0.1)}], **QUIET)


def test_nodes_stay_as_many():
    with pytest.raises(ValueError, match="n = 5 nodes, but the data are split over 6") as found:
        whole(phases=[{"until": 3}, {"network": dj.Network(dj.topology.ring(5))}])
    assert "in phases[1], rounds 3 to 8" in found.value.__notes__


CONFIG = """
rounds: 6
data: {source: digits, nodes: 4, partition: iid}
task: logistic
batch_size: 16
network: {topology: ring, faults: {link_loss: {p: 0.5}}}
method: {local_sgd: {lr: 0.1, local_steps: {epochs: 0.1}}}
phases:
  - {until: 2, network: {faults: null}}
  - {until: 4}
  - {method: {local_sgd: {lr: {step: {peak: 0.1, every: 1, unit: epochs}}, local_steps: 2}}, network: {topology: complete}}
"""


def test_a_config_overrides_by_phase_and_is_written_back(tmp_path):
    path = tmp_path / "phased.yaml"
    path.write_text(CONFIG)
    config = dj.config.load(path)
    method, problem, network, phases = config.runs[0].experiment()
    assert network.faults == () and network.topology.name == "ring"
    assert (
        phases[1]["network"].faults and phases[2]["network"].faults and phases[2]["network"].topology.name == "complete"
    )
    assert phases[1]["method"] == method and phases[2]["method"].local_steps == 2
    (tmp_path / "again.yaml").write_text(config.yaml())
    assert dj.config.load(tmp_path / "again.yaml").yaml() == config.yaml()
    ran = dj.simulate(method, problem, network, 6, phases=phases, out=tmp_path / "run", **QUIET)
    made = dj.config.load(tmp_path / "run" / "config.yaml").runs[0]
    *parts, phases = made.experiment()
    identical(dj.simulate(*parts, 6, phases=phases, **QUIET), ran)
    assert len(ran.facts["local_sgd"]["setup"]["phases"]) == 2


@pytest.mark.parametrize(
    "override, words",
    [
        (
            "phases.1.until=2",
            r"--set phases\.1\.until=2: phases\.1\.until: until is 2, but the phase begins at round 2",
        ),
        ("phases.0.until=60", r"phases\.0\.until: until is 60, but the run has 6 rounds"),
        ("phases.2.network.topology={ring: {n: 9}}", r"phases\.2\.network\.topology\.ring\.n: the graph has n = 9 but"),
        ("phases.1.method={dsgd: {lr: 1}}", r"phases\.1\.method: method is a Dsgd, but the run's is a LocalSgd"),
        ("phases.4.until=3", r"phases\.4: phases has 3 entries"),
        ("phases.1.epochs=3", r"phases\.1\.epochs: .* takes no 'epochs'"),
        ("phases=ring", r"phases: expected a list of phases"),
    ],
)
def test_a_config_names_the_phase(override, words, tmp_path):
    from dejax.runs.simulate import planned

    path = tmp_path / "phased.yaml"
    path.write_text(CONFIG)
    with pytest.raises(dj.ConfigError, match=words):
        config = dj.config.load(path, sets=[override])
        with dj.config.blamed(config):
            planned({run.label: run.experiment() for run in config.runs}, 6)


def test_a_schedule_in_epochs_goes_on_where_the_phase_before_left_it():
    lr = dj.optimizers.Step(0.1, every=1, unit="epochs")
    local = lambda k: dj.methods.local_sgd(lr=lr, local_steps=k)
    from dejax.engine.upload import Placer
    from dejax.runs.phases import phases_of, staged

    problem = zoo.Uneven(batch_size=1).problem  # nodes of 1 to 5 samples: an epoch of all nodes is 15 steps
    given = (local(3), problem, dj.Network(zoo.ring()))
    stages = staged(phases_of(given, [{"until": 4}, {"method": local(dj.Epochs(1))}], 9), 9, None, Placer(None))
    rates = [float(stages[t >= 4].parts[0].lr(t)) for t in range(9)]
    np.testing.assert_allclose(rates, [0.1, 0.01, 0.001, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9], rtol=1e-6)


NOISY = dj.privacy.gaussian_gradient(1.0, 1.5)


def private(**kw):
    """A run with privacy whose second phase is `kw`."""
    problem = zoo.Uneven(5, batch_size=2, sampling="poisson").problem
    phases = [{"until": 2}, kw]
    return dj.simulate(dj.methods.fedavg(lr=0.05), problem, dj.Network(privacy=NOISY), 6, phases=phases, **QUIET)


def test_phases_that_spend_alike_have_one_account():
    history = private(method=dj.methods.fedavg(lr=0.01))
    plain = private(network=dj.Network(privacy=NOISY))
    assert history.series("epsilon")[1].tolist() == plain.series("epsilon")[1].tolist()
    assert history.last("epsilon") > history.series("epsilon")[1][0, 2] > 0


@pytest.mark.parametrize(
    "kw",
    [
        {"network": dj.Network()},
        {"method": dj.methods.fedavg(lr=0.05, local_steps=3)},
        {"method": dj.methods.fedavg(lr=0.05, clients=2)},
        {"network": dj.Network(privacy=dj.privacy.gaussian_gradient(1.0, 0.7))},
    ],
    ids=["none", "steps", "clients", "noise"],
)
def test_phases_that_spend_otherwise_are_refused(kw):
    with pytest.raises(dj.RefusedError, match="spend otherwise than those of the first phase") as caught:
        private(**kw)
    assert caught.value.field == "phases[1].network.privacy"


def test_moments_are_met_in_every_phase(tmp_path):
    """A chunk that is run again for fewer rounds stays in its phase; so does a run that is resumed."""
    clock = dj.faults.clock(latency=1.0)
    ring, full = (dj.Network(top, clock=clock) for top in (RING, FULL))
    kw = {"progress": False, "phases": [{"until": 3}, {"network": full}], "at_seconds": [3.0, 8.0, 15.0]}
    once = dj.simulate(METHOD, PROBLEM, ring, 9, **kw)
    assert [r["round"] for r in once.records] == [0, 2, 4, 8, 9]
    dj.simulate(METHOD, PROBLEM, ring, 5, out=tmp_path / "run", **kw)
    again = dj.simulate(METHOD, PROBLEM, ring, 9, resume=tmp_path / "run", **kw)
    assert [r["round"] for r in again.records if r["round"] != 5] == [0, 2, 4, 8, 9]
    for x, y in zip(jax.tree.leaves(again.state()), jax.tree.leaves(once.state()), strict=True):
        np.testing.assert_array_equal(x, y)
