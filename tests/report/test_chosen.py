"""Numbers of the test part where the validation part chose: which rows they are of, and when."""

import numpy as np
import pytest

import dejax as dj
from dejax.cli import sweep
from dejax.report import tables, targets
from dejax.report.history import History

SCORES = {0: [0.1, 0.6, 0.4], 1: [0.1, 0.2, 0.3, 0.5]}  # by seed; the first ended early
TEST = {0: [0.0, 0.5, 0.7], 1: [0.0, 0.1, 0.2, 0.4]}


def reported():
    each = lambda s: [
        {"run": "a", "seed": s, "round": t, "accuracy/validation": v, "accuracy/local": x, "bytes": 10 * t}
        for t, (v, x) in enumerate(zip(SCORES[s], TEST[s], strict=True))
    ]
    return History(each(0) + each(1), {"a": {"status": "done"}})


def test_a_table_holds_the_last_number_of_each_seed_and_that_at_its_best_validation():
    h = reported()
    assert h.last("accuracy/local") == pytest.approx((0.7 + 0.4) / 2)
    assert targets.at_best(h, "accuracy/local").tolist() == [0.5, 0.4]
    row = h.table().rows[0]
    assert row["accuracy/local"] == pytest.approx((0.55, 0.15)) and row["chosen accuracy/local"] == pytest.approx(
        (0.45, 0.05)
    )
    assert ("chosen accuracy/local", "at best validation") in h.table().columns
    assert "0.450 ± 0.050" in str(h.table())
    x, values = h.series("accuracy/local", by="bytes")
    assert x.tolist() == [0, 10, 20, 30] and np.isnan(values[0, 3])
    with pytest.raises(ValueError, match="nothing"):
        targets.at_best(h, "nothing")


def test_at_equal_bytes_each_seed_is_read_over_its_own():
    h = reported()
    assert tables.at_bytes(h, "accuracy/local", "a", 15.0) == pytest.approx(((0.6 + 0.15) / 2, (0.6 - 0.15) / 2))
    assert tables.at_bytes(h, "accuracy/local", "a", 99.0) == pytest.approx((0.55, 0.15))


def test_a_seed_that_diverged_has_no_last_number():
    h = reported()
    h.records.append({"run": "a", "seed": 0, "round": 3, "bytes": 30})
    assert np.isnan(h.last("accuracy/local"))


def two(own, extra):
    records = [
        {"run": run, "seed": 0, "round": t, "accuracy/validation": v, "accuracy/local": x} | ({extra: y} if extra else {})
        for run, v, x, y in (("a", 0.9, 0.2, 0.7), ("b", 0.8, 0.6, 0.5)) for t in (0, 1)
    ]  # fmt: skip
    return History(records, {run: {"status": "done", "validation": own} for run in "ab"})


@pytest.mark.parametrize(
    ("own", "extra", "number", "value", "note"),
    [
        ("own", "accuracy/own_test", "accuracy/own_test", 0.7, None),
        (
            "own",
            None,
            "accuracy/local",
            0.2,
            "validation rows are each node's own, accuracy/local is of test rows common to all",
        ),
        ("common", "accuracy/own_test", "accuracy/local", 0.2, None),
    ],
)
def test_the_test_number_is_of_the_rows_that_the_validation_part_chose_by(own, extra, number, value, note):
    h = two(own, extra)
    assert targets.on_test(h) == number and sweep._winner(h)["test"] == {number: value}
    assert h.table().rows[0][f"chosen {number}"] == value
    assert any(line.startswith(note or "validation rows") for line in h.table().notes) == (note is not None)


def test_a_mean_model_alone_is_a_test_number_too():
    h = two("common", "accuracy/mean_model")
    for r in h.records:
        del r["accuracy/local"]
    assert targets.on_test(h) == "accuracy/mean_model"


def test_runs_that_cannot_be_chosen_are_named():
    h = two("common", None)
    h.records += [{"run": "c", "seed": 0, "round": 1, "accuracy/local": 0.9}]
    h.facts["c"] = {"status": "done"}
    assert "without accuracy/validation, so that it cannot be chosen: c" in h.table().notes


@pytest.mark.slow
def test_a_run_says_whose_rows_validation_is():
    data = dj.data.digits(flat=True)
    task, ring = dj.tasks.logistic(64, 10), dj.Network(dj.topology.ring(4))
    own = data.partition(dj.data.iid(), nodes=4, seed=0).split(validation=0.1)
    common = data.split(validation=0.1).partition(dj.data.iid(), nodes=4, seed=0)
    for given, want in ((own, "own"), (common, "common")):
        h = dj.simulate(dj.methods.dsgd(lr=0.1), dj.Problem(task, given, batch_size=8), ring, 1, progress=False)
        assert h.facts["dsgd"]["validation"] == want
