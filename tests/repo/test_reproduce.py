"""scripts/reproduce.py: its pages are what their records say, its experiments run, and what it refuses."""

import functools
import json
import math
import sys

import jax
import numpy as np
import pytest
import repository

sys.path.insert(0, str(repository.ROOT / "scripts"))
import reproduce
from experiments import _linear as linear, _page as pages, finite_time

import dejax as dj

NAMES = pages.experiments()
PAGES = [record for record in pages.records(reproduce.RESULTS) if record["name"] in NAMES]
LONG = {
    "ten_methods_mlp",
    "ten_methods_lenet",
    "federated_rounds",
    "single_merge",
    "momentum_unequal",
    "disrupted",
    "federated_bias",
    "finite_time",
    "decoupled_events",
    "adam_small_batches",
    "anchors",
    "backup_workers",
    "bandit_regret",
    "epidemic",
    "flat_consensus",
    "flat_mean",
    "local_scaling",
    "matched_merging",
    "periodic_average",
    "semi_decentralized",
    "sparse_tracking",
    "unequal_speeds",
    "vanishing_variance",
    "without_server",
}


@pytest.fixture
def as_before():
    """The dtype of the process, which an experiment sets for itself."""
    before = jax.config.read("jax_enable_x64")
    yield
    jax.config.update("jax_enable_x64", before)


def test_every_experiment_has_a_page_and_every_page_an_experiment():
    assert [record["name"] for record in PAGES] == NAMES
    for name in NAMES:
        title, intro = pages.words(pages.load(name))
        assert title and intro, name
        assert pages.load(name).FLOAT64 in (True, False)


@pytest.mark.parametrize("record", PAGES, ids=lambda record: record["name"])
def test_a_page_is_what_its_record_says(record):
    page = reproduce.RESULTS / f"{record['name']}.md"
    assert page.read_text() == pages.render(record)
    assert (record["title"], record["intro"]) == pages.words(pages.load(record["name"]))
    if record["figure"]:
        picture = (reproduce.RESULTS / f"{record['name']}.svg").read_text()
        assert picture.startswith("<?xml") and len(picture.encode()) <= pages.LARGEST
    assert record["claims"] and record["tables"] and record["seconds"] > 0
    assert all(claim["why"] for claim in record["claims"] if not claim["held"]), "say why a claim did not hold"


def test_the_list_of_pages_is_current():
    found = pages.records(reproduce.RESULTS)
    assert (reproduce.RESULTS / "index.md").read_text() == pages.index(found)
    assert sum(record["seconds"] for record in found) < 3600, "all of it takes at most an hour"


def test_graphs_average_exactly_in_finite_time(as_before):
    """The subset of every run: n = 2 to 16 by products of weights, two sizes by runs."""
    jax.config.update("jax_enable_x64", True)
    for degree in finite_time.DEGREES:
        make = functools.partial(dj.topology.base_graph, degree=degree)
        got = finite_time.row("base", list(range(degree + 1, 17)), make, [5, 12] if degree == 1 else [])
        assert got["after"] < 1e-15 < 1e-3 < got["before"] and got["run"] < finite_time.ZERO
        assert (got["run"] > 0) == (degree == 1)


def test_a_run_leaves_a_record_a_page_and_a_picture(tmp_path, monkeypatch):
    drawn, ax = pages.figure()
    ax.plot([1, 2])
    claims, tables = [pages.Claim("Up.", "A", np.bool_(True), "1")], [pages.Table("T", ["a"], [["b"]])]
    made = pages.Result(claims, tables, {"of": f"{math.sqrt}, {pages.tidy}"}, range(2), drawn, "Two points.")
    monkeypatch.setattr(pages.load("finite_time"), "run", lambda short: made)
    monkeypatch.setattr(reproduce.harness, "machine_line", lambda machine: "M")
    reproduce.reproduce("finite_time", False, tmp_path)
    kept = json.loads((tmp_path / "finite_time.json").read_text())
    page = (tmp_path / "finite_time.md").read_text()
    assert (
        page == pages.render(kept)
        and "(finite_time.svg)" in page
        and " at 0x" not in page
        and kept["claims"][0]["held"] is True
    )
    assert "finite_time.md" in (tmp_path / "index.md").read_text() and (tmp_path / "finite_time.svg").exists()


