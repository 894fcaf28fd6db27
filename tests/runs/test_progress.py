"""What a run says: each line of a log at its time, the counter of a bar, means over seeds, and letters of any encoding."""

import io
import math
import re
import sys
import threading

import numpy as np
import pytest
import toy
from rich.console import Console

from dejax import cli
from dejax.runs import progress
from dejax.runs.printing import Printed, printable
from dejax.runs.progress import Progress, said
from dejax.runs.simulate import compare, simulate
from dejax.runs.single import SingleRun
from dejax.runs.sweep import sweep


@pytest.fixture(autouse=True)
def no_beat(monkeypatch):
    """On a machine that is busy, a log may get lines between those that tests count."""
    monkeypatch.setattr(progress, "BEAT", math.inf)


def test_a_log_says_compiling_each_evaluation_and_the_end(capsys):
    simulate(*toy.experiment(), 3, label="ring")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ring: compiling, 3 rounds to go"
    assert [line.split(";")[0].split(",")[0] for line in lines[1:5]] == [f"ring: round {t} of 3" for t in range(4)]
    assert "loss" in lines[2] and "consensus" in lines[4]
    assert lines[5].startswith("ring: 3 rounds in ") and len(lines) == 6
    simulate(*toy.experiment(), 3, progress=False)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_resume_and_a_sweep_speak_too(capsys, tmp_path):
    simulate(*toy.experiment(), 2, progress=False, out=tmp_path / "run")
    simulate(*toy.experiment(), 4, every=2, resume=tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "dsgd: goes on from round 2 of 4, compiling" and lines[1].startswith("dsgd: round 4 of 4; loss")
    _, problem, network = toy.experiment()
    sweep(lambda lr: (toy.experiment(lr)[0], problem, network), {"lr": [0.1, 0.2]}, 4, seeds=[0, 1], every=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0].split(",")[0] for line in lines[:2]] == [
        "lr=0.1 and 1 more: compiling",
        "lr=0.1 and 1 more: round 0 of 4",
    ]
    assert lines[-1].endswith("(mean ± std of 4 runs)") and len(lines) == 5


def test_a_log_is_never_silent_for_longer_than_the_beat(capsys, monkeypatch):
    """The clock is handed in: no line while one is fresh, one as soon as the last is 30 s old, whatever the run does."""
    monkeypatch.setattr(progress, "BEAT", 30.0)
    bar = Progress()
    bar.begin("ring", 600)
    spoke = bar._spoke
    bar.beat(spoke + progress.BEAT - 0.1)
    bar.beat(spoke + progress.BEAT)
    later = lambda: bar.beat(bar._spoke + progress.BEAT + 5)
    bar.measures(0)
    later()
    bar.runs(compiled=False)
    later()
    bar.runs(compiled=True)
    later()
    bar.update(40, {})
    later()
    bar.measures(60)
    later()
    bar.end(600, 1.0, 0.1, {})
    bar.beat(bar._spoke + 1000)
    first, compiling, *doing, running, measuring, end = capsys.readouterr().out.splitlines()
    assert "still compiling, 30 s so far" in compiling and "ring: round 40 of 600, running" in running
    assert [text.rsplit(",", 1)[0] for text in doing] == [
        "ring: measuring round 0", "ring: still compiling", "ring: round 0 of 600, running"
    ]  # fmt: skip
    assert measuring.startswith("ring: measuring round 60, ")
    assert first.startswith("ring: compiling") and end.startswith("ring: 600 rounds")


def test_a_log_says_that_a_run_compiles_measures_or_runs(monkeypatch):
    """What a beat would say while the rounds are compiled, while a metric looks, and while rounds go on."""
    seen, bars = [], []
    begin = Progress.begin
    monkeypatch.setattr(Progress, "begin", lambda self, *args: bars.append(self) or begin(self, *args))
    compiled, advance = SingleRun.compiled, SingleRun.advance

    def looks(name, fn):
        def look(*args, **kw):
            seen.append((name, bars[-1]._doing))
            return fn(*args, **kw)

        return look

    monkeypatch.setattr(SingleRun, "advance", looks("advance", advance))
    monkeypatch.setattr("dejax.runs.memory_check.check_compiled", looks("compile", lambda run: compiled(run)))
    simulate(*toy.experiment(), 8, every=8, metrics=[looks("measure", lambda view: {"x": 1.0})])
    assert seen[:3] == [("compile", "compiling"), ("measure", "measuring round 0"), ("advance", "running")]
    assert seen[-1] == ("measure", "measuring round 8") and {what for name, what in seen if name == "advance"} == {
        "running"
    }
    seen.clear()
    simulate(*toy.experiment(), 8, every=8, check_memory=False)
    assert seen[0] == ("advance", "compiling")


def test_the_beat_comes_from_a_thread_that_ends_with_the_run(monkeypatch):
    """Compiling holds the main thread: the line must come from another, which is gone afterwards."""
    heard = threading.Event()
    monkeypatch.setattr(Progress, "beat", lambda self, now: heard.set())
    before = threading.active_count()
    with Progress() as bar:
        watch = [t for t in threading.enumerate() if t.name.startswith("Thread") and t.daemon][-1]
        assert threading.active_count() == before + 1 and heard.wait(60)
        assert bar._over is not None
    watch.join(60)
    assert not watch.is_alive()


