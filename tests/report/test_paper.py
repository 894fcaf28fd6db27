"""Tables and figures as papers print them: what stands in the files, and what is in bold."""

import csv
import io
import json

import numpy as np
import pytest

from dejax import cli, report
from dejax.metrics.direction import higher
from dejax.report import paper, typeset
from dejax.report.history import History


def runs(labels=("ring & co", "complete_10%"), finals=((0.5, 0.6), (0.7, 0.9))):
    """Two runs of two seeds."""
    return History(
        {
            "run": label,
            "seed": seed,
            "round": t,
            "accuracy/local": final * t / 10,
            "objective": 2.0 - final * t / 10,
            "bytes": 100 * t * (i + 1),
            "gradients": 8 * t,
            "wall": 0.1 * t,
        }
        for i, (label, values) in enumerate(zip(labels, finals, strict=True))
        for seed, final in enumerate(values)
        for t in (0, 5, 10)
    )


def swept():
    """Six runs over two numbers, as a sweep labels and marks them; one ended without a number."""
    history = History(
        {
            "run": f"lr={lr}, alpha={alpha}",
            "seed": 0,
            "round": t,
            "method.dsgd.lr": lr,
            "data.partition.dirichlet.alpha": alpha,
            "loss": 1.0,
            "accuracy/local": None if (lr, alpha) == (1.0, 0.1) else lr + alpha + t / 100,
        }
        for lr in (0.1, 0.5, 1.0)
        for alpha in (0.1, 1.0)
        for t in (0, 10)
    )
    for run in history.runs:
        over = dict(part.split("=") for part in run.split(", "))
        history.facts[run] = {"status": "done", "swept": {"run": "", "over": over}}
    return history


def test_latex_is_escaped_and_marks_the_best():
    text = typeset.latex(runs().table())
    assert r"ring \& co" in text and r"complete\_10\%" in text and "±" not in text.split("%")[0]
    assert r"\textbf{0.800} $\pm$ 0.100" in text  # the higher accuracy
    assert r"\textbf{1.2} $\pm$ 0.1" in text  # the lower objective
    assert text.count(r"\textbf") == 3 and text.count(r"\\") == 3  # and the accuracy at equal bytes
    assert text.startswith("\\begin{tabular}{lr") and "\\bottomrule\n\\end{tabular}" in text


def test_one_run_has_no_best_and_numbers_that_are_not_finite_are_none():
    assert typeset.best_of(runs(("a",), ((0.1, 0.2),)).table()) == {}
    broken = runs(finals=((float("nan"), 0.1), (0.2, 0.2)))
    assert list(typeset.best_of(broken.table()).values()) == [[1]] * 3
    spread = History(
        {"run": run, "seed": 0, "round": 1, "accuracy/local": 0.5, "accuracy/local_std": x, "audit/lost": x}
        for run, x in (("a", 0.1), ("b", 0.2))
    )
    assert typeset.best_of(spread.table(["accuracy/local_std", "audit/lost"])) == {"accuracy/local_std": [0]}


def test_markdown_and_csv():
    table = runs().table(["accuracy/local", "bytes"], band="ci95")
    text = typeset.markdown(table)
    assert text.splitlines()[0] == "| run | local accuracy | bytes |" and "**0.800**" in text
    assert "half the 95 % interval" in text
    rows = list(csv.DictReader(io.StringIO(typeset.comma_separated(table))))
    assert list(rows[0]) == ["run", "accuracy/local", "accuracy/local ±", "bytes", "bytes ±"]
    np.testing.assert_allclose(float(rows[1]["accuracy/local"]), 0.8)
    np.testing.assert_allclose(float(rows[1]["accuracy/local ±"]), 12.706 * 0.2 / np.sqrt(2) / np.sqrt(2), rtol=1e-6)


