"""The page of runs: its numbers, its graphs, what it may do; how its script draws them is seen in test_browser.py."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import toy

import dejax as dj
from dejax import report
from dejax.report import figures, files, graphs, growing, nodes, pages
from dejax.report.arrays import Arrays
from dejax.report.history import History

EVIL = "</script><img src=x onerror=alert(1)>"


def history(seeds=(0,), labels=("ring", EVIL), rounds=(0, 10, 20)):
    records = [
        {
            "run": label, "seed": seed, "round": t, "accuracy/local": 0.1 + t / 100 + seed / 10, "accuracy/mean_model": 0.2 + t / 100,
            "bytes": 100 * t, "gradients": 4 * t, "epochs": t / 5, "wall": t / 10,
        }
        for label in labels for seed in seeds for t in rounds
    ]  # fmt: skip
    h = History(records, {label: {"status": "done", "nodes": 6, "method": EVIL} for label in labels})
    h.graphs = {label: [(0, graphs.described(dj.topology.ring(6)))] for label in labels}
    return h


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [
            v for k, v in attrs if k in ("src", "href", "xlink:href", "data", "action") or k.startswith("on")
        ]


def numbers(page):
    return json.loads(re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.DOTALL)[1])


def test_no_text_of_a_run_becomes_a_tag_and_the_page_refers_to_nothing():
    page = report.page(history(), config=f"out: {EVIL}", title=EVIL)
    reader = Reader(page)
    assert reader.tags.count("script") == 2 and "img" not in reader.tags and reader.links == []
    assert numbers(page)["config"] == f"out: {EVIL}" and numbers(page)["runs"][1]["label"] == EVIL
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "innerHTML" not in page and "insertAdjacentHTML" not in page and "eval(" not in page
    assert report.page(history()) == report.page(history())


def test_the_policy_lets_the_own_script_and_style_run_and_nothing_else():
    page = report.page(history())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for name in ("script", "style"):
        text = re.search(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)[1]
        assert f"{name}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_curves_are_means_over_seeds_with_the_band_of_tables():
    got = pages.content(history(seeds=(0, 1)))
    run = got["runs"][0]
    assert run["axes"] == {
        "round": [0, 10, 20],
        "bytes": [0, 1000, 2000],
        "gradients": [0, 40, 80],
        "epochs": [0, 2, 4],
        "wall": [0, 1, 2],
    }
    assert got["axes"].keys() == run["axes"].keys() and got["names"] == ["accuracy/local", "accuracy/mean_model"]
    np.testing.assert_allclose(run["curves"]["accuracy/local"]["mean"], [0.15, 0.25, 0.35])
    np.testing.assert_allclose(run["curves"]["accuracy/local"]["low"], [0.1, 0.2, 0.3])  # std of 0 and 0.1: 0.05
    assert "low" not in pages.content(history())["runs"][0]["curves"]["accuracy/local"]
    assert got["colors"] == list(figures.COLORS) and got["first"] == "accuracy"


def test_numbers_that_are_not_finite_are_null_and_long_curves_keep_their_ends():
    h = history(labels=("ring",), rounds=range(5000))
    h.records[7]["accuracy/local"] = math.inf
    h.records[9]["bytes"] = math.nan
    run = numbers(report.page(h))["runs"][0]
    assert (
        len(run["axes"]["round"]) == pages.POINTS and run["axes"]["round"][0] == 0 and run["axes"]["round"][-1] == 4999
    )
    assert report.page(History()) and numbers(report.page(History()))["runs"] == []


def test_a_graph_is_kept_once_and_its_nodes_stand_in_the_picture():
    h = history(labels=("a", "b", "c"))
    h.graphs["c"] = [(0, h.graphs["a"][0][1]), (20, graphs.described(dj.topology.directed_ring(6)))]
    got = pages.content(h)
    assert [run["graph"] for run in got["runs"]] == [[[0, 0]], [[0, 0]], [[0, 0], [20, 1]]] and [
        g["symmetric"] for g in got["graphs"]
    ] == [
        True,
        False,
    ]
    assert sorted(zip(*[iter(got["graphs"][0]["edges"])] * 2, strict=True)) == [
        (0, 1),
        (0, 5),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
    ]
    xy = np.reshape(got["graphs"][0]["xy"], (6, 2))
    assert xy.min() >= 0 and xy.max() <= 1 and len(np.unique(xy.round(3), axis=0)) == 6
    assert graphs.apart(graphs.together(h.graphs)) == h.graphs


@pytest.mark.parametrize("make", [dj.topology.ring, dj.topology.star, dj.topology.chain, dj.topology.complete, dj.topology.binary_tree,
                                  dj.topology.one_peer_exponential, dj.topology.isolated])  # fmt: skip
@pytest.mark.parametrize("n", [2, 9])
def test_graphs_of_every_shape_have_places(make, n):
    graph = graphs.described(make(n))
    xy = np.asarray(graphs.placed(graph)["xy"])
    assert xy.shape == (2 * n,) and np.isfinite(xy).all() and (xy >= 0).all() and (xy <= 1).all()


def test_a_graph_that_is_drawn_anew_has_nodes_alone():
    graph = graphs.described(dj.topology.random_peers(9))
    assert graph["period"] == 0 and graph["edges"] == [] and len(graphs.placed(graph)["xy"]) == 18


def test_large_graphs_lose_lines_first_and_then_all():
    dense = graphs.described(dj.topology.complete(180))
    assert dense["edges_in_all"] == 180 * 179 // 2 and len(dense["edges"]) <= 2 * graphs.EDGES
    assert graphs.described(dj.topology.complete(1000))["edges"] == []
    assert graphs.described(dj.topology.ring(graphs.NODES + 1)) is None


def test_damaged_graphs_are_no_graphs():
    good = graphs.together({"a": [(0, graphs.described(dj.topology.ring(6)))]})
    for field, value in (
        ("n", 10**12),
        ("n", -1),
        ("edges", [0, 99]),
        ("edges", [0]),
        ("edges", "x"),
        ("period", None),
    ):
        bad = json.loads(json.dumps(good))
        bad["graphs"][0][field] = value
        assert graphs.apart(bad) == {}, field
    for held in (
        None,
        [],
        {},
        {"graphs": [], "of": {"a": 0}},
        {"graphs": [], "of": {"a": [[0, 0]]}},
        {"graphs": {}, "of": []},
    ):
        assert graphs.apart(held) == {}


def test_nodes_have_their_numbers_as_means_over_seeds_and_their_spread():
    h = history(labels=("ring",), seeds=(0, 1))
    at = lambda t, s: {
        "accuracy/local_nodes": np.arange(6.0) + t + s,
        "confusion": np.zeros((3, 3)),
        "wrong": np.zeros(5),
    }
    h.held = Arrays({"ring": {t: {s: at(t, s) for s in (0, 1)} for t in (0, 10, 20)}})
    got = nodes.of_run(h, "ring")
    assert got.keys() == {"accuracy/local_nodes"} and got["accuracy/local_nodes"]["rounds"] == [0, 10, 20]
    np.testing.assert_allclose(got["accuracy/local_nodes"]["values"][1], np.arange(6) + 10.5)
    np.testing.assert_allclose(got["accuracy/local_nodes"]["spread"][0][[0, 3, 6]], [0.5, 3, 5.5])
    assert nodes.of_run(history(), "ring") == {}
    assert nodes.evenly(10, 3) == [0, 4, 9] and nodes.evenly(2, 5) == [0, 1] and nodes.evenly(0, 5) == []
    assert numbers(report.page(h))["runs"][0]["nodes"]["accuracy/local_nodes"]["at"] == [0, 10, 20]


# ---- runs that grow
def write(folder, text, status="running", total=40):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "run.json").write_text(json.dumps({"runs": {"ring": {"status": status, "total": total}}}))


def test_what_is_half_written_or_damaged_is_left_out_and_counted(tmp_path):
    text = files.jsonl(history(labels=("ring",)).records)
    write(tmp_path / "half", text[:-20])
    h, notes = growing.read(tmp_path / "half")
    assert len(h) == 2 and notes == []
    write(
        tmp_path / "bad",
        b'{"run": 1, "seed": 0, "round": 0}\n[1]\n\xff\xfe\n'
        + text.encode()
        + b'{"run": "ring", "seed": 0, "round": 1e3}\n',
    )
    h, notes = growing.read(tmp_path / "bad")
    assert len(h) == 3 and notes == ["bad: 4 lines of metrics.jsonl left out, which are no records"]
    for damaged in ("", "{", "[]", '{"runs": []}', '{"runs": {"ring": 3}}'):
        (tmp_path / "bad" / "run.json").write_text(damaged)
        assert growing.read(tmp_path / "bad")[0].facts == {} and growing.progress(tmp_path / "bad") == ("done", 1.0)
    assert growing.content({"bad": tmp_path / "bad"}, "bad")["note"].startswith("bad: 4 lines")
    with pytest.raises(ValueError, match="line 2 is no record"):  # a report of a run that is over says it instead
        report.load(tmp_path / "bad")


def test_directories_are_found_below_and_say_how_they_stand(tmp_path):
    text = files.jsonl(history(labels=("ring",)).records)
    write(tmp_path / "deep" / "er" / "a", text)
    write(tmp_path / "b", text, status="diverged in round 3 (node 1)")
    write(tmp_path / "b" / "inner", text)  # of a run, and no run of its own
    write(tmp_path / ".hidden", text)
    (tmp_path / "empty").mkdir()
    assert {p.relative_to(tmp_path) for p in growing.directories(tmp_path)} == {Path("deep/er/a"), Path("b")}
    assert growing.directories(tmp_path / "b") == [tmp_path / "b"]
    assert growing.progress(tmp_path / "deep" / "er" / "a") == ("running", 0.5)
    assert growing.progress(tmp_path / "b") == ("diverged", 1.0)


@pytest.mark.slow
def test_a_run_leaves_its_graph_and_counts_epochs(tmp_path):
    method, problem, network = toy.experiment()
    h = dj.simulate(method, problem, network, 3, out=tmp_path / "run", progress=False, label="toy")
    back = report.load(tmp_path / "run")
    assert back.graphs == h.graphs == {"toy": [(0, graphs.described(network.topology))]}
    samples, batch = np.asarray(problem.data.count).sum(), problem.batch_size
    each = 1 if batch is None else samples / problem.n / batch
    np.testing.assert_allclose(h.last("epochs"), 3 / each)
    assert numbers((tmp_path / "run" / "report.html").read_text())["runs"][0]["graph"] == [[0, 0]]
    assert "wall" in numbers((tmp_path / "run" / "report.html").read_text())["axes"]
