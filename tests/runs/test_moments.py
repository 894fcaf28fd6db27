"""Evaluations at lists of rounds and of virtual times, and arrays that metrics return: the same however a run is cut."""

import jax
import numpy as np
import pytest
import toy

import dejax as dj
from dejax.errors import CheckpointError
from dejax.report.history import History
from dejax.runs.cadence import Cadence
from dejax.runs.simulate import compare, simulate
from dejax.runs.sweep import sweep
from scripts.experiments import _ten

TIMES = [0.5, 3.0, 3.1, 20.0, 1e6]


def ids(view):
    """An own metric that returns arrays beside a number."""
    return {"ids": np.arange(view.n) + 100 * view.index, "grid": np.eye(2) * view.index, "half": view.index / 2}


def run(rounds=40, **options):
    method, problem, _ = toy.experiment()
    network = dj.Network(dj.topology.ring(6), clock=dj.faults.clock(gradient=0.5, exponential=0.7))
    options = {"metrics": ["consensus", ids], "progress": False, "seeds": [0, 3]} | options
    return simulate(method, problem, network, rounds, **options)


def same(a, b):
    plain = lambda h: [{k: v for k, v in r.items() if k != "wall"} for r in h.records]
    assert plain(a) == plain(b)
    for name in ("ids", "grid"):
        for x, y in zip(a.arrays(name), b.arrays(name), strict=True):
            np.testing.assert_array_equal(x, y)
    assert {r["round"] for r in a.records} == set(a.arrays("ids")[0].tolist())


@pytest.fixture(scope="module")
def every():
    """Each round measured: what the others are compared with."""
    return run(every=1)


def first_not_before(history, t):
    """By each seed: its first round whose seconds are at t, if there is one."""
    found = set()
    for seed in history.seeds():
        mine = [r["round"] for r in history.records if r["seed"] == seed and r.get("seconds", 0.0) >= t]
        found |= {min(mine)} if mine else set()
    return found


def test_a_list_of_rounds():
    method, problem, network = toy.experiment()
    go = lambda **kw: [
        r["round"] for r in simulate(method, problem, network, 20, metrics=["consensus"], progress=False, **kw).records
    ]
    assert go(at=[5, 1, 2, 10, 500]) == [0, 1, 2, 5, 10, 20]
    assert go(at=[3], every=8) == [0, 3, 8, 16, 20]
    assert go(at=[0]) == [0, 20]


def test_virtual_times_are_met_by_the_first_round_that_is_not_before(every):
    got = run(at_seconds=TIMES)
    want = {0, 40}.union(*(first_not_before(every, t) for t in TIMES))
    assert {r["round"] for r in got.records} == want and len(want) > 5
    of = {(r["seed"], r["round"]): r for r in every.records}
    for r in got.records:
        assert (
            r["seconds" if r["round"] else "bytes"] == of[r["seed"], r["round"]]["seconds" if r["round"] else "bytes"]
        )
    jax.tree.map(np.testing.assert_array_equal, got.state(), every.state())  # bit for bit


def test_other_times_compile_nothing():
    run(at_seconds=[4.0])
    seen, watching = [], True
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **more: seen.append(event) if watching and event.endswith("backend_compile_duration") else None
    )
    run(at_seconds=[1.0, 2.0, 7.5, 8.0])
    run(at=[1, 2, 17])
    watching = False
    assert not seen


@pytest.mark.slow
@pytest.mark.parametrize("when", [{"at_seconds": TIMES}, {"at": [1, 2, 7, 8, 30]}, {"every": 4}], ids=str)
def test_a_run_that_was_cut_goes_on_without_gaps_or_doubles(tmp_path, when):
    """Killed after an evaluation that no checkpoint has seen: its arrays and records are made again."""
    whole = run(**when)

    def kill(record):
        if record["round"] > 6:
            raise MemoryError("killed")

    with pytest.raises(MemoryError):
        run(**when, out=tmp_path / "run", checkpoint_every=3, callbacks=kill)
    beyond = [t for t, _ in dj.report.arrays.existing(tmp_path / "run", "dsgd")]
    assert max(beyond) > 6
    resumed = run(**when, resume=tmp_path / "run", checkpoint_every=3)
    same(resumed, whole)
    same(dj.report.load(tmp_path / "run"), whole)
    same(run(**when, resume=tmp_path / "run"), whole)  # nothing is left to do