def test_what_was_spent_until_a_target():
    history = runs()
    np.testing.assert_array_equal(history.to_target("accuracy/local", 0.3, "ring & co"), [10, 5])  # at 5: 0.25 and 0.3
    np.testing.assert_array_equal(history.to_target("objective", 1.45, "complete_10%", "bytes"), [2000, 2000])
    np.testing.assert_array_equal(history.to_target("accuracy/local", 0.55, "ring & co", "gradients"), [np.nan, 80])
    table = history.table(["accuracy/local"], target=("accuracy/local", 0.3))
    assert table.cells()[0] == ["run", "local accuracy", "rounds to 0.3", "bytes to 0.3"]
    assert table.cells()[1][2:] == ["8 ± 2", "750 B"] and table.cells()[2][2:] == ["5 ± 0", "1 kB"]
    assert history.table(target=("accuracy/local", 0.6)).cells()[1][-2:] == ["-", "-"]
    never = history.table(["accuracy/local"], target=("accuracy/local", 0.99))
    assert never.cells()[0][2:] == ["rounds to 0.99", "bytes to 0.99"] and "nan" not in typeset.comma_separated(never)
    assert history.peak("accuracy/local", "ring & co") == pytest.approx(0.55)
    assert history.peak("objective", "complete_10%") == pytest.approx(1.2)
    with pytest.raises(ValueError, match="hold no virtual seconds"):
        history.to_target("accuracy/local", 0.3, "ring & co", "seconds")


def test_the_best_stands_beside_the_last_and_a_round_has_its_time():
    history = runs(finals=((0.5, 0.6), (0.7, 0.2)))
    falling = [r for r in history.records if r["run"] == "complete_10%" and r["round"] == 10]
    for r in falling:
        r["accuracy/local"] /= 2  # its best was at 5
    history.facts = {run: {"wall/round": 0.25 * (i + 1)} for i, run in enumerate(history.runs)}
    table = history.table(["accuracy/local", "best accuracy/local", "best objective", "wall/round"])
    assert table.cells()[0] == ["run", "local accuracy", "best local accuracy", "best objective", "s/round"]
    assert table.cells()[2][1:] == ["0.225 ± 0.125", "0.225 ± 0.125", "1.55 ± 0.25", "0.5"]
    assert table.cells()[1][1:3] == ["0.550 ± 0.050", "0.550 ± 0.050"]
    assert typeset.best_of(table) == {"accuracy/local": [0], "best accuracy/local": [0], "best objective": [0]}
    for r in falling:
        r["accuracy/local"] = float("nan")
    lost = history.table(["best accuracy/local"]).rows[1]["best accuracy/local"]
    assert lost[0] == pytest.approx((0.35 + 0.1) / 2)
    for r in history.records:
        r["accuracy/local"] = float("nan")
    assert history.table(["best accuracy/local"]).columns == (("run", "run"),)


def test_what_is_better_of_spreads_and_shares():
    more = {name: higher(f"accuracy/local{name}") for name in ("", "_worst10", "_jain", "_std", "_variance", "_range")}
    assert more == {"": True, "_worst10": True, "_jain": True, "_std": False, "_variance": False, "_range": False}
    assert higher("loss/local") is higher("loss/local_best10") is False and higher("loss/local_entropy") is True


def test_columns_are_checked():
    with pytest.raises(ValueError, match=r"name is 'acuracy/local'.*did you mean 'accuracy/local'"):
        runs().table(["acuracy/local"])
    with pytest.raises(ValueError, match="band is 'sem'; give 'std' or 'ci95'"):
        runs().table(band="sem")


