"""`dejax theory`: beside the records of the same run, and of no other."""

import json

import numpy as np
import pytest

import dejax as dj
from dejax.cli.parser import main
from dejax.cli.theory import compared
from dejax.report.predicted import figure, said

CONFIG = """
data: {source: {least_squares: {nodes: 6, dim: 3, L: 1.0, mu: 0.2, zeta2: 2.0, seed: 0}}}
method: {dsgd: {lr: 0.05}}
network: {topology: ring}
rounds: 30
eval: {every: 5, metrics: [objective, consensus]}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


def predicted(config, capsys, *flags):
    """What the command says of the only run, as JSON."""
    assert main(["theory", str(config), "--json", *flags]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"].values()
    return run


def test_the_command_and_the_report(config, tmp_path, capsys):
    """Predict, compare with a run directory, and draw over its records."""
    run, out = tmp_path / "run", tmp_path / "page"
    assert main(["run", str(config), "--out", str(run), "--quiet"]) == 0
    assert main(["theory", str(config), "--run", str(run)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "spectral gap 1 - rho: 0.3333",
        "effective neighbours",
        "mixing time",
        "zeta2 2",
        "exact",
        "bound",
        "Koloskova",
        "theory.json",
    ):
        assert words in text, (words, text)
    history = dj.report.load(run)
    curves = {(c["name"], c["kind"]): c for c in next(iter(history.theory.values()))["curves"]}
    rounds, values = history.series("objective")
    exact = curves["objective", "exact"]
    at = np.interp(rounds, exact["rounds"], exact["values"])
    np.testing.assert_allclose(values[0], at, rtol=1e-4)  # float32
    assert (values[0] <= np.interp(rounds, exact["rounds"], curves["objective", "bound"]["values"]) * (1 + 1e-5)).all()
    assert main(["report", str(run), "--out", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "Theory beside experiment" in page and "theory: upper bound" not in page.split("<svg")[0]
    assert dj.report.load(out).theory == history.theory
    lines = history.plot("objective").get_lines()
    assert len(lines) == 3  # measured, exact, bound
    assert main(["theory", str(config), "--json"]) == 0
    assert '"unknown"' in capsys.readouterr().out


def test_starts_of_all_seeds_are_predicted(tmp_path, capsys):
    """The mean over seeds of runs from unequal starts: its expectation to rounding, and below the bound."""
    config, run = tmp_path / "c.yaml", tmp_path / "run"
    source = "data: {source: {consensus: {nodes: 6, dim: 3, spread: 1.0}}}\nmethod: {dsgd: {lr: 0.1}}\nnetwork: {topology: ring}\n"
    config.write_text(
        source + "rounds: 20\nstarts: independent\nseed: [0, 1, 2]\neval: {every: 5, metrics: [consensus]}\n"
    )
    assert main(["run", str(config), "--out", str(run), "--quiet"]) == 0
    assert main(["theory", str(config), "--run", str(run)]) == 0
    capsys.readouterr()
    history = dj.report.load(run)
    x, values = history.series("consensus")
    drawn = {c["kind"]: np.array(c["values"]) for c in history.theory["dsgd"]["curves"] if c["name"] == "consensus"}
    np.testing.assert_allclose(values.mean(0), drawn["exact"][x.astype(int)], rtol=1e-4)
    assert (values.mean(0) <= drawn["bound"][x.astype(int)] * (1 + 1e-5)).all()
    assert len({round(v, 3) for v in values[:, 0]}) == 3  # seeds differ, so that one does not stand for all


def test_ratios_are_of_what_is_above_the_optimum(config, tmp_path, capsys):
    """Twice f - f* is a ratio of 2, however large f* is; what rounding does to a run is left out."""
    (history := dj.History()).records.extend(
        {"run": "a", "seed": 0, "round": t, "objective": 100 + v} for t, v in enumerate((2.0, 1.0, 1e-4))
    )
    history.facts["a"] = {}
    curve = dj.theory.Curve("objective", "exact", "", np.array([101.0, 100.5, 100 + 1e-6]), None, None, 1e-3)
    assert compared(history, "a", curve, 100.0) == pytest.approx((2.0, 2.0))
    assert compared(history, "a", curve._replace(resolution=10.0), 100.0) is None
    assert compared(history, "a", curve._replace(name="consensus"), 100.0) is None
    run, found = tmp_path / "run", predicted(config, capsys)
    assert main(["run", str(config), "--out", str(run), "--quiet"]) == 0
    curve = dj.theory.predict(*parts(0.05), 30).curve("objective", "exact")
    low, high = compared(dj.report.load(run), "dsgd", curve, found["f_star"])
    assert 0.99 < low <= high < 1.01
    other = dj.theory.predict(*parts(0.1), 30).curve("objective", "exact")
    assert compared(dj.report.load(run), "dsgd", other, found["f_star"])[1] > 1.05


def parts(lr):
    """What CONFIG says, in Python."""
    made = dj.data.least_squares(nodes=6, dim=3, L=1.0, mu=0.2, zeta2=2.0, seed=0)
    return dj.methods.dsgd(lr=lr), dj.Problem(made.task, made.data), dj.Network(dj.topology.ring(6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("method.dsgd.lr=0.1", "method.dsgd.lr of run 'dsgd' is 0.05 there and 0.1 in the config"),
        ("network.topology=complete", 'network.topology of run \'dsgd\' is "ring" there and "complete" in the config'),
        ("seed=[0, 1]", "seed of run 'dsgd' is [0] there and [0, 1] in the config"),
        ("data.source.least_squares.zeta2=1.0", "least_squares.zeta2 of run 'dsgd' is 2.0 there and 1.0"),
        ("batch_size=2", "batch_size of run 'dsgd' is null there and 2 in the config"),
        ("phases=[{until: 3}, {network: {topology: complete}}]", "phases of run 'dsgd' is null there and [{"),
    ],
)
def test_records_of_another_run_are_refused(config, tmp_path, capsys, change, words):
    run = tmp_path / "run"
    assert main(["run", str(config), "--out", str(run), "--quiet", "--set", "rounds=2"]) == 0
    capsys.readouterr()
    assert main(["theory", str(config), "--run", str(run), "--set", change]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (run / "theory.json").exists()


def test_runs_that_advance_together_are_described_as_each_alone(config, tmp_path, capsys):
    run = tmp_path / "run"
    config.write_text(CONFIG + "methods: {slow: {}, fast: {method: {dsgd: {lr: 0.1}}}}\n")
    assert main(["run", str(config), "--out", str(run), "--quiet"]) == 0
    assert main(["theory", str(config), "--run", str(run)]) == 0
    assert len(dj.report.load(run).theory) == 2
    assert main(["theory", str(config), "--run", str(run), "--set", "methods.fast.method.dsgd.lr=0.2"]) == 2
    assert "method.dsgd.lr of run 'fast' is 0.1 there and 0.2 in the config" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_run_directory_of_another_config_is_refused(config, tmp_path, capsys):
    made = dj.data.least_squares(nodes=6, dim=3)
    three = dj.methods.gradient_tracking(lr=0.1), dj.Problem(made.task, made.data), dj.Network(dj.topology.ring(6))
    dj.simulate(*three, rounds=2, metrics=[dj.metrics.objective], progress=False).save(tmp_path / "run")
    assert main(["theory", str(config), "--run", str(tmp_path / "run")]) == 2
    assert "holds the runs gradient_tracking, and the config dsgd" in capsys.readouterr().err
    history = dj.report.load(tmp_path / "run")
    history.records[:], history.facts = [r | {"run": "dsgd"} for r in history.records], {"dsgd": {}}
    history.save(tmp_path / "bare")
    assert main(["theory", str(config), "--run", str(tmp_path / "bare")]) == 2
    assert "does not say what run 'dsgd' was made of" in capsys.readouterr().err


def test_curves_go_on_in_later_phases(config, tmp_path, capsys, monkeypatch):
    """Through all phases that have a recursion, and no further."""
    config.write_text(CONFIG + "phases: [{until: 3}, {network: {topology: complete}}]\n")
    run, found = tmp_path / "run", predicted(config, capsys)
    assert {c["kind"] for c in found["curves"]} == {"exact", "bound"} and not found["unknown"] and not found["notes"]
    assert all(max(c["rounds"]) == 30 and c["floor"] is not None for c in found["curves"])
    assert main(["run", str(config), "--out", str(run), "--quiet"]) == 0
    assert main(["theory", str(config), "--run", str(run)]) == 0
    assert "graph of the first phase: rho" in capsys.readouterr().out
    x, values = dj.report.load(run).series("objective")
    exact = next(c for c in found["curves"] if (c["name"], c["kind"]) == ("objective", "exact"))
    np.testing.assert_allclose(values[0], np.array(exact["values"])[x.astype(int)], rtol=1e-4)
    config.write_text(CONFIG + "phases: [{until: 3}, {network: {topology: ring, faults: [{link_loss: {p: 0.1}}]}}]\n")
    found = predicted(config, capsys)
    assert found["curves"] and all(max(c["rounds"]) == 3 and c["floor"] is None for c in found["curves"])
    assert found["unknown"][-1].startswith("rounds 3 to 30: no curve holds with network.faults")
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["theory", str(config)]) == 0
    assert capsys.readouterr().out.count("(round 3)") == len(found["curves"])


def test_a_floor_without_limit_is_said_alike_everywhere(config, capsys, monkeypatch):
    """By the command, in JSON and on the page."""
    found = predicted(config, capsys, "--set", "method.dsgd.lr=3.0")
    assert all(c["rate"] > 1 and c["floor"] == "inf" for c in found["curves"])
    lines = [line for line in said(found) if "floor" in line]
    assert len(lines) == len(found["curves"]) and all("floor without limit;" in line for line in lines)
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["theory", str(config), "--set", "method.dsgd.lr=3.0"]) == 0
    text = capsys.readouterr().out
    assert "without limit" in text and "(round " not in text


def test_a_seed_that_ends_early_leaves_the_rest_to_compare_and_draw():
    (history := dj.History()).records.extend(
        {"run": "a", "seed": seed, "round": t, "consensus": 2.0 ** (1 - t)} for seed in (0, 1) for t in range(3 - seed)
    )
    curve = dj.theory.Curve("consensus", "exact", "", np.array([1.0, 0.5, 0.001]), None, None)
    history.facts["a"] = {}
    assert compared(history, "a", curve, None) == pytest.approx((2.0, 2.0))  # not of round 2, where seed 1 is missing
    plain = {"curves": [curve.plain()], "f_star": None}
    history.theory["a"] = plain
    (ax,) = figure(history).axes
    measured = next(line for line in ax.get_lines() if line.get_label() == "a")
    np.testing.assert_allclose(measured.get_ydata(), [2.0, 1.0, 0.5])


def test_a_sequence_says_that_its_gap_is_of_a_period(config, capsys):
    network = "network={topology: one_peer_ring}"
    assert main(["theory", str(config), "--set", network]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "spectral gap 1 - rho, per period of 2 rounds:" in text
