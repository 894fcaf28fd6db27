"""Runs of a history that are kept: by name, or the best of what a sweep went over."""

import pytest

from dejax import report
from dejax.report.history import History


def sweep():
    """Two methods, two rates, two alphas; validation and test disagree on the best rate of A at alpha 1."""
    records, facts = [], {}
    scores = {
        ("A", 0.1, 1): (0.5, 0.9),
        ("A", 0.3, 1): (0.6, 0.4),
        ("A", 0.1, 2): (0.7, 0.2),
        ("A", 0.3, 2): (0.1, 0.3),
    }
    scores |= {("B", lr, alpha): (lr, lr) for lr in (0.1, 0.3) for alpha in (1, 2)}
    for (name, lr, alpha), (validation, local) in scores.items():
        run = f"{name} lr={lr}, alpha={alpha}"
        facts[run] = {"status": "done", "swept": {"run": name, "over": {"lr": str(lr), "alpha": str(alpha)}}}
        for seed in (0, 1):
            numbers = {"accuracy/validation": validation, "accuracy/local": local, "method.*.lr": lr}
            records.append({"run": run, "seed": seed, "round": 1} | numbers)
    return History(records, facts)


def test_a_rate_is_chosen_for_each_method_by_validation():
    chosen = report.choose(sweep(), ["lr"])
    assert chosen.runs == ["A alpha=1", "A alpha=2", "B alpha=1", "B alpha=2"]
    assert [chosen.facts[run]["chosen"] for run in chosen.runs] == [
        {"lr": "0.3"},
        {"lr": "0.1"},
        {"lr": "0.3"},
        {"lr": "0.3"},
    ]
    assert [chosen.last("accuracy/local", run) for run in chosen.runs] == [0.4, 0.2, 0.3, 0.3]
    assert len(chosen.records) == 8 and list(chosen.facts) == chosen.runs
    assert "chosen by accuracy/validation: A alpha=1: lr=0.3; A alpha=2: lr=0.1" in str(report.table(chosen))
    assert report.choose(sweep(), ["lr", "alpha"]).runs == ["A", "B"]
    by_test = report.choose(sweep(), ["lr"], by="accuracy/local")
    assert by_test.facts["A alpha=1"]["chosen"] == {"lr": "0.1"}


def test_a_rate_that_diverged_is_not_chosen():
    history = sweep()
    history.facts["A lr=0.3, alpha=1"]["status"] = "diverged in round 1"
    assert report.choose(history, ["lr"]).facts["A alpha=1"]["chosen"] == {"lr": "0.1"}


def test_a_method_of_which_every_rate_diverged_stays():
    history = sweep()
    for run in ("B lr=0.1, alpha=2", "B lr=0.3, alpha=2"):
        history.facts[run]["status"] = "diverged in round 7 (node 0)"
    history.records += [r | {"round": 2} for r in history.records if r["run"] == "B lr=0.3, alpha=2"]
    chosen = report.choose(history, ["lr"])
    assert chosen.runs == ["A alpha=1", "A alpha=2", "B alpha=1", "B alpha=2"]
    text = str(report.table(chosen))
    assert "B alpha=2 (diverged)" in text and "B alpha=2: diverged in round 7 (node 0)" in text
    assert "B alpha=2: none of lr=0.1; lr=0.3 ended with a finite accuracy/validation" in text
    assert "lr=0.3 went farthest, and is shown" in text and "B alpha=1: lr=0.3" in text
    legend = [text.get_text() for text in chosen.figure().legends[0].get_texts()]
    assert any(label.startswith("B alpha=2") and label.endswith("diverged") for label in legend)


def test_a_method_without_the_number_that_ranks_stays_unranked():
    history = sweep()
    history.records = [
        {name: x for name, x in r.items() if r["run"][0] == "A" or name != "accuracy/validation"}
        for r in history.records
    ]
    chosen = report.choose(history, ["lr"])
    assert chosen.runs == ["A alpha=1", "A alpha=2", "B alpha=1", "B alpha=2"]
    assert chosen.facts["A alpha=1"]["chosen"] == {"lr": "0.3"} and "unranked" not in chosen.facts["A alpha=1"]
    text = str(report.table(chosen))
    assert "B alpha=1: none of lr=0.1; lr=0.3 ended with a finite accuracy/validation, so that none was chosen" in text
    with pytest.raises(ValueError, match="accuracy/valid"):
        report.choose(history, ["lr"], by="accuracy/valid")


def test_the_note_names_the_number_that_chose():
    assert "chosen by accuracy/local: A alpha=1: lr=0.1" in str(
        report.table(report.choose(sweep(), ["lr"], by="accuracy/local"))
    )
    with pytest.raises(ValueError, match="by is None, but nothing was measured that ranks runs"):
        report.choose(History([{"run": "a", "seed": 0, "round": 1, "wall": 1.0}]), ["lr"])


def test_no_run_is_best_where_validation_rows_differ():
    history = sweep()
    assert "on rows set aside for validation: best is A lr=0.1, alpha=2;" in str(report.table(history))
    for run in history.runs:
        history.facts[run]["data"] = "letters, " + run[-1]
    text = str(report.table(history))
    assert "best is" not in text and "set aside for validation: they differ between runs, so that none is best" in text


def test_runs_are_kept_by_name_or_by_what_was_varied():
    history = sweep()
    assert report.only(history, ["B"]).runs == [run for run in history.runs if run.startswith("B")]
    assert report.only(history, ["lr=0.3"]).runs == [run for run in history.runs if "lr=0.3" in run]
    assert report.only(history, ["A lr=0.1, alpha=1"]).runs == ["A lr=0.1, alpha=1"]


def test_what_is_not_there_cannot_be_chosen():
    with pytest.raises(ValueError, match="choose is 'beta', which no run was swept over; give one of alpha, lr"):
        report.choose(sweep(), ["beta"])
    plain = History([{"run": "a", "seed": 0, "round": 1, "loss": 1.0}], {"a": {}})
    with pytest.raises(ValueError, match="give the directory of a sweep"):
        report.choose(plain, ["lr"])
    with pytest.raises(ValueError, match="only is 'C'; give labels of A, B, or values: lr=0.1, alpha=1, "):
        report.only(sweep(), ["C"])


def test_a_map_of_several_methods_is_refused():
    from dejax.report import paper

    history = sweep()
    for record in history.records:
        record["alpha"] = float(record["run"][-1])
    with pytest.raises(ValueError, match="every cell holds A and B; draw one of them: --only A"):
        paper.heat_map(history, ("lr", "alpha"))
    assert paper.heat_map(report.only(history, ["B"]), ("lr", "alpha")) is not None