@pytest.mark.parametrize("label", ["ring", "a label that is much longer than any terminal wants it to be " * 2])
def test_the_bar_keeps_its_counter_at_80_columns(label, monkeypatch):
    out = Console(file=io.StringIO(), width=80, force_terminal=True, legacy_windows=False)
    monkeypatch.setattr(progress, "console", lambda: out)
    numbers = {"loss": (1.234, 0.5), "accuracy/local": (0.8, 0.1), "objective": (12.0, 1.0), "consensus": (1e-7, 1e-9)}
    with Progress() as bar:
        bar.begin(label, 100_000)
        bar.update(4, numbers)
        bar.update(12_345, numbers)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.file.getvalue()).replace("\r", "\n").rstrip().splitlines()[-1]
    assert len(last) <= 80
    assert " 12345/100000" in last and "rounds/s" in last and label[:10] in last


@pytest.mark.slow
def test_numbers_are_means_over_seeds(capsys):
    history = simulate(*toy.experiment(), 4, every=4, seeds=[0, 1, 2], label="ring")
    losses = [r["loss"] for r in history.records if r["round"] == 4]
    text = f"loss {np.mean(losses):.3f} ± {np.std(losses):.3f}"
    lines = capsys.readouterr().out.splitlines()
    assert text in lines[-2] and text in lines[-1] and lines[-1].endswith("(mean ± std of 3 seeds)")
    assert str(history.table()).count(f"{history.last('accuracy/local'):.3f} ± ") == 1
    assert said({"loss": 0.5}) == "loss 0.500" and said({"loss": float("nan")}) == ""


def test_each_run_of_a_comparison_compiles_just_before_it_runs(capsys):
    compare({"a": toy.experiment(0.3), "b": toy.experiment(0.2)}, 2, seeds=[0, 1], every=2)
    heads = [line.split(",")[0].split(" in ")[0].split(";")[0] for line in capsys.readouterr().out.splitlines()]
    one = lambda x: [f"{x}: compiling", f"{x}: round 0 of 2", f"{x}: round 2 of 2", f"{x}: 2 rounds"]
    assert heads == one("a") + one("b")


# ---- letters
@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("0.5 ± 0.1", "ascii", "0.5 +- 0.1"),
        ("Zürich ±", "latin-1", "Zürich ±"),
        ("Zürich", "ascii", "Z\\xfcrich"),
        ("網 ü", "latin-1", "\\u7db2 ü"),
        ("a\udcff", "utf-8", "a\\udcff"),
        ("±", None, "±"),
        ("ü±", "no such encoding", "\\xfc+-"),
    ],
)
def test_any_text_can_be_printed(text, encoding, shown):
    assert printable(text, encoding) == shown
    if encoding in ("ascii", "latin-1", "utf-8"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        Printed(stream).write(text)
        stream.flush()
        assert raw.getvalue().decode(encoding) == shown


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_run_goes_on_where_nobody_reads_it(monkeypatch):
    for stream in (Gone(), None, closed := io.StringIO()):
        closed.close()
        monkeypatch.setattr(sys, "stdout", stream)
        assert simulate(*toy.experiment(), 2, label="ring").facts["ring"]["status"] == "done"


CONFIG = """\
rounds: 2
data: {source: digits, nodes: 4, partition: iid}
task: {mlp: {hidden: [4]}}
methods:
  Zürich: {method: {local_only: {lr: 0.1}}}
"""


@pytest.mark.slow
def test_no_command_fails_on_an_ascii_terminal(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    out, shown = tmp_path / "run", {}
    for command, *rest in (
        ["show", tmp_path / "c.yaml"], ["run", tmp_path / "c.yaml", "--out", out, "--set", "seed=[0,1]"],
        ["resume", out, "--rounds", "4"], ["report", out], ["report", out, "--json"], ["list"], ["plan", tmp_path / "c.yaml"],
    ):  # fmt: skip
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main([command, *map(str, rest)]) == 0
        stream.flush()
        shown[command, len(rest)] = stream.buffer.getvalue().decode("ascii")
    assert all(
        "Z\\xfcrich" in text or "Z\\u00fcrich" in text for (command, _), text in shown.items() if command != "list"
    )
    assert " +- " in shown["run", 5] and " +- " in shown["report", 1]


# ---- notebooks
def test_a_notebook_gets_one_output_that_keeps_a_line_for_each_run(monkeypatch, capsys):
    """What a cell was shown, in order: one display, replaced while runs go on; nothing is printed."""
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, bundle, raw):
            assert raw
            shown.append(bundle)

    monkeypatch.setattr(display, "display", lambda bundle, raw, display_id: shown.append(bundle) or Handle())
    monkeypatch.setattr(progress, "console", lambda: Console(file=io.StringIO(), force_jupyter=True))
    with Progress() as bar:
        for label in ("ring", "<b>star"):
            bar.begin(label, 100)
            bar.update(10, {"loss": 1.0})
            bar.measured(100, {"loss": 0.5})
            bar.end(100, 2.0, 1.0, {"loss": 0.5})
    lines = shown[-1]["text/plain"].splitlines()
    assert len(lines) == 2 and lines[0] == "ring: 100/100  0:02 in all  loss 0.500"
    assert "&lt;b&gt;star" in shown[-1]["text/html"] and "<b>star" not in shown[-1]["text/html"]
    assert "ring: 0/100  compiling" in [bundle["text/plain"] for bundle in shown]
    assert capsys.readouterr().out == ""