def test_an_interrupted_run_proves_nothing():
    with pytest.raises(KeyboardInterrupt):
        pages.finished(dj.History(interrupted=True))
    assert len(pages.finished(dj.History())) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.nightly] * (n in LONG)) for n in NAMES])
def test_a_short_run(name, as_before):
    """It ends, and with exact batches in float64 what holds on the page holds in the short run, too."""
    found = reproduce.reproduce(name, True, None)
    text = pages.render(found)
    assert "nan" not in text and "diverged" not in text
    if pages.load(name).FLOAT64:
        held = {c["says"]: c["held"] for record in PAGES if record["name"] == name for c in record["claims"]}
        assert [c["says"] for c in found["claims"] if not c["held"] and held.get(c["says"], True)] == []


def test_what_cannot_be_run_is_refused(capsys):
    for argv, said in (([], "give a NAME"), (["nothing"], "no experiment 'nothing'; there are ")):
        with pytest.raises(SystemExit):
            reproduce.main(argv)
        assert said in capsys.readouterr().err
    assert reproduce.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)


def test_a_claim_that_did_not_hold_says_so_on_the_page_and_in_the_list():
    claims = [
        {"says": "Up.", "source": "A", "held": False, "seen": "1", "why": "Because."},
        {"says": "Down.", "source": "B", "held": True, "seen": "2", "why": ""},
    ]
    record = {
        "name": "x", "title": "X", "intro": "Words.", "seconds": 3, "machine": "M", "seeds": [0, 1], "setup": {"a": 1}, "figure": False,
        "caption": "", "claims": claims, "tables": [],
    }  # fmt: skip
    page = pages.render(record)
    assert "| Up. | A | **did not hold** | 1 |" in page and "- **Up.** Because." in page and "- **Down.**" not in page
    assert "Of 2 claims on 1 pages 1 held" in pages.index([record])


def test_numbers_are_written_for_people():
    assert [pages.number(x) for x in (0, 1.2345, 0.001, 12345.6, 1e-7, float("nan"))] == [
        "0",
        "1.23",
        "0.001",
        "12,346",
        "1.0e-07",
        "diverged",
    ]
    assert pages.spread([1.0, 2.0, 3.0], ".1f") == "2.0 ± 0.8" and pages.spread([1.0, 2.0]) == "1.5 (1 to 2)"


def test_a_figure_that_is_too_large_is_refused():
    drawn, ax = pages.figure()
    rng = np.random.default_rng(0)
    for _ in range(40):
        ax.plot(rng.standard_normal(200))
    with pytest.raises(ValueError, match=r"bytes; draw fewer points: at most 60,000"):
        pages.svg(drawn, "x")


def test_the_rate_of_gradient_descent_is_that_of_its_map():
    """With all averaged at once D-SGD is gradient descent, whose factor is 1 - lr mu of the mean Hessian."""
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((4, 3, 3))
    hessians = roots @ roots.transpose(0, 2, 1) / 3
    lr = 0.1 / np.linalg.eigvalsh(hessians).max()
    maps = linear.Maps(hessians, np.full((4, 4), 0.25))
    least = np.linalg.eigvalsh(hessians.mean(0)).min()
    np.testing.assert_allclose(linear.rate(maps.dsgd(lr), 1, 4, 3), 1 - lr * least, rtol=1e-12)


def test_a_rate_is_read_off_a_curve():
    rounds = np.arange(0, 2000, 10)
    curve = np.maximum(5 * 0.97**rounds, 1e-15)
    assert abs(linear.fitted_rate(rounds, curve) - 0.97) < 1e-12
    assert math.isnan(linear.fitted_rate(rounds, np.ones(200)))
