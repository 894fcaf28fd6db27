"""Small multiples: which field of a run is meant, and what each panel shows."""

import json

import pytest

from dejax import cli, report
from dejax.report import facets, files, paper
from dejax.report.history import History

SETUP = {
    "method": {"dsgd": {"lr": 0.5, "order": "atc"}},
    "network": {"topology": {"ring": {"n": 8, "weights": "doubly stochastic"}}, "codec": "direct", "attack": None},
    "data": {"source": "letters", "partition": {"dirichlet": {"alpha": 0.3}}, "seed": 0},
    "date": "today",
}


def history():
    records, facts = [], {}
    for graph in ("ring", "complete"):
        for lr in (0.1, 0.5):
            label = f"lr={lr:g}, topology={graph}"
            facts[label] = {
                "swept": {"run": "", "over": {"lr": f"{lr:g}", "topology": graph}},
                "status": "done",
                "setup": SETUP | {"network": {"topology": {graph: {"n": 8}}}},
            }
            records += [
                {"run": label, "seed": 0, "round": t, "method.dsgd.lr": lr, "accuracy/local": lr * t, "bytes": 10 * t, "gradients": 8 * t, "epochs": t / 4, "seconds": 2 * t}
                for t in (0, 1, 2)
            ]  # fmt: skip
    return History(records, facts)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "dsgd"), ("method.dsgd.lr", "0.5"), ("method.lr", "0.5"), ("lr", "0.5"), ("network.topology", "ring"), ("topology", "ring"),
        ("codec", "direct"), ("alpha", "0.3"), ("data.partition", "dirichlet"), ("source", "letters"), ("data.seed", "0"), ("run", "a"),
    ],
)  # fmt: skip
def test_a_field_is_named_in_full_or_by_its_end(field, value):
    assert facets.of_runs(History([], {"a": {"setup": SETUP}}), field) == {"a": value}


def test_what_no_run_has_or_could_be_two_things_is_refused():
    h = History([], {"a": {"setup": SETUP}, "b": {"setup": {"method": {"fedavg": {"lr": 1.0}}}}})
    assert facets.of_runs(h, "topology") == {"a": "ring", "b": "none"}
    with pytest.raises(ValueError, match=r"facet is 'nothing', which no run has; there are, among others: .*method"):
        facets.of_runs(h, "nothing")
    with pytest.raises(ValueError, match="no run has"):
        facets.of_runs(h, "date")
    two = History([], {"a": {"setup": {"x": {"y": {"gamma": 1.0}, "z": {"gamma": 2.0}}}}})
    with pytest.raises(ValueError, match=r"any of x\.y\.gamma, x\.z\.gamma; give one of them in full"):
        facets.of_runs(two, "gamma")
    many = History([], {str(i): {} for i in range(facets.MOST + 1)})
    with pytest.raises(ValueError, match="has 25 values; at most 24 fit"):
        facets.of_runs(many, "run")


@pytest.mark.parametrize(("field", "titles", "legend"), [("topology", ["ring", "complete"], ["lr=0.1", "lr=0.5"]), ("lr", ["lr = 0.1", "lr = 0.5"], ["topology=ring", "topology=complete"])])  # fmt: skip
def test_panels_hold_their_runs_in_the_colors_of_one_legend(field, titles, legend):
    fig = paper.curves(history(), facet=field)
    assert [ax.get_title(loc="left") for ax in fig.axes] == titles
    assert [text.get_text() for text in fig.legends[0].get_texts()][:2] == legend
    colors = [[line.get_color() for line in ax.lines] for ax in fig.axes]
    assert colors[0] == colors[1] and len(set(colors[0])) == 2
    ends = {ax.get_title(loc="left"): [float(line.get_ydata()[-1]) for line in ax.lines] for ax in fig.axes}
    assert ends == (
        {"ring": [0.2, 1.0], "complete": [0.2, 1.0]}
        if field == "topology"
        else {"lr = 0.1": [0.2, 0.2], "lr = 0.5": [1.0, 1.0]}
    )
    assert len({ax.get_ylim() for ax in fig.axes}) == 1


@pytest.mark.parametrize(
    ("by", "last"), [("round", 2), ("bytes", 20), ("seconds", 4), ("epochs", 0.5), ("gradients", 16)]
)
def test_curves_over_five_axes(by, last):
    fig = paper.curves(history(), by=by)
    assert float(fig.axes[0].lines[0].get_xdata()[-1]) == last
    assert history().plot(by=by).get_xlabel() == fig.axes[0].get_xlabel()
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_command_draws_them(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text(files.jsonl(history().records))
    (tmp_path / "run" / "run.json").write_text(json.dumps({"runs": history().facts}))
    run, out = str(tmp_path / "run"), tmp_path / "f.svg"
    assert cli.main(["report", run, "--figure", str(out), "--facet", "topology", "--x", "epochs"]) == 0
    assert out.stat().st_size > 10_000 and report.load(run).facts == history().facts
    assert cli.main(["report", run, "--facet", "topology"]) == 2
    assert "--facet says what --figure draws" in capsys.readouterr().err
    assert cli.main(["report", run, "--figure", str(out), "--facet", "lr", "--map", "lr,lr"]) == 2
    assert "--map and --facet are two figures" in capsys.readouterr().err
