"""Files of a run that were lost, cut, filled up, or are in use: nothing goes on without a word, nothing whole is overwritten."""

import csv
import errno
import json
import math
import os
import socket
from pathlib import Path

import jax.numpy as jnp
import pytest
import toy

from dejax import report
from dejax.errors import CheckpointError
from dejax.report import writing
from dejax.report.history import History
from dejax.runs import checkpoint
from dejax.runs.directory import RunDir
from dejax.runs.lock import Lock
from dejax.runs.simulate import simulate


def run(rounds=4, **options):
    return simulate(*toy.experiment(), rounds, every=1, progress=False, **options)


def content(directory):
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.is_file()}


@pytest.fixture
def four(tmp_path):
    run(out=tmp_path / "run")
    return tmp_path / "run"


def hole(path, lines=()):
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for i, line in enumerate(kept) if i not in lines))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "emptied", "holed", "damaged"])
def test_records_that_metrics_jsonl_lost_come_back_from_the_csv(four, how):
    whole, file = content(four), four / "metrics.jsonl"
    if how == "deleted":
        file.unlink()
    elif how == "holed":
        hole(file, {1, 3})
    else:
        file.write_text("" if how == "emptied" else "{broken\n" + file.read_text())
    history = run(5, resume=four)
    assert [r["round"] for r in history.records] == list(range(6))
    assert [json.loads(line) for line in file.read_text().splitlines()] == history.records
    assert (four / "metrics.csv").read_bytes().startswith(whole["metrics.csv"])
    assert history.records[:5] == [json.loads(line) for line in whole["metrics.jsonl"].decode().splitlines()]


def test_records_that_both_files_lost_are_missed_and_nothing_is_changed(four):
    hole(four / "metrics.jsonl", {1})
    hole(four / "metrics.csv", {2, 3})
    before = content(four)
    with pytest.raises(
        CheckpointError, match=r"metrics.jsonl holds 4 of the 5 records of dsgd up to round 4, and metrics.csv 3"
    ):
        run(6, resume=four)
    assert content(four) == before


def test_a_reader_is_told_of_records_that_are_gone(four):
    hole(four / "metrics.jsonl", {1})
    with pytest.warns(UserWarning, match=r"holds 4 of the 5 records of 'dsgd'"):
        assert len(report.load(four)) == 4
    with pytest.raises(CheckpointError, match="holds 4 of the 5 records of 'dsgd'; restore it"):
        RunDir(four, resume=True).check_records()


@pytest.mark.slow
def test_what_is_not_finite_survives_saving_loading_and_a_resume(four, tmp_path):
    values = [math.nan, math.inf, -math.inf, 0.1]
    own = [{"run": "a", "seed": 0, "round": t, "x": v, "count": t} for t, v in enumerate(values)]
    report.save(History(own), tmp_path / "one")
    report.save(report.load(tmp_path / "one"), tmp_path / "two")
    back = report.load(tmp_path / "two").records
    assert [repr(r["x"]) for r in back] == ["nan", "inf", "-inf", "0.1"] and [r["count"] for r in back] == [0, 1, 2, 3]
    rows = list(csv.DictReader((tmp_path / "two" / "metrics.csv").read_text().splitlines()))
    assert [row["x"] for row in rows] == ["nan", "inf", "-inf", "0.1"]
    assert [json.loads(line)["x"] for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()][:3] == [
        None
    ] * 3

    out, odd = tmp_path / "odd", lambda view: {"odd": values[view.index % 3]}
    run(2, metrics=odd, out=out)
    before = (out / "metrics.csv").read_text()
    run(4, metrics=odd, resume=out)
    assert (out / "metrics.csv").read_text().startswith(before) and "inf" in before


# ---- a full disk
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_what_the_system_refuses_to_write_is_named(code, tmp_path, monkeypatch):
    def fsync(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writing.os, "fsync", fsync)
    for attempt in (writing.write, writing.append):
        with pytest.raises(
            OSError, match=rf"{tmp_path}/x.csv cannot be written: {os.strerror(code)}; (make room|mend that)"
        ):
            attempt(tmp_path / "x.csv", "1")
    with pytest.raises(OSError, match=r"run.json cannot be written: .*resume the run"):
        run(2, out=tmp_path / "run")