def test_curves_over_any_axis(tmp_path):
    for by, label in (("round", "rounds"), ("gradients", "gradients of all nodes"), ("bytes", "bytes sent in all")):
        figure = paper.curves(runs(), by=by)
        (axes,) = figure.axes
        assert axes.get_xlabel() == label and len([x for x in axes.get_lines() if len(x.get_xdata()) > 2]) == 2
        np.testing.assert_allclose(figure.get_size_inches()[0], 3.25)
    paper.save_figure(figure, tmp_path / "a.pdf")
    first = (tmp_path / "a.pdf").read_bytes()
    assert first.startswith(b"%PDF") and b"/FontFile2" in first  # TrueType, embedded
    paper.save_figure(paper.curves(runs(), by="bytes"), tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == first
    with pytest.raises(ValueError, match="hold no virtual seconds"):
        paper.curves(runs(), by="seconds")
    with pytest.raises(ValueError, match=r"width is 'wide'; give 'column', 'page', or inches"):
        paper.curves(runs(), width="wide")


def test_a_map_of_two_swept_numbers():
    figure = paper.heat_map(swept(), ("lr", "alpha"))
    axes = figure.axes[0]
    grid = axes.images[0].get_array()
    np.testing.assert_allclose(np.ma.filled(grid, np.nan), [[0.3, 0.7, np.nan], [1.2, 1.6, 2.1]])
    assert [x.get_text() for x in axes.get_xticklabels()] == ["0.1", "0.5", "1"]
    assert axes.get_xlabel() == "lr" and axes.get_ylabel() == "alpha" and len(axes.texts) == 5
    with pytest.raises(ValueError, match=r"map is 'gamma', which no run was swept over; give one of method.dsgd.lr"):
        paper.heat_map(swept(), ("lr", "gamma"))
    for measured in ("loss", "accuracy/local", "round"):
        with pytest.raises(ValueError, match=f"map is '{measured}', which no run was swept over"):
            paper.heat_map(swept(), (measured, "lr"), "accuracy/local")
    with pytest.raises(ValueError, match="give two swept fields"):
        paper.heat_map(swept(), ("lr",))


def marked(rows, status=None):
    """Runs of one record each, as a sweep marks them: {label: (run varied, what was swept, numbers)}."""
    facts = {run: {"status": "done", "swept": {"run": name, "over": over}} for run, (name, over, _) in rows.items()}
    for run, words in (status or {}).items():
        facts[run]["status"] = words
    return History([{"run": run, "seed": 0, "round": 4} | numbers for run, (*_, numbers) in rows.items()], facts)


def test_a_run_that_diverged_is_none_of_the_best_and_equal_numbers_all_are():
    history = History(
        (
            {"run": run, "seed": 0, "round": 4, "accuracy/local": a}
            for run, a in (("a", 0.6), ("b", 0.9), ("c", 0.6001))
        ),
        {"b": {"status": "diverged in round 5 (node 1)"}},
    )
    table = history.table(["accuracy/local"])
    assert typeset.best_of(table) == {"accuracy/local": [0, 2]} and history.best("accuracy/local") == "c"
    assert typeset.markdown(table).count("**0.600**") == 2 and "| b (diverged) | 0.900 |" in typeset.markdown(table)
    history.facts["c"] = {"status": "nonfinite from round 4: loss"}
    assert typeset.best_of(history.table(["accuracy/local"])) == {"accuracy/local": [0]}


def test_what_latex_and_markdown_would_read_is_escaped():
    labels = ("lr<0.1 | a>b", 'say "so"', "[0.1]", "*bold*", "<b>x</b>", "a`b", "two\nlines", "$x$", "a\\b")
    history = History(
        ({"run": run, "seed": 0, "round": 1, "accuracy/local": 0.5} for run in labels),
        {"two\nlines": {"status": "failed\nso"}},
    )
    table = history.table(["accuracy/local"])
    tex = typeset.latex(table)
    rows = [line.split(" & ")[0] for line in tex.splitlines() if line.endswith(r"\\") and not line.startswith("run")]
    assert rows == [
        r"lr\textless{}0.1 \textbar{} a\textgreater{}b",
        r"say \texttt{\char34}so\texttt{\char34}",
        "{[}0.1]",
        "{*}bold{*}",
        r"\textless{}b\textgreater{}x\textless{}/b\textgreater{}",
        "a`b",
        "two lines (failed)",
        r"\$x\$",
        r"a\textbackslash{}b",
    ]
    assert all(line.startswith("%") for line in tex.split("\\end{tabular}\n")[1].splitlines())
    rows = [line.split(" | ")[0] for line in typeset.markdown(table).splitlines()[2:11]]
    assert rows == [
        r"| lr\<0.1 \| a\>b",
        '| say "so"',
        r"| \[0.1\]",
        r"| \*bold\*",
        r"| \<b\>x\</b\>",
        r"| a\`b",
        "| two lines (failed)",
        r"| \$x\$",
        r"| a\\b",
    ]


def three_fields(field="topology", status=None):
    """Two rates, two alphas, two graphs: the graph alone decides."""
    return marked(
        {
            f"lr={lr}, alpha={alpha}, {field}={graph}": (
                "",
                {"lr": str(lr), "alpha": str(alpha), field: graph},
                {"method.dsgd.lr": lr, "data.partition.dirichlet.alpha": alpha, "accuracy/local": value + lr},
            )
            for lr in (0.2, 0.1)
            for alpha in (1.0, 2.0)
            for graph, value in (("ring", 0.0), ("complete", 0.5))
        },
        status,
    )


def test_a_map_takes_no_mean_over_a_third_field():
    history = three_fields()
    with pytest.raises(
        ValueError, match=r"differ in topology \(ring and complete\).*--only topology=ring.*--choose topology"
    ):
        paper.heat_map(history, ("lr", "alpha"))
    grid = lambda kept: np.asarray(paper.heat_map(kept, ("lr", "alpha")).axes[0].images[0].get_array())
    np.testing.assert_allclose(grid(report.only(history, ["topology=ring"])), [[0.1, 0.2]] * 2)
    np.testing.assert_allclose(grid(report.choose(history, ["topology"])), [[0.6, 0.7]] * 2)


def test_a_map_over_texts_and_of_runs_that_diverged():
    lost = "lr=0.2, alpha=1.0, topology=complete"
    history = three_fields(status={lost: "diverged in round 5"})
    kept = report.only(history, [run for run in history.runs if "alpha=1.0" in run])
    figure = paper.heat_map(kept, ("topology", "lr"))
    axes, bar = figure.axes
    grid = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(grid, [[0.1, 0.6], [0.2, np.nan]])
    assert [(x.get_text(), x.get_position()) for x in axes.texts if x.get_text().isalpha()] == [("diverged", (1, 1))]
    assert [x.get_text() for x in axes.get_xticklabels()] == ["ring", "complete"]
    assert [x.get_text() for x in axes.get_yticklabels()] == ["0.1", "0.2"] and bar.get_ylabel() == "local accuracy"
    with pytest.raises(ValueError, match=r"map is 'graph'.*give one of method.dsgd.lr, .*alpha, topology"):
        paper.heat_map(kept, ("graph", "lr"))
    kept.facts = {run: {"status": "failed at round 2", "swept": facts["swept"]} for run, facts in kept.facts.items()}
    with pytest.raises(ValueError, match="no run ended with a finite accuracy/local"):
        paper.heat_map(kept, ("topology", "lr"))


def test_axes_and_tables_say_the_same():
    history = runs()
    assert paper.curves(history, "accuracy/local").axes[0].get_ylabel() == "local accuracy"
    assert (
        history.plot("accuracy/local").get_ylabel()
        == history.table(["accuracy/local"]).cells()[0][1]
        == "local accuracy"
    )
    assert (
        history.plot("accuracy").get_ylabel()
        == paper.curves(history, "accuracy").axes[0].get_ylabel()
        == "test accuracy"
    )


def test_a_plot_over_bytes_has_an_axis_of_bytes():
    figure = runs().plot("accuracy", by="bytes").figure
    assert figure.axes[0].xaxis.get_major_formatter()(1500, 0) == "1.5 kB"
    assert figure.legends and figure.axes[0].get_legend() is None  # below the curves, on none of them


def test_the_command_writes_them(tmp_path, capsys):
    report.save(runs(), tmp_path / "run")
    files = [str(tmp_path / name) for name in ("t.tex", "f.svg")]
    given = [
        "--table",
        files[0],
        "--columns",
        "accuracy/local",
        "--target",
        "accuracy/local=0.3",
        "--figure",
        files[1],
        "--x",
        "bytes",
        "--width",
        "5",
    ]
    assert cli.main(["report", str(tmp_path / "run"), *given]) == 0
    assert (
        "rounds to 0.3" in (tmp_path / "t.tex").read_text()
        and r"\textbf{0.800}" in (tmp_path / "t.tex").read_text()
        and "<svg" in (tmp_path / "f.svg").read_text()
    )
    assert f"written to {files[1]}" in capsys.readouterr().out.replace("\n", "")
    for wrong, said in (
        (["--table", str(tmp_path / "t.doc")], "ends in .tex, .md, .csv"),
        (["--figure", str(tmp_path / "f.gif")], "ends in .pdf, .svg, .png or .pgf"),
        (["--metric", "accuracy"], "add --figure FILE"),
        (["--target", "accuracy/local"], "e.g. accuracy/local=0.8"),
        (["--target", "acuracy/local=0.8"], "did you mean 'accuracy/local'"),
        (["--target", "accuracy/local=nan"], "target is nan"),
        (["--band", "minmax", "--table", str(tmp_path / "t.tex")], "--band minmax is of curves"),
        (["--figure", str(tmp_path / "no" / "f.pdf")], "there is no directory"),
    ):
        assert cli.main(["report", str(tmp_path / "run"), *wrong]) == 2
        assert said in capsys.readouterr().err


def test_a_pgf_says_what_to_install(tmp_path, capsys, monkeypatch):
    report.save(runs(), tmp_path / "run")
    argv = ["report", str(tmp_path / "run"), "--figure", str(tmp_path / "f.pgf")]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert "needs pdflatex" in error and "install TeX Live" in error and error.count("\n") == 1
    broken = tmp_path / "pdflatex"
    broken.write_text(
        '#!/bin/sh\necho "! LaTeX Error: File \\`xcolor.sty\' not found."\nexec >&-\n/bin/cat > /dev/null\n'
    )
    broken.chmod(0o755)
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert "xcolor.sty" in error and "texlive-latex-extra" in error and error.count("\n") == 1


def test_labels_with_commas_are_kept_whole(tmp_path, capsys):
    history = three_fields()
    report.save(history, tmp_path / "sweep")
    kept = lambda *flags: cli.main(["report", str(tmp_path / "sweep"), *flags, "--json"])
    first, last = history.runs[0], history.runs[-1]
    for flags, runs_ in (
        (["--only", first], [first]),
        (["--only", first, "--only", last], [first, last]),
        (["--only", "topology=ring, lr=0.1"], [run for run in history.runs if "ring" in run or "lr=0.1" in run]),
    ):
        assert kept(*flags) == 0
        assert [row["run"] for row in json.loads(capsys.readouterr().out)["runs"]] == runs_


def test_whole_numbers_of_labels_are_sorted_as_numbers():
    history = marked(
        {
            f"lr={lr}, local_steps={k}": ("", {"lr": str(lr), "local_steps": str(k)}, {"accuracy/local": lr + k})
            for lr in (0.5, 0.25)
            for k in (10, 9)
        }
    )
    axes = paper.heat_map(history, ("local_steps", "lr")).axes[0]
    assert [x.get_text() for x in axes.get_xticklabels()] == ["9", "10"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[9.25, 10.25], [9.5, 10.5]])


def test_legends_begin_with_the_best_and_end_with_what_diverged():
    rows = {"a": ("", {}, {"objective": 2.0}), "b": ("", {}, {"objective": 1.0}), "c": ("", {}, {"objective": 0.1})}
    history = marked(rows, {"c": "diverged in round 5"})
    texts = [text.get_text() for text in history.plot("objective").figure.legends[0].get_texts()]
    assert texts == ["b  (1)", "a  (2)", "c  (0.1)  diverged"]


def test_small_multiples_say_in_which_panels_a_run_diverged():
    lost = {f"lr=0.2, alpha={alpha}, topology=ring": "diverged in round 5" for alpha in (1.0, 2.0)}
    lost |= {"lr=0.1, alpha=2.0, topology=ring": "diverged in round 9"}
    figure = paper.curves(three_fields(status=lost), "accuracy/local", facet="alpha")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:4] == [
        "lr=0.2, topology=ring  diverged",
        "lr=0.2, topology=complete",
        "lr=0.1, topology=ring  diverged in 2",
        "lr=0.1, topology=complete",
    ]
