"""The host driver: schedules, chunks, resume, stops, files."""

import json
import math
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from dejax import metrics
from dejax.errors import CheckpointError, DivergenceError
from dejax.report.history import History
from dejax.runs import batch, checkpoint, driver
from dejax.runs.simulate import compare, simulate
from dejax.runs.single import SingleRun

pytestmark = pytest.mark.worlds


def run(rounds=7, every=1, lr=0.3, **options):
    return simulate(*toy.experiment(lr), rounds, every=every, progress=False, **options)


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture(scope="module")
def seven():
    return run()


@pytest.mark.slow
def test_chunks_grow_to_the_distance_of_records(monkeypatch):
    counts, advance = [], SingleRun.advance
    monkeypatch.setattr(
        SingleRun, "advance", lambda self, count, *rest: counts.append(count) or advance(self, count, *rest)
    )
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 1e9)  # whatever a chunk takes on a slow machine
    run(rounds=50, every=10)
    assert counts == [4, 4, 2, *[10] * 4]  # a chunk that a record cuts short makes the next ones no shorter


def test_records_follow_the_schedule(seven):
    assert [r["round"] for r in seven.records] == list(range(8))
    assert [r["round"] for r in run(every=3).records] == [0, 3, 6, 7]
    assert [r["round"] for r in run(rounds=100, every=None).records] == list(range(0, 101, 5))
    last = seven.records[-1]
    assert {"loss", "accuracy/local", "accuracy/local_p10", "accuracy/mean_model", "consensus", "bytes", "wall"} <= set(
        last
    )
    assert last["run"] == "dsgd" and last["seed"] == 0 and "loss" not in seven.records[0]
    assert seven.facts["dsgd"]["status"] == "done" and not seven.interrupted


def test_bytes_are_directed_payload(seven):
    d = 3 * 4 + 4
    assert [r["bytes"] for r in seven.records] == [t * 6 * 2 * d * toy.ITEM for t in range(8)]
    assert seven.records[-1]["bytes/node"] == 7 * 2 * d * toy.ITEM


@pytest.mark.slow
def test_three_plus_four_is_seven_from_a_directory_and_in_memory(seven, tmp_path):
    run(rounds=3, out=tmp_path / "run")
    resumed = run(rounds=7, resume=tmp_path / "run")
    assert toy.plain(resumed.records) == toy.plain(seven.records)
    same_bits(resumed.state(), seven.state())
    three = run(rounds=3)
    before = jax.tree.map(np.asarray, three.state())
    longer = three.continue_(4, progress=False)
    assert toy.plain(longer.records) == toy.plain(seven.records)
    same_bits(longer.state(), seven.state())
    same_bits(three.state(), before)  # the old history keeps its state


@pytest.mark.slow
def test_a_finished_run_goes_on_in_its_directory(seven, tmp_path):
    longer = run(rounds=3, out=tmp_path / "run").continue_(4, progress=False)
    same_bits(longer.state(), seven.state())
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert toy.plain(lines) == toy.plain(seven.records)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 9
    assert [p.name for p in checkpoint.existing(tmp_path / "run" / "checkpoints" / "dsgd")][-1] == "round_000000007"


def test_chunks_and_evaluations_do_not_change_numbers(seven, monkeypatch):
    monkeypatch.setattr(batch, "CHUNK", 2)
    same_bits(run(every=5).state(), seven.state())
    np.testing.assert_array_equal(run(every=7).last("loss"), np.mean([r["loss"] for r in seven.records[1:]]))


def test_one_compilation_whatever_the_rounds(seven):
    size = toy.compilations()
    run(rounds=1), run(rounds=23, every=9), run(lr=0.1)
    assert toy.compilations() == size


@pytest.mark.slow
def test_several_seeds_at_once_equal_separate_runs(seven, tmp_path):
    several = run(seeds=[0, 5, 2], out=tmp_path / "run")
    assert several.seeds() == [0, 5, 2] and len(several.records) == 24
    alone = run(seed=5)
    for a, b in zip([r for r in several.records if r["seed"] == 5], alone.records, strict=True):
        for name in b:
            if name not in ("wall", "run"):
                np.testing.assert_allclose(a[name], b[name], rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-12), several.params(), alone.params())
    assert "±" in str(several.table())
    same_bits(run(rounds=7, seeds=[0, 5, 2], resume=tmp_path / "run").state(), several.state())
    with pytest.raises(ValueError, match="has seeds .*say which"):
        several.model()
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.allclose(a, b), several.model(seed=5), alone.model()))


