"""Runs of one structure as one program: the numbers of separate runs, lanes that diverge, and stops in the middle."""

import dataclasses

import jax
import numpy as np
import pytest
import toy

import dejax as dj
from dejax import topology
from dejax.errors import CheckpointError
from dejax.runs import saving
from dejax.runs.cadence import Cadence
from dejax.runs.directory import RunDir
from dejax.runs.group import Member, grouped
from dejax.runs.sweep import run_members

ROUNDS, SEEDS = 6, (0, 3)


def members(*rates, rounds=ROUNDS):
    _, problem, network = toy.experiment()
    return [Member(f"lr={lr}", (dj.methods.dsgd(lr=lr), problem, network), rounds, {"lr": lr}) for lr in rates]


def swept(given, directory=None, at_once=None, callbacks=(), seeds=SEEDS):
    when = {"every": 2, "checkpoint_every": 2}
    return run_members(given, seeds, at_once, None, when, callbacks=callbacks, progress=False, directory=directory)


class Crash(Exception):
    """Ends a sweep in the middle."""


def crash_after(records):
    seen = []

    def callback(record):
        seen.append(record)
        if len(seen) == records:
            raise Crash

    return callback


@pytest.mark.slow
def test_every_lane_has_the_numbers_of_its_own_run():
    got = swept(members(0.1, 0.3))
    _, problem, network = toy.experiment()
    assert got.runs == ["lr=0.1", "lr=0.3"]
    for lr in (0.1, 0.3):
        for seed in SEEDS:
            want = dj.simulate(dj.methods.dsgd(lr=lr), problem, network, ROUNDS, seed=seed, every=2, progress=False)
            mine = [r for r in got.records if r["lr"] == lr and r["seed"] == seed]
            assert [r["round"] for r in mine] == [0, 2, 4, 6]
            for a, b in zip(mine, want.records, strict=True):
                assert a["bytes"] == b["bytes"] and {*a} == {*b, "lr"}
                for name in ("loss/local", "consensus", "accuracy/mean_model"):
                    np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12)
    facts = got.facts["lr=0.3"]
    assert facts["status"] == "done" and facts["rounds"] == ROUNDS and facts["seeds"] == list(SEEDS)


@pytest.mark.slow
def test_a_lane_that_diverges_lets_the_others_go_on():
    got, alone = swept(members(0.1, 1e30)), swept(members(0.1))
    assert toy.plain(r for r in got.records if r["run"] == "lr=0.1") == toy.plain(alone.records)
    assert got.facts["lr=0.1"]["status"] == "done"
    assert got.facts["lr=1e+30"]["status"].startswith("diverged in round")
    broken = [r["round"] for r in got.records if r["run"] == "lr=1e+30" and r["seed"] == 0]
    assert broken == [0, 2]  # one more record, which says what it sent


@pytest.mark.slow
def test_a_group_ends_where_nothing_goes_on(tmp_path):
    got = swept(members(1e30, 2e30), RunDir(tmp_path / "sweep"))
    assert {facts["rounds"] for facts in got.facts.values()} == {2}
    assert [r["round"] for r in got.records if r["run"] == "lr=1e+30" and r["seed"] == 0] == [0, 2]
    again = swept(members(1e30, 2e30), RunDir(tmp_path / "sweep", resume=True))
    assert toy.plain(again.records) == toy.plain(got.records) and again.facts["lr=1e+30"]["rounds"] == 2


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(3, id="before a checkpoint", marks=SLOW),
        pytest.param(10, id="first part", marks=SLOW),
        pytest.param(17, id="second part", marks=SLOW),
    ],
)
def test_what_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, records):
    """Three rates of which one diverges, in a part of two and one that is filled up."""
    given, out = (0.1, 1e30, 0.3), tmp_path / "sweep"
    whole = swept(members(*given), RunDir(tmp_path / "whole"), at_once=4)
    with pytest.raises(Crash):
        swept(members(*given), RunDir(out), at_once=4, callbacks=[crash_after(records)])
    resumed = swept(members(*given), RunDir(out, resume=True), at_once=4)
    assert toy.plain(resumed.records) == toy.plain(whole.records)
    assert toy.plain(RunDir(out, resume=True).records()) == toy.plain(RunDir(tmp_path / "whole", resume=True).records())
    for label, facts in whole.facts.items():
        assert facts["status"] == resumed.facts[label]["status"] == RunDir(out, resume=True).facts[label]["status"]
    assert {facts["parameters"] for facts in resumed.facts.values()} == {whole.facts["lr=0.1"]["parameters"]}
    longer = swept(members(*given, rounds=8), RunDir(out, resume=True))  # in the groups that it has
    assert toy.plain(longer.records) == toy.plain(swept(members(*given, rounds=8)).records)