def test_a_checkpoint_that_finds_the_disk_full_says_so_in_one_line(tmp_path, capfd):
    resource = pytest.importorskip("resource")
    state = {"x": jnp.arange(100_000.0) ** 0.5}
    old = checkpoint.save(tmp_path, 3, state, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=rf"{tmp_path}/.partial-000000005.* cannot be written: File too large; make room"
        ):
            checkpoint.save(tmp_path, 5, state, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Traceback" not in capfd.readouterr().err
    assert checkpoint.verify(old)["round"] == 3 and [p.name for p in tmp_path.iterdir()] == [old.name]


# ---- two processes
@pytest.mark.slow
def test_a_directory_in_use_names_its_holder(four):
    who = rf"in use by process {os.getpid()} on {socket.gethostname()}; wait until"
    seen = []

    def second(record):
        with pytest.raises(BlockingIOError, match=who):
            run(9, resume=four)
        seen.append(record["round"])

    run(6, resume=four, callbacks=second)
    assert seen == [5, 6] and not (four / ".lock").exists()
    run(7, resume=four)  # free again


def test_the_lock_goes_with_a_run_that_fails_and_with_a_process_that_dies(tmp_path):
    def fail(record):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        run(2, out=tmp_path / "run", callbacks=fail)
    assert not (tmp_path / "run" / ".lock").exists()
    if (child := os.fork()) == 0:
        Lock(tmp_path / "run").take()
        os._exit(0)  # as a kill: nothing is cleaned up
    os.waitpid(child, 0)
    assert (tmp_path / "run" / ".lock").read_text() == f"process {child} on {socket.gethostname()}\n"
    assert run(2, resume=tmp_path / "run").facts["dsgd"]["status"] == "done"


def test_of_two_that_make_one_directory_the_slower_is_refused(tmp_path):
    slow = RunDir(tmp_path / "run")
    run(1, out=tmp_path / "run")
    before = content(tmp_path / "run")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        slow.make()
    assert content(tmp_path / "run") == before


# ---- a damaged newest checkpoint
def damage(directory):
    newest = checkpoint.latest(directory / "checkpoints" / "dsgd")
    data = max((p for p in (newest / "arrays").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    data.write_bytes(flipped)
    return newest


@pytest.mark.slow
def test_a_fallback_goes_on_from_the_checkpoint_before(tmp_path):
    out = tmp_path / "run"
    run(4, out=out, checkpoint_every=2)
    newest = damage(out)
    with pytest.raises(CheckpointError, match="go on from round_000000002, or resume with fallback=True"):
        run(4, resume=out)
    with pytest.warns(UserWarning, match="set aside as damaged_round_000000004"):
        history = run(6, resume=out, fallback=True)
    assert toy.plain(history.records) == toy.plain(run(6).records)
    names = sorted(p.name for p in newest.parent.iterdir())
    assert "damaged_round_000000004" in names and "round_000000006" in names
    run(7, resume=out, fallback=True)  # nothing is damaged: as without it


def test_a_fallback_needs_something_to_fall_back_to(four):
    damage(four)
    with pytest.raises(CheckpointError, match="Restore .* from a copy"):
        run(6, resume=four, fallback=True)
    with pytest.raises(ValueError, match="fallback is True, but nothing is resumed"):
        run(1, fallback=True)


# ---- names of files
@pytest.mark.parametrize("value", [5, b"x", True, ["a"], ""])
@pytest.mark.parametrize("name", ["out", "resume"])
def test_what_is_no_directory_is_refused_by_name(name, value):
    if name == "resume" and value is True:
        pytest.skip("resume=True means the directory of out=")
    with pytest.raises((TypeError, ValueError), match=rf"^{name} is .*give the name of a directory"):
        run(1, **{name: value})
    with pytest.raises((TypeError, ValueError), match="^directory is .*give the name of a directory"):
        History([]).save(value)
    with pytest.raises((TypeError, ValueError), match="^directory is .*give the name of a directory"):
        report.load(value)
    assert not Path("5").exists()
