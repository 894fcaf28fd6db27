"""`dejax report` on run directories, and what the command does with mistakes."""

import json

import pytest

from dejax import cli, report
from dejax.report.history import History


def directory(tmp_path, name, label, final):
    records = [
        {
            "run": label,
            "seed": 0,
            "round": t,
            "loss": 2.0 - t / 10,
            "accuracy/local": final * t / 10,
            "bytes": 100 * t,
            "wall": 0.1 * t,
        }
        for t in (0, 5, 10)
    ]
    report.save(History(records), tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.slow
def test_runs_stand_side_by_side(tmp_path, capsys):
    a, b = directory(tmp_path, "a", "ring", 0.5), directory(tmp_path, "b", "complete", 0.7)
    assert cli.main(["report", a, b]) == 0
    out = capsys.readouterr().out
    assert "ring" in out
    assert "complete" in out
    assert cli.main(["report", a, b, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in got["runs"]] == ["ring", "complete"]


@pytest.mark.slow
def test_out_is_written_once(tmp_path, capsys):
    a, b = directory(tmp_path, "a", "ring", 0.5), directory(tmp_path, "b", "ring", 0.7)
    out = tmp_path / "both"
    assert cli.main(["report", a, b, "--out", str(out)]) == 0
    assert (out / "report.html").is_file()
    assert {json.loads(line)["run"] for line in (out / "metrics.jsonl").read_text().splitlines()} == {
        "a/ring",
        "b/ring",
    }
    capsys.readouterr()
    assert cli.main(["report", a, "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_directory_that_is_no_run_is_a_user_error(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "no metrics.jsonl" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["show", "nowhere.yaml"], "no config file 'nowhere.yaml'"),
        (["run", "nowhere.yaml"], "no config file"),
        (["resume", "nowhere"], "no run directory 'nowhere'"),
        (["sweep", "nowhere.yaml"], "nothing to sweep over"),
        (["sweep", "nowhere.yaml", "--over", "lr"], "not of the form a.b.c=value,value"),
        (["sweep", "nowhere.yaml", "--over", "lr=1,1"], "gives a value twice"),
        (["sweep", "nowhere.yaml", "--seeds", "0"], "--seeds is 0"),
        (
            ["sweep", "nowhere.yaml", "--over", "seed=0,5"],
            "seed: a sweep has one for all of its runs; for seeds 0 .. K-1 give --seeds K",
        ),
        (["sweep", "nowhere.yaml", "--over", "eval.every=1,2"], "eval.every: a sweep has one for all of its runs"),
        (["sweep", "nowhere.yaml", "--over", "lr=1", "--over", "lr=2"], "gives this field twice"),
        (["plan", "nowhere.yaml", "--memory", "much"], "memory is 'much'"),
        (["topology", "rnig", "--n", "8"], "Did you mean ring"),
        (["topology", "ring"], "--n 16"),
    ],
)
def test_user_errors_are_one_line_and_code_2(argv, words, capsys):
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_ctrl_c_is_130(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dejax.cli.look.load", stop)
    assert cli.main(["show", "x.yaml"]) == 130
