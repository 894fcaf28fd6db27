"""Tables, figures, pages and files made from hand-written records."""

import csv
import json
import math

import numpy as np
import pytest

from dejax import report
from dejax.report import figures, files, tables
from dejax.report.history import History


def history(seeds=(0,), labels=("ring", "star <b>&$x_1$</b>", "alone")):
    records = []
    for k, label in enumerate(labels):
        for seed in seeds:
            for t in (0, 10, 20):
                acc = 0.1 + 0.03 * t * (k + 1) / 3 + 0.01 * seed
                records.append(
                    {
                        "run": label, "seed": seed, "round": t, "accuracy/local": acc, "accuracy/local_p10": acc / 2,
                        "accuracy/mean_model": acc + 0.05, "consensus": 1.0 / (t + 1), "bytes": (0 if label == "alone" else 1000 * t * (k + 1)),
                        "wall": t / 10,
                    }
                    | ({"loss": 2.0 - t / 20} if t else {})
                )  # fmt: skip
    facts = {label: {"status": "done", "rounds": 20, "method": "<script>alert(1)</script>"} for label in labels}
    return History(records, facts)


def test_table_numbers():
    h = history()
    t = report.table(h)
    row = t.rows[1]
    assert row["run"].startswith("star") and row["rounds"] == 20 and row["bytes"] == 40000
    np.testing.assert_allclose(row["accuracy/local"], 0.1 + 0.6 * 2 / 3)
    # 20,000 bytes were sent by the other run in 20 rounds, by this one in 10: half of the way
    np.testing.assert_allclose(row["equal"], 0.1 + 0.3 * 2 / 3)
    assert t.rows[0]["equal"] == t.rows[0]["accuracy/local"]
    assert t.rows[2]["equal"] == t.rows[2]["accuracy/local"]
    text = str(t)
    assert "local accuracy" in text and "40 kB" in text and "at 20 kB" in text


def test_several_seeds_give_mean_and_deviation():
    t = report.table(history(seeds=(0, 1, 2)))
    mean, std = t.rows[0]["accuracy/local"]
    np.testing.assert_allclose((mean, std), (0.1 + 0.2 + 0.01, 0.01 * math.sqrt(2 / 3)))
    assert "0.310 ± 0.008" in str(t)


def test_a_run_that_did_not_end_is_marked_where_its_numbers_stand():
    h = history()
    h.facts["ring"]["status"] = "diverged in round 12 (node 3)"
    t = report.table(h)
    assert [row["run"] for row in t.rows] == h.runs and [row.get("status") for row in t.rows] == [
        "diverged",
        None,
        None,
    ]
    assert t.cells()[1][0] == "ring (diverged)" and "ring: diverged in round 12 (node 3)" in str(t)
    assert any("ring" in x.get_text() and "diverged" in x.get_text() for x in report.figure(h).legends[0].get_texts())


def test_equal_bytes_needs_two_runs_that_send():
    h = history(labels=("ring", "alone"))
    assert tables.equal_bytes(h) is None
    assert not any(key == "equal" for key, _ in report.table(h).columns)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (12345, "12.3 kB"), (6.83e9, "6.83 GB"), (999.9e6, "1000 MB")]
)
def test_sizes_in_words(count, text):
    assert tables.data_size(count) == text


@pytest.mark.slow
def test_series_join_and_errors():
    h = history(seeds=(0, 1))
    x, values = h.series("accuracy/local", "ring", by="bytes")
    assert x.tolist() == [0, 10000, 20000] and values.shape == (2, 3)
    assert np.isnan(h.series("loss", "ring")[1]).sum() == 0 and h.series("loss", "ring")[0].tolist() == [10, 20]
    with pytest.raises(ValueError, match="did you mean 'accuracy/local'"):
        h.series("acuracy/local", "ring")
    with pytest.raises(ValueError, match="has 3 runs"):
        h.series("loss")
    with pytest.raises(ValueError, match="run is 'tree'"):
        h.last("loss", "tree")
    with pytest.raises(ValueError, match="by is 'time'"):
        h.plot("loss", by="time")
    with pytest.raises(ValueError, match="label 'ring' stands in both histories"):
        h + h
    both = h + history(labels=("more",))
    assert both.runs == [*h.runs, "more"] and len(both) == len(h) + 3


