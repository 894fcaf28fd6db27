"""Bands and tables say one thing of several seeds, and which; axes that the records lack are named; what a run was made of."""

import json
import math

import numpy as np
import pytest
import toy

from dejax import report
from dejax.report import figures
from dejax.report.history import History
from dejax.report.seeds import band_of, mean_over, student
from dejax.report.setup import described
from dejax.runs.simulate import compare, simulate
from dejax.runs.sweep import sweep

VALUES = {0: 1.0, 1: 2.0, 2: 6.0}


def history(names=("objective",), **more):
    records = [
        {"run": "ring", "seed": s, "round": t, **dict.fromkeys(names, v + t), **more}
        for s, v in VALUES.items()
        for t in (0, 10)
    ]
    return History(records)


def edges(ax):
    points = ax.collections[0].get_paths()[0].vertices
    at_ten = points[points[:, 0] == 10][:, 1]
    return at_ten.min(), at_ten.max()


STD = math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 3)
T2 = 4.303 * math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2) / math.sqrt(3)


@pytest.mark.parametrize(
    ("band", "low", "high", "says"),
    [
        ("std", 13 - STD, 13 + STD, "band: mean ± std, 3 seeds"),
        ("minmax", 11, 16, "band: min to max, 3 seeds"),
        ("ci95", 13 - T2, 13 + T2, "band: 95 % interval of the mean, 3 seeds"),
    ],
)
def test_the_band_is_what_the_legend_says(band, low, high, says):
    h = history()
    for ax in (h.plot("objective", band=band), h.figure(band=band).axes[0]):
        np.testing.assert_allclose(edges(ax), (low, high), rtol=1e-6)
    legends = [h.plot("objective", band=band).figure.legends[0], h.figure(band=band).legends[0]]
    assert all(any(says in text.get_text() for text in legend.get_texts()) for legend in legends)


def test_the_default_band_is_the_deviation_of_the_table():
    h = history()
    low, high = edges(h.plot("objective"))
    np.testing.assert_allclose((low + high) / 2, h.table().rows[0]["objective"][0])
    np.testing.assert_allclose((high - low) / 2, h.table().rows[0]["objective"][1])
    assert "± is the standard deviation over seeds" in str(h.table())
    family = history(names=("accuracy/local", "accuracy/mean_model")).plot()
    assert any("band: mean ± std, 3 seeds" in text.get_text() for text in family.figure.legends[0].get_texts())


def test_no_band_and_none_other():
    ax = history().plot("objective", band=None)
    assert not ax.collections and any("mean over 3 seeds" in t.get_text() for t in ax.figure.legends[0].get_texts())
    one = History([{"run": "a", "seed": 0, "round": t, "objective": 1.0} for t in range(2)])
    assert not any("seeds" in t.get_text() for t in one.plot("objective").figure.legends[0].get_texts())
    for draw in (history().plot, lambda name, band: history().figure(band=band)):
        with pytest.raises(ValueError, match=r"band is 'sd'; give 'std', 'minmax', 'ci95', or None"):
            draw("objective", band="sd")


def test_quantiles_are_those_of_student():
    """Published values at 97.5 %: 1, 4, 30 degrees of freedom; 60 and 120 by the expansion."""
    np.testing.assert_allclose(student(np.array([1, 4, 30, 60, 120])), [12.706, 2.776, 2.042, 2.000, 1.980], atol=1e-3)
    low, high = band_of(np.array([[1.0, np.nan], [3.0, 5.0]]), "ci95")
    np.testing.assert_allclose(high - low, [2 * 12.706, 0.0], rtol=1e-6)


def test_an_axis_that_the_records_lack_says_what_to_do():
    h = history()
    for look in (lambda: h.plot("objective", by="seconds"), lambda: h.series("objective", by="seconds")):
        with pytest.raises(
            ValueError, match="no virtual seconds: the network has no clock; give the network a clock, .*faults.clock"
        ):
            look()
    with pytest.raises(ValueError, match="by is 'bytes', but .* hold no bytes"):
        h.plot("objective", by="bytes")
    assert figures.draw(history(seconds=1.0), "objective", by="seconds").get_xlabel() == "virtual seconds"


@pytest.mark.parametrize("node", ["a", 1.5, True, [0]])
def test_a_node_that_is_no_number_is_refused(node):
    h = simulate(*toy.experiment(), 1, progress=False)
    with pytest.raises(TypeError, match=r"history.model.node is .*give the id of a node, a whole number, or None"):
        h.model(node=node)
    with pytest.raises(TypeError, match="continue_.evry is 2, which continue_ does not take; give some of every"):
        h.continue_(2, evry=2)