def test_own_metrics_and_names():
    def furthest(view):
        assert view.n == 6 and view.index in range(4)
        return {"furthest": jnp.max(jnp.abs(view.params["b"]))}

    h = run(rounds=3, metrics=["consensus", "local_models", "own_test", furthest])
    assert h.last("furthest") > 0 and "accuracy/mean_model" not in h.names and "accuracy/own_test_p10" in h.names
    with pytest.raises(ValueError, match="'consensu', which is no metric. Did you mean 'consensus'"):
        run(metrics=["consensu"])
    with pytest.raises(TypeError, match="metrics holds 3"):
        run(metrics=[3])
    with pytest.raises(TypeError, match="returned float; give a dict"):
        run(metrics=[lambda view: 1.0])
    with pytest.raises(TypeError, match=r"returned spread of shape \(2,\), which holds no numbers"):
        run(metrics=[lambda view: {"spread": np.array(["a", "b"])}])
    with pytest.raises(ValueError, match="names a column"):
        run(metrics=[lambda view: {"seed": 2}])


def test_a_sample_of_nodes_and_all_at_the_end():
    h = run(rounds=4, every=2, nodes=2)
    assert [r["evaluated"] for r in h.records] == [2, 2, 6]
    assert [r["evaluated"] for r in run(rounds=4, every=2, nodes=2, final_nodes=3).records] == [2, 2, 3]


@pytest.mark.slow
def test_data_without_a_test_set_are_measured_by_their_objective():
    method, _, network = toy.experiment()
    h = simulate(method, toy.problem(test=0), network, 3, progress=False)
    assert h.last("objective") > 0 and "accuracy/local" not in h.names
    with pytest.raises(ValueError, match="metrics holds 'mean_model', but toy has no test set"):
        simulate(method, toy.problem(test=0), network, 3, progress=False, metrics=["mean_model"])


@pytest.mark.slow
def test_callbacks_see_records_and_can_stop(tmp_path):
    seen = []
    h = run(rounds=9, callbacks=[seen.append, lambda r: r["round"] == 4], out=tmp_path / "run")
    assert seen == h.records and h.records[-1]["round"] == 4
    assert h.facts["dsgd"]["status"] == "stopped by a callback at round 4" and not h.interrupted
    same_bits(run(rounds=7, resume=tmp_path / "run").state(), run().state())


