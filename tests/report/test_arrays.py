"""Arrays of metrics: kept beside the records, in files of their own."""

import jax.numpy as jnp
import numpy as np
import pytest

from dejax import report
from dejax.report import arrays
from dejax.report.arrays import Arrays
from dejax.report.history import History


def history(label="a", rounds=(0, 5), seeds=(0, 7)):
    """x holds the round plus the seed at three nodes; seed 7 lacks it in the last round."""
    records = [{"run": label, "seed": s, "round": t, "loss": 1.0} for t in rounds for s in seeds]
    h = History(records)
    for t in rounds:
        for s in seeds:
            if (t, s) != (rounds[-1], seeds[-1]):
                h.held.put(label, s, t, {"x": np.full(3, t + s, np.float32), "table": np.eye(2) * t})
    return h


def test_a_series_has_all_seeds_and_rounds():
    rounds, values = history().arrays("x")
    np.testing.assert_array_equal(rounds, [0, 5])
    np.testing.assert_array_equal(values[..., 0], [[0, 5], [7, np.nan]])
    assert values.shape == (2, 2, 3) and history().arrays("table")[1].shape == (2, 2, 2, 2)
    with pytest.raises(ValueError, match="run 'a' has no such array; there are: x, table"):
        history().arrays("y")
    with pytest.raises(ValueError, match=r"metrics=\['per_node'\]"):
        History([{"run": "a", "seed": 0, "round": 0}]).arrays("y")
    changing = history()
    changing.held.put("a", 0, 9, {"x": np.zeros(4)})
    with pytest.raises(ValueError, match="shape changes"):
        changing.arrays("x")


@pytest.mark.parametrize("label", ["a", "lr=0.1, graph=ring/../x", "..", "long " * 60])
def test_what_is_saved_is_loaded(tmp_path, label):
    report.save(history(label), tmp_path / "run")
    assert all(tmp_path in p.resolve().parents for p in tmp_path.rglob("*.npz"))
    loaded = report.load(tmp_path / "run")
    for name in ("x", "table"):
        for one, other in zip(loaded.arrays(name), history(label).arrays(name), strict=True):
            np.testing.assert_array_equal(one, other)
    report.save(loaded, tmp_path / "copy")
    np.testing.assert_array_equal(report.load(tmp_path / "copy").arrays("x")[1], loaded.arrays("x")[1])


def test_runs_of_one_name_get_the_names_of_their_directories(tmp_path):
    report.save(history(), tmp_path / "one")
    report.save(history(rounds=(0, 9)), tmp_path / "two")
    both = report.load(tmp_path / "one", tmp_path / "two")
    assert both.arrays("x", "one/a")[0].tolist() == [0, 5] and both.arrays("x", "two/a")[0].tolist() == [0, 9]
    joined = history() + history("b")
    np.testing.assert_array_equal(joined.arrays("x", "b")[1], history("b").arrays("x")[1])


def test_arrays_of_rounds_without_a_record_are_left_out(tmp_path):
    """A kill between the file of arrays and the line of records."""
    report.save(history(), tmp_path / "run")
    arrays.write(tmp_path / "run", "a", 6, {0: {"x": np.zeros(3)}})
    assert report.load(tmp_path / "run").arrays("x")[0].tolist() == [0, 5]
    arrays.cut(tmp_path / "run", ["a"], 0)
    assert report.load(tmp_path / "run").arrays("x")[0].tolist() == [0]


def test_a_damaged_file_is_named(tmp_path):
    report.save(history(), tmp_path / "run")
    (_, path), *_ = arrays.existing(tmp_path / "run", "a")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"round_000000000.npz, which is no file of arrays"):
        report.load(tmp_path / "run").arrays("x")


def test_numbers_alone_are_arrays():
    assert arrays.checked(jnp.ones(2, jnp.bfloat16)).dtype == np.float32
    assert arrays.checked(np.array([True])).dtype == bool and arrays.checked([1, 2]).tolist() == [1, 2]
    assert arrays.checked(np.array(["a"])) is None and arrays.checked(np.array([None])) is None
    assert len(Arrays()) == 0
