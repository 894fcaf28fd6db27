"""A directory that cannot be written, checkpoints that are gone, and what a run directory says of its data."""

import shutil

import pytest
import toy

from dejax import report
from dejax.errors import CheckpointError
from dejax.runs.simulate import simulate


def test_checkpoints_that_are_gone_are_missed(tmp_path):
    out = tmp_path / "run"
    simulate(*toy.experiment(), 4, progress=False, out=out)
    assert report.load(out).facts["dsgd"]["saved"] == 4
    shutil.rmtree(out / "checkpoints")
    before = (out / "metrics.jsonl").read_text()
    with pytest.raises(CheckpointError, match="says that round 4 of 'dsgd' was saved there; restore it"):
        simulate(*toy.experiment(), 6, progress=False, resume=out)
    assert (out / "metrics.jsonl").read_text() == before


def test_a_run_stopped_before_its_first_checkpoint_says_that_it_starts_anew(tmp_path, capsys):
    def stop(record):
        if record["round"]:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        simulate(*toy.experiment(), 4, every=2, progress=False, out=tmp_path / "run", callbacks=stop)
    history = simulate(*toy.experiment(), 4, every=2, resume=tmp_path / "run")
    assert "dsgd: stopped before its first checkpoint, so it starts from round 0" in capsys.readouterr().out
    assert toy.plain(history.records) == toy.plain(simulate(*toy.experiment(), 4, every=2, progress=False).records)


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "run", "/proc/run"):
        with pytest.raises(OSError, match=r"out is '.*run', but nothing can be written in .*; give another directory"):
            simulate(*toy.experiment(), 4, progress=False, out=out)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_runs_on_different_data_are_told_apart(tmp_path):
    method, problem, network = toy.experiment()
    other = toy.problem(seed=1)
    simulate(method, problem, network, 2, progress=False, out=tmp_path / "a")
    simulate(method, problem, network, 3, progress=False, out=tmp_path / "b")
    assert not any("data" in note for note in report.table(report.load(tmp_path / "a", tmp_path / "b")).notes)
    simulate(method, other, network, 2, progress=False, out=tmp_path / "c")
    notes = report.table(report.load(tmp_path / "a", tmp_path / "b", tmp_path / "c")).notes
    assert any(note.startswith("different data") and "a/dsgd, b/dsgd on" in note for note in notes)