# ---- stops
@pytest.mark.slow
def test_ctrl_c_keeps_the_history_and_the_run_goes_on(seven, tmp_path):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

    def press(record):
        if record["round"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    h = run(callbacks=[press], out=tmp_path / "run")
    assert h.interrupted and h.records[-1]["round"] == 3 and "interrupted at round 3" in repr(h)
    assert "interrupted" in (tmp_path / "run" / "report.html").read_text().lower()
    assert h.model() is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = run(resume=tmp_path / "run")
    assert toy.plain(resumed.records) == toy.plain(seven.records)
    same_bits(resumed.state(), seven.state())


def test_an_interrupt_raised_inside_a_callback_is_the_same(seven):
    def press(record):
        if record["round"] == 2:
            raise KeyboardInterrupt

    h = run(callbacks=[press])
    assert h.interrupted and len(h.records) == 3
    same_bits(h.continue_(5, progress=False).state(), seven.state())


def test_divergence_names_round_and_node_and_keeps_what_was(tmp_path):
    with pytest.raises(
        DivergenceError, match=r"dsgd: the (loss|model) of node \d is not finite .* round \d+ \(seed 0\).*lower lr"
    ) as caught:
        run(rounds=300, every=2, lr=1e38, out=tmp_path / "run", checkpoint_every=2)
    error = caught.value
    assert isinstance(error.history, History) and error.history.records
    assert all(math.isfinite(r["accuracy/local"]) for r in error.history.records)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["runs"]["dsgd"]
    assert facts["status"].startswith("diverged in round")
    assert (tmp_path / "run" / "report.html").is_file()
    saved = checkpoint.latest(tmp_path / "run" / "checkpoints" / "dsgd")
    assert saved is None or checkpoint.verify(saved)["round"] <= error.round


@pytest.mark.slow
def test_a_diverging_run_does_not_take_the_others_along(tmp_path):
    good, bad = toy.experiment(0.3), toy.experiment(1e38)
    h = compare({"good": good, "bad": bad, "also good": good}, 20, every=5, progress=False, out=tmp_path / "run")
    assert h.runs == ["good", "bad", "also good"] and h.last("accuracy/local", "also good") > 0
    assert "bad: diverged in round" in str(h.table())
    with pytest.raises(DivergenceError):
        compare({"bad": bad}, 20, progress=False)


@pytest.mark.slow
def test_a_comparison_is_resumed_where_it_was_cut_short(tmp_path):
    runs = {"a": toy.experiment(0.3), "b": toy.experiment(0.2)}
    whole = compare(runs, 6, every=2, progress=False)

    def press(record):
        if record["run"] == "b" and record["round"] == 4:
            raise KeyboardInterrupt

    cut = compare(runs, 6, every=2, progress=False, out=tmp_path / "run", callbacks=[press])
    assert cut.interrupted and len(cut.records) == 7
    resumed = compare(runs, 6, every=2, progress=False, resume=tmp_path / "run")
    assert toy.plain(resumed.records) == toy.plain(whole.records)
    for label in runs:
        same_bits(resumed.state(label), whole.state(label))


# ---- models
def test_models_come_out(seven):
    params = seven.params()
    same_bits(seven.params(), seven.state() if not hasattr(seven.state(), "params") else seven.state().params)
    jax.tree.map(lambda m, p: np.testing.assert_allclose(m, p.mean(0), rtol=1e-12), seven.model(), params)
    same_bits(seven.model(node=3), jax.tree.map(lambda p: p[3], params))
    with pytest.raises(ValueError, match="node is 6, which is not in a population of 6"):
        seven.model(node=6)


def test_metrics_of_the_end_are_those_of_the_last_record(seven):
    view = seven._states["dsgd"].view()
    assert metrics.consensus(view)["consensus"] == seven.last("consensus")


# ---- bad input
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"rounds": 0}, ValueError, "rounds is 0"),
        ({"rounds": 2.5}, TypeError, "rounds is 2.5"),
        ({"every": 0}, ValueError, "every is 0"),
        ({"nodes": -1}, ValueError, "nodes is -1"),
        ({"checkpoint_every": "often"}, ValueError, "checkpoint_every is 'often'"),
        ({"seeds": []}, ValueError, "seeds is empty"),
        ({"seed": 5, "seeds": [1, 2]}, ValueError, "seed is 5 and seeds is .*give one"),
        ({"seeds": [1, 1]}, ValueError, "list of different"),
        ({"label": ""}, TypeError, "label is ''"),
        ({"resume": True}, ValueError, "resume is True but out"),
        ({"resume": "/nowhere/at/all"}, FileNotFoundError, "no such directory"),
    ],
)
def test_bad_arguments_name_themselves(options, error, says, tmp_path):
    with pytest.raises(error, match=says):
        run(**{"out": None} | options)


@pytest.mark.slow
def test_directories_that_are_taken_or_foreign(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="exists and is not empty. Give a new"):
        run(out=tmp_path / "full")
    with pytest.raises(CheckpointError, match="no run directory of dejax"):
        run(resume=tmp_path / "full")
    with pytest.raises(NotADirectoryError, match="is a file"):
        run(out=tmp_path / "full" / "thesis.tex")
    run(rounds=2, out=tmp_path / "run")
    with pytest.raises(FileExistsError, match="Go on with it by resume="):
        run(out=tmp_path / "run")
    with pytest.raises(ValueError, match="out is .* and resume is"):
        run(out=tmp_path / "other", resume=tmp_path / "run")
    with pytest.raises(CheckpointError, match="another experiment: its method differs"):
        run(lr=0.1, resume=tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"its seeds differs \(0 there, 1 here\)"):
        run(seed=1, resume=tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"its seeds differs \(0 there, \[0\] here\)"):
        run(seeds=[0], resume=tmp_path / "run")  # its arrays have a seeds axis
    before = {p: p.read_bytes() for p in (tmp_path / "run").glob("*.*")}
    with pytest.raises(ValueError, match="rounds is 1, but .* has done 2; give rounds >= 2"):
        run(rounds=1, resume=tmp_path / "run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").glob("*.*")} == before
    run(rounds=1, out=tmp_path / "dots", label="..")
    assert (tmp_path / "dots" / "checkpoints" / "%2E%2E").is_dir()
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json is damaged"):
        run(resume=tmp_path / "run")


def test_a_refused_run_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="no metric"):
        run(metrics=["nonsense"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_named_on_resume(tmp_path):
    run(rounds=4, out=tmp_path / "run", checkpoint_every=2)
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints" / "dsgd")
    data = max((p for p in (newest / "arrays").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    data.write_bytes(flipped)
    with pytest.raises(CheckpointError, match="go on from round_000000002"):
        run(resume=tmp_path / "run")