@pytest.mark.slow
def test_other_runs_may_fill_a_part_up_after_a_resume(tmp_path):
    (three,) = grouped(members(0.1, 0.3, 0.5), SEEDS)
    one = type(three)(three.members[2:], SEEDS, 2)
    other = type(three)(three.members[2:], SEEDS, 3)
    for group in (one, other):
        group.cadence = Cadence(ROUNDS)
    one.start()
    one.advance(2)
    directory = RunDir(tmp_path / "sweep")
    saving.save(one, directory)
    directory.drop()
    assert saving.restore(other, RunDir(tmp_path / "sweep", resume=True))
    assert other.round == 2
    for group in (one, other):
        group.advance(2)
    for a, b in zip(jax.tree.leaves(one.carry), jax.tree.leaves(other.carry), strict=True):
        assert (len(a), len(b)) == (4, 6)
        np.testing.assert_array_equal(a[:2], b[:2])
        np.testing.assert_array_equal(b[2:4], b[4:])


@pytest.mark.slow
def test_a_sweep_goes_on_with_its_own_runs_alone(tmp_path):
    swept(members(0.1, 0.3), RunDir(tmp_path / "sweep"))
    with pytest.raises(CheckpointError, match="its method differs"):
        other = members(0.1, 0.2)
        other[1].label = "lr=0.3"
        swept(other, RunDir(tmp_path / "sweep", resume=True))
    with pytest.raises(CheckpointError, match=r"seeds differs \(\[0, 3\] there, \[0, 4\] here\)"):
        swept(members(0.1, 0.3), RunDir(tmp_path / "sweep", resume=True), seeds=(0, 4))


def test_structures_are_told_apart_and_parts_are_as_equal_as_can_be():
    _, problem, _ = toy.experiment()
    ring, complete = dj.Network(topology.ring(6)), dj.Network(topology.complete(6))
    given = [
        Member(f"{name} {lr}", (dj.methods.dsgd(lr=lr), problem, network), ROUNDS)
        for lr in (0.1, 0.2, 0.3, 0.4)
        for name, network in (("ring", ring), ("complete", complete))
    ]
    groups = grouped(given, SEEDS, at_once=6)
    assert [(g.labels, g.width, g.label) for g in groups] == [
        (["ring 0.1", "ring 0.2"], 4, "ring 0.1 and 1 more"),
        (["ring 0.3", "ring 0.4"], 4, "ring 0.3 and 1 more"),
        (["complete 0.1", "complete 0.2"], 4, "complete 0.1 and 1 more"),
        (["complete 0.3", "complete 0.4"], 4, "complete 0.3 and 1 more"),
    ]
    assert groups[0].problem.data.arrays["x"] is groups[3].problem.data.arrays["x"]  # on the device once


# ---- dejax.sweep
def build(lr, graph):
    return dj.methods.dsgd(lr=lr), PROBLEM, dj.Network(graph)


PROBLEM = toy.experiment()[1]
GRAPHS = {"ring": topology.ring(6), "complete": topology.complete(6)}