@pytest.mark.slow
def test_seeds_are_taken_alike_everywhere():
    _, problem, network = parts = toy.experiment()
    build = lambda lr: (toy.experiment(lr)[0], problem, network)
    calls = [
        lambda **s: simulate(*parts, 1, progress=False, label="lr=0.3", **s),
        lambda **s: compare({"lr=0.3": parts}, 1, progress=False, **s),
        lambda **s: sweep(build, {"lr": [0.3]}, 1, progress=False, **s),
    ]
    for call in calls:
        for given in ({"seed": [3, 1]}, {"seeds": [3, 1]}, {"seeds": np.array([3, 1])}, {"seeds": iter((3, 1))}):
            assert call(**given).seeds() == [3, 1]
        assert call(seed=3).seeds() == [3]
        with pytest.raises(ValueError, match="seed is 2 and seeds is .*give one of them"):
            call(seed=2, seeds=[0, 1])
        for wrong, words in (
            (4, r"seeds=list\(range\(4\)\)"),
            ("ab", "list of different"),
            ([], "is empty"),
            ([1, 1], "list of different"),
        ):
            with pytest.raises((ValueError, TypeError), match=words):
                call(seeds=wrong)


# ---- what a run was made of
class Mine:
    """A method of the user's own."""


def test_members_are_described_as_a_config_writes_them():
    method, problem, network = toy.experiment(0.3)
    got = report.setup.setup(method, problem, network)
    assert got["method"]["dsgd"]["lr"] == 0.3
    assert got["network"]["topology"]["ring"]["n"] == 6 and got["network"]["topology"]["ring"]["max_degree"] == 2
    assert got["network"]["rule"] == "weighted_mean" and got["network"]["codec"]["direct"]["compressor"] == "identity"
    assert {"attack", "privacy", "faults", "clock", "events"}.isdisjoint(set(got["network"]) - {"faults"})
    assert got["data"]["name"] == "toy" and got["data"]["nodes"] == 6 and {"dejax", "jax", "python", "date"} <= set(got)
    assert described(np.arange(3.0)) == [0.0, 1.0, 2.0] and described(np.linspace(0, 1, 99)) == "float64[99], 0 to 1"
    assert described(Mine) == f"{__name__}.Mine" and described({"a": (1, None)}) == {"a": [1, None]}
    assert json.loads(json.dumps(got)) == got


@pytest.mark.slow
def test_the_directory_of_a_run_from_python_tells_its_setup(tmp_path):
    parts = toy.experiment(0.3)
    compare({"a": parts, "b": toy.experiment(0.2)}, 1, progress=False, out=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [kept["runs"][x]["setup"]["method"]["dsgd"]["lr"] for x in "ab"] == [0.3, 0.2]
    assert {"dejax", "jax", "python", "date"} <= set(kept) and kept["config"].startswith(
        "none: made by a call from Python"
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert '"dsgd":' in page and '"lr":0.3' in page and '"ring":' in page
    date = kept["date"], kept["runs"]["a"]["setup"]["date"]
    compare({"a": parts, "b": toy.experiment(0.2)}, 2, progress=False, resume=tmp_path / "run")
    again = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (again["date"], again["runs"]["a"]["setup"]["date"]) == date


def test_numbers_that_are_nan_leave_gaps_and_no_warnings():
    """A metric that is NaN at one round, or at all, is drawn and banded without a word of NumPy's."""
    row = lambda seed, t, a, b: {
        "run": "r",
        "seed": seed,
        "round": t,
        "loss": 1.0,
        "a/local": a,
        "b/local": b,
        "bytes": 8 * t,
    }
    nan = math.nan
    history = History([row(s, t, nan if t == 1 else s + t, nan) for s in (0, 1) for t in range(3)])
    for by in ("round", "bytes"):
        for name in ("a/local", "b/local"):
            history.plot(name, by=by)
    values = np.array([[0.0, nan, 2.0], [2.0, nan, nan]])
    np.testing.assert_array_equal(mean_over(values), [1.0, nan, 2.0])
    for kind in ("std", "minmax", "ci95"):
        low, high = band_of(values, kind)
        assert np.isnan(low[1]) and np.isnan(high[1]) and low[2] == high[2] == 2.0
    assert (band_of(values, "std")[0][0], band_of(values, "minmax")[1][0]) == (0.0, 2.0)


def test_a_history_kept_in_memory_saves_what_its_runs_were_made_of(tmp_path):
    facts = {"r": {"seeds": [0], "setup": {"method": {"dsgd": {"lr": 0.1}}, "jax": "0"}}}
    history = History([{"run": "r", "seed": 0, "round": 0, "loss": 1.0}], facts)
    history.save(tmp_path / "a")
    assert json.loads((tmp_path / "a" / "run.json").read_text())["runs"] == facts
    assert report.load(tmp_path / "a").facts == facts
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text('{"runs": {"r": {"status": "done"}}}')  # that of the run itself
    history.save(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "run.json").read_text())["runs"] == {"r": {"status": "done"}}