@pytest.mark.slow
def test_columns():
    h = history()
    columns = h.to_numpy()
    assert columns["round"].dtype == np.int64 and len(columns["loss"]) == 9 and np.isnan(columns["loss"][0])
    pandas = pytest.importorskip("pandas")
    assert isinstance(h.to_pandas(), pandas.DataFrame) and len(h.to_pandas()) == 9


@pytest.mark.slow
def test_files_are_read_back(tmp_path):
    h = history()
    h.records[0]["consensus"] = math.nan
    report.save(h, tmp_path / "run", config="rounds: 20\n")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines][1:] == h.records[1:] and json.loads(lines[0])["consensus"] is None
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert float(rows[4]["accuracy/local"]) == h.records[4]["accuracy/local"] and rows[0]["loss"] == ""
    back = report.load(tmp_path / "run")
    assert back.records[1:] == h.records[1:]
    report.save(h, tmp_path / "other")
    both = report.load(tmp_path / "run", tmp_path / "other")
    assert both.runs[:1] == ["run/ring"] and len(both.runs) == 6
    assert (tmp_path / "run" / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_killed_runs_last_line_is_left_out_and_other_damage_is_named(tmp_path):
    text = files.jsonl(history().records)
    (tmp_path / "metrics.jsonl").write_text(text[:-15])
    assert len(report.load(tmp_path).records) == 8
    (tmp_path / "metrics.jsonl").write_text("{broken\n" + text)
    with pytest.raises(ValueError, match="metrics.jsonl, whose line 1 is no record"):
        report.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no run directory"):
        report.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="directories is empty"):
        report.load()


def test_figure_has_two_panels_and_every_run_in_its_legend():
    fig = report.figure(history(seeds=(0, 1)))
    assert len(fig.axes) == 2
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert len(labels) == 5 and any("ring" in label for label in labels) and "mean model" in labels
    assert len(figures.png(fig)) > 10_000
    alone = report.figure(history(labels=("alone",)))
    assert len(alone.axes) == 1
    only_loss = History([{"run": "a", "seed": 0, "round": t, "objective": 1.0 / (t + 1)} for t in range(3)])
    assert len(report.figure(only_loss).axes) == 1
    with pytest.raises(ValueError, match="nothing to draw"):
        report.figure(History([{"run": "a", "seed": 0, "round": 0, "mine": 1}]))


def test_a_curve_ends_at_the_nodes_that_it_is_of_and_all_nodes_are_a_point():
    """The last evaluation takes all nodes: a curve of a sample once fell or rose there, though nothing had happened."""
    h = history(labels=("ring", "star"))
    h.records[2] |= {"accuracy/local_sample": 0.45}  # ring, round 20: 0.3 of all nodes
    ax = h.plot("accuracy")
    curve, point = [line for line in ax.lines if line.get_color() == figures.COLORS[0]][:2]
    np.testing.assert_allclose(curve.get_ydata(), [0.1, 0.2, 0.45])
    assert point.get_marker() == "o" and list(point.get_xdata()) == [20]
    np.testing.assert_allclose(point.get_ydata(), [0.3])
    assert any("all nodes" in text.get_text() for text in ax.figure.legends[0].get_texts())
    import matplotlib.pyplot as plt

    plt.close("all")


def test_plot_draws_on_given_axes():
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    assert history().plot("accuracy", by="bytes", ax=ax) is ax
    assert len(ax.lines) >= 4
    plt.close(fig)
    assert history().plot("consensus").get_ylabel() == "consensus distance"
    plt.close("all")


def test_an_empty_history_is_still_a_history():
    h = History()
    assert "0 runs" in repr(h) and report.table(h).rows == []
    assert "<table>" in history()._repr_html_() and "&lt;b&gt;" in history()._repr_html_()
