"""A run whose evaluations are not finite says so where it is looked at."""

import json

import problems as zoo
import pytest

import dejax as dj
from dejax.runs.outcome import outcome

PROBLEM = zoo.squares()[0]
RING = dj.Network(dj.topology.ring(zoo.N))


def fragile():
    """A metric that breaks with its fourth evaluation, though all losses and models are finite."""
    seen = []

    def metric(view):
        seen.append(view.n)
        return {"fragile": 1.0 if len(seen) < 4 else float("nan")}

    return [metric]


@pytest.mark.slow
def test_a_run_with_nan_evaluations_is_not_called_done(tmp_path, capsys):
    run = lambda metrics, rounds=4, **kw: dj.simulate(
        dj.methods.dsgd(lr=0.1), PROBLEM, RING, rounds=rounds, every=1, metrics=metrics, **kw
    )
    history = run(fragile(), out=tmp_path / "run")
    status = "nonfinite from round 3: fragile"
    assert history.facts[history.runs[0]]["status"] == status
    assert status in capsys.readouterr().out  # the closing line
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert status in json.dumps(facts)
    assert "nonfinite" in repr(history)
    again = run(fragile(), resume=tmp_path / "run")
    assert again.facts[again.runs[0]]["status"] == status
    fine = run([dj.metrics.consensus], progress=False)
    assert fine.facts[fine.runs[0]]["status"] == "done"


def test_each_run_of_a_sweep_has_its_own_outcome():
    rounds = [{"round": t, "loss/local": 0.1 * t, "wall": 0.1} for t in range(3)]
    assert outcome(rounds) == "done"
    assert outcome([*rounds, {"round": 3, "loss/local": float("inf")}]) == "nonfinite from round 3: loss/local"
    assert outcome([{"round": 0, "loss/own_test": float("nan")}]) == "done"  # no node has any