def test_arrays_go_on_with_continue_and_are_missed_where_they_are_gone(tmp_path):
    longer = run(8, every=2, out=tmp_path / "run").continue_(8)
    same(longer, run(16, every=2))
    same(dj.report.load(tmp_path / "run"), longer)
    (_, first), *_ = dj.report.arrays.existing(tmp_path / "run", "dsgd")
    first.unlink()
    with pytest.raises(CheckpointError, match=r"holds 8 of the 9 files of arrays of dsgd"):
        run(24, every=2, resume=tmp_path / "run")


def test_arrays_of_a_sweep_stand_by_run_and_seed(tmp_path):
    _, problem, network = toy.experiment()
    build = lambda lr: (dj.methods.dsgd(lr=lr), problem, network)
    kw = {"seeds": [0, 1], "metrics": [ids, "per_node"], "every": 2, "progress": False}
    h = sweep(build, {"lr": [0.1, 0.3]}, 4, out=tmp_path / "run", **kw)
    alone = simulate(dj.methods.dsgd(lr=0.3), problem, network, 4, **kw)
    np.testing.assert_allclose(
        h.arrays("loss/local_nodes", "lr=0.3")[1], alone.arrays("loss/local_nodes")[1], rtol=1e-5
    )
    assert h.arrays("loss/local_nodes", "lr=0.1")[1].shape == (2, 3, 6)
    loaded = dj.report.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.arrays("ids", "lr=0.1")[1], h.arrays("ids", "lr=0.1")[1])


def test_a_lane_that_diverges_has_arrays_as_long_as_it_went():
    _, problem, network = toy.experiment()
    build = lambda lr: (dj.methods.dsgd(lr=lr), problem, network)
    h = sweep(build, {"lr": [0.1, 1e30]}, 6, metrics=[ids], every=1, progress=False)
    assert h.facts["lr=1e+30"]["status"].startswith("diverged")
    good, bad = h.arrays("ids", "lr=0.1")[0], h.arrays("ids", "lr=1e+30")[0]
    assert good.tolist() == list(range(7)) and 0 < len(bad) < 7


def test_what_is_no_list_of_moments_is_refused():
    for wrong in ([], [1.5], "12", 3):
        with pytest.raises((ValueError, TypeError), match="at is|at "):
            Cadence(10, at=wrong)
    with pytest.raises(ValueError, match="at_seconds is 0"):
        Cadence(10, at_seconds=[0.0])
    method, problem, network = toy.experiment()
    with pytest.raises(ValueError, match=r"at_seconds is \(1.0,\), but the network has no clock"):
        simulate(method, problem, network, 4, at_seconds=[1.0], progress=False)


def test_each_run_of_a_comparison_has_its_own_times():
    method, problem, _ = toy.experiment()
    net = lambda g: dj.Network(dj.topology.ring(6), clock=dj.faults.clock(gradient=g))
    h = compare(
        {"slow": (method, problem, net(2.0)), "fast": (method, problem, net(0.5))}, 10, at_seconds=[4.0], metrics=["consensus"],
        progress=False,
    )  # fmt: skip
    rounds = lambda run: [r["round"] for r in h.records if r["run"] == run]
    assert (rounds("slow"), rounds("fast")) == ([0, 2, 10], [0, 8, 10])


# ---- what stands at the start of an axis
def test_nothing_was_spent_before_the_first_round():
    records = [{"run": "a", "seed": 0, "round": 0, "accuracy/local": 0.2, "bytes": 0}]
    records += [
        {"run": "a", "seed": 0, "round": 10, "accuracy/local": 0.6, "bytes": 8, "seconds": 4.0, "gradients": 10}
    ]
    h = History(records)
    for by, end in (("seconds", 4.0), ("gradients", 10.0), ("bytes", 8.0)):
        np.testing.assert_array_equal(h.series("accuracy/local", by=by)[0], [0, end])
    assert h.to_target("accuracy/local", 0.1, by="seconds")[0] == 0
    np.testing.assert_allclose(
        _ten.at(h, "a", "seconds", 1.0), 30.0
    )  # before the first evaluation: along the line from the start
