"""The page in a real browser: what its script draws, what a reader can choose, and how it follows a run."""

import json
import threading

import numpy as np
import pytest
from browser import Browser

import dejax as dj
from dejax import report
from dejax.cli.watch import server
from dejax.report import files, graphs
from dejax.report.arrays import Arrays
from dejax.report.history import History

EVIL = '</script><img src=x onerror="window.taken=1"><b>'
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def records(label, rounds, seeds=(0,)):
    return [
        {"run": label, "seed": s, "round": t, "accuracy/local": 0.1 + t / 100 + s / 50, "accuracy/mean_model": 0.2 + t / 100, "loss": 2 - t / 50,
         "bytes": 1000 * t, "gradients": 4 * t, "epochs": t / 5, "seconds": t / 2, "wall": t / 10}
        for t in rounds for s in seeds
    ]  # fmt: skip


def history():
    h = History(records("ring", (0, 10, 20), (0, 1)) + records(EVIL, (0, 10, 20)))
    h.facts = {label: {"status": "done", "nodes": 9, "method": EVIL, "setup": {"a": {EVIL: EVIL}}} for label in h.runs}
    ring, chain, star = (graphs.described(make(9)) for make in (dj.topology.ring, dj.topology.chain, dj.topology.star))
    h.graphs = {"ring": [(0, ring), (10, chain)], EVIL: [(0, star)]}
    each = lambda t: {0: {"accuracy/local_nodes": np.linspace(0.1, 0.5, 9) + t / 100}}
    h.held = Arrays({"ring": {t: each(t) for t in (0, 10, 20)}})
    return h


@pytest.fixture
def opened(tab, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report.page(history(), config=f"a: {EVIL}\n", title=EVIL))
    tab.troubles.clear()
    tab.asked.clear()
    tab.open(path.as_uri())
    return tab


def count(query):
    return f"document.querySelectorAll({json.dumps(query)}).length"


def test_a_report_shows_all_of_a_run_and_every_text_as_text(opened):
    assert opened.value("document.querySelector('h1').textContent") == EVIL == opened.value("document.title")
    assert opened.value("document.querySelector('#config pre').textContent") == f"a: {EVIL}\n"
    assert opened.value("[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent)") == [
        "ring",
        EVIL,
    ]
    assert (
        opened.value(count("#curves .curve")) == 8 and opened.value(count("#curves .band")) == 2
    )  # local and mean model, two panels
    assert EVIL in opened.value("document.querySelector('#facts').textContent")
    assert opened.value(count("img, b")) == 0 and opened.value("window.taken") is None
    assert opened.troubles == [] and all(address.startswith("file:") for address in opened.asked)


def test_a_reader_chooses_numbers_axes_and_runs(opened):
    words = {
        "round": "rounds",
        "bytes": "bytes sent in all",
        "gradients": "gradients of all nodes",
        "epochs": "epochs",
        "seconds": "virtual seconds",
    }
    for axis, word in words.items():
        opened.choose("#x0", axis)
        assert word in opened.value("document.querySelector('#curves figure').textContent")
        assert opened.value(count("#curves figure:first-child .curve")) == 4
    opened.choose("#number", "loss")
    assert opened.value(count("#curves figure:first-child .curve")) == 2
    opened.value("document.querySelector('tbody tr').click()")
    assert opened.value(count("#curves figure:first-child .curve")) == 1 and opened.value(count("tr.off")) == 1
    opened.value("document.querySelector('#log').click()")
    assert "NaN" not in opened.value("document.querySelector('#curves .plot').innerHTML")
    assert opened.troubles == []


def test_nodes_are_colored_by_their_numbers(opened):
    fills = "[...document.querySelectorAll('#nodes circle')].map(c => c.getAttribute('fill'))"
    assert opened.value("document.querySelector('#color').value") == "accuracy/local_nodes"
    last = opened.value(fills)
    assert len(last) == 9 and len(set(last)) == 9 and last[0] == "rgb(68,1,84)" and last[-1] == "rgb(253,231,37)"
    assert "after round 20" in opened.value("document.querySelector('#nodes .side').textContent")
    opened.value("document.querySelector('#same').click()")
    assert opened.value(fills)[0] != last[0]  # on one scale with the rounds before it
    assert "chain, 9 nodes; from round 11 on" in opened.value("document.querySelector('#nodes').textContent")
    opened.choose("#at", "1")
    assert "ring, 9 nodes; from round 1 on" in opened.value("document.querySelector('#nodes').textContent")
    opened.choose("#at", "0")
    assert "after round 0" in opened.value("document.querySelector('#nodes .side').textContent")
    assert opened.value(count("#strips .curve")) == 1 and opened.value(count("#strips .band")) == 3
    opened.choose("#of", EVIL)  # a star whose nodes have no numbers: by their neighbors
    assert len(set(opened.value(fills))) == 2 and "star, 9 nodes" in opened.value(
        "document.querySelector('#nodes').textContent"
    )
    assert opened.troubles == []


def test_it_is_dark_where_the_reader_wants_it_so(opened):
    light = opened.value("getComputedStyle(document.body).backgroundColor")
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = opened.value("getComputedStyle(document.body).backgroundColor")
    opened.call("Emulation.setEmulatedMedia", features=[])
    assert light == "rgb(255, 255, 255)" and dark == "rgb(20, 24, 27)"


def test_a_page_follows_a_run_while_it_is_written(tab, tmp_path):
    folder, run = tmp_path / EVIL.replace("/", "|"), tmp_path / EVIL.replace("/", "|") / "metrics.jsonl"
    folder.mkdir()
    state = lambda status: (folder / "run.json").write_text(
        json.dumps({"runs": {"ring": {"status": status, "total": 40}}})
    )
    state("running")
    text = files.jsonl(records("ring", (0, 10)))
    run.write_text(text)
    tab.troubles.clear()
    with server(tmp_path) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        tab.open(f"http://127.0.0.1:{serving.server_port}/")
        shown = "document.querySelector('tbody tr').cells[1].textContent"
        tab.until(f"{shown} === '10'")
        assert tab.value("document.querySelector('nav .name').textContent") == folder.name
        assert tab.value("document.querySelector('nav .bar i').style.width") == "25%"
        tab.choose("#number", "loss")
        before = tab.value("document.querySelector('#curves .curve').getAttribute('d')")
        more = files.jsonl(records("ring", (20, 30)))
        run.write_text(
            text + "{damaged\n" + more + '{"run": "ring", "se'
        )  # one line is damaged, and half of the last one there
        tab.until(f"{shown} === '30'")
        assert tab.value("document.querySelector('#number').value") == "loss"  # the reader's choice stays
        assert tab.value("document.querySelector('#curves .curve').getAttribute('d')") != before
        assert "1 line of metrics.jsonl left out" in tab.value("document.querySelector('#note').textContent")
        run.write_text(text + more + files.jsonl(records("ring", (40,))))
        state("done")
        tab.until(f"{shown} === '40' && document.querySelector('nav').textContent.includes('done')")
        assert tab.troubles == [] and tab.value(count("img")) == 0 and tab.value("window.taken") is None
        serving.shutdown()
    tab.until("document.querySelector('#link').textContent.includes('No answer')")
    tab.call("Page.navigate", url="about:blank")