@pytest.mark.slow
def test_a_sweep_runs_every_combination_and_names_the_best(tmp_path):
    over = {"lr": [0.1, np.float32(0.3)], "graph": GRAPHS}
    got = dj.sweep(build, over, rounds=4, seeds=(0, 3), every=4, progress=False, out=tmp_path / "out")
    assert got.runs == ["lr=0.1, graph=ring", "lr=0.1, graph=complete", "lr=0.3, graph=ring", "lr=0.3, graph=complete"]
    assert {r["lr"] for r in got.records} == {0.1, float(np.float32(0.3))}
    best = max(got.runs, key=lambda run: got.last("accuracy/local", run))
    assert got.last("accuracy/local", got.best()) == got.last("accuracy/local", best)
    assert got.last("loss/local", got.best("loss/local")) == min(got.last("loss/local", run) for run in got.runs)
    again = dj.sweep(build, over, rounds=4, seeds=(0, 3), every=4, progress=False, resume=tmp_path / "out")
    assert toy.plain(again.records) == toy.plain(got.records)
    with pytest.raises(ValueError, match="no final state in memory"):
        got.params("lr=0.1, graph=ring", 0)


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, "over is {}; give {name of an argument of build: values}"),
        ({"lr": 0.1, "graph": GRAPHS}, r"over\['lr'\] is 0.1; give a list of values"),
        ({"lr": [], "graph": GRAPHS}, r"over\['lr'\] is empty"),
        ({"lr": [0.1, 0.1], "graph": GRAPHS}, r"over\['lr'\] gives a value twice"),
        ({"lr": [0.1], "graph": list(GRAPHS.values())}, r"over\['graph'\] holds a \w+; give a dict {label: value}"),
        ({"lr": [-1.0], "graph": GRAPHS}, "lr is -1.0"),
        ({"lr": [0.1]}, "over gives lr, which are not the arguments of build: missing a required argument: 'graph'"),
        ({"seed": [7, 8]}, "over has 'seed', which names a column of every record"),
        ({1: [7, 8]}, "give {name of an argument of build: values}"),
    ],
)
def test_what_cannot_be_swept_is_refused(over, words):
    with pytest.raises((TypeError, ValueError), match=words):
        dj.sweep(build, over, rounds=2)


def test_what_else_cannot_be():
    with pytest.raises(TypeError, match=r"build returned a Dsgd for lr=0.1; return \(method, problem, network\)"):
        dj.sweep(lambda lr: dj.methods.dsgd(lr=lr), {"lr": [0.1]})
    with pytest.raises(ValueError, match="at_once is 0; give a whole number >= 1"):
        dj.sweep(build, {"lr": [0.1], "graph": GRAPHS}, at_once=0)
    over = {"lr": [0.1], "graph": GRAPHS}
    for seeds, words in (
        ((), "seeds is empty"),
        (3, r"seeds is 3; give a list of seeds, e.g. seeds=list\(range\(3\)\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            dj.sweep(build, over, seeds=seeds)
    with pytest.raises(ValueError, match=r"at_once is 1, but 2 seeds go together; give at_once >= 2 \(--at-once\)"):
        dj.sweep(build, over, seeds=(0, 1), at_once=1)
    with pytest.raises(TypeError, match="build is 3; give a function"):
        dj.sweep(3, over)


def test_numbers_of_a_problem_do_not_tell_its_runs_apart():
    def groups(*problems):
        network = dj.Network(topology.ring(6))
        given = [Member(str(i), (dj.methods.dsgd(lr=0.1 + i), p, network), ROUNDS) for i, p in enumerate(problems)]
        return len(grouped(given, SEEDS))

    problem = dataclasses.replace(PROBLEM, roles={"w": "personal"}, personal_lr=0.1)
    assert groups(problem, problem) == 1
    assert groups(problem, dataclasses.replace(problem, personal_lr=0.2)) == groups(PROBLEM, toy.problem()) == 2


def test_the_name_of_a_checkpoint_is_short_enough_for_a_file(tmp_path):
    directory = RunDir(tmp_path)
    long = directory.checkpoints("network.codec={copies: {compressor: {top_k: {k: 5}}}}, " * 9)
    assert len(long.name) < 140 and long != directory.checkpoints(
        "network.codec={copies: {compressor: {top_k: {k: 5}}}}, " * 8
    )
    assert directory.checkpoints("lr=0.1").name == "lr%3D0.1"
