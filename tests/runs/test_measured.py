"""What own metrics return: names that are taken, numbers that become arrays, rows of different lengths."""

from functools import partial

import numpy as np
import pytest
import toy

import dejax as dj
from dejax import metrics
from dejax.runs.measured import OWN, Measured
from dejax.runs.simulate import simulate


def run(*measures, rounds=2, network=None, **how):
    method, problem, ring = toy.experiment()
    return simulate(
        method, problem, ring if network is None else network, rounds, metrics=list(measures), progress=False, **how
    )


def named(*names):
    def own(view):
        return dict.fromkeys(names, 0.5)

    return own


@pytest.mark.parametrize("name", [*OWN, "seed", "round", "run"])
def test_names_of_the_record_itself_are_refused(name):
    with pytest.raises(ValueError, match=f"metrics holds own, which returned '{name}'.*give it another name"):
        Measured([], {}).add(named(), {"fine": 0.5, name: 0.5})


def test_every_name_that_records_have_by_themselves_is_known():
    attack, clock = dj.attacks.sign_flip(adversaries=1), dj.faults.clock(latency=0.1)
    network = dj.Network(dj.topology.ring(6), attack=attack, clock=clock, audit=True)
    h = run(network=network)
    assert {name for name in h.names if not name.startswith("audit/")} <= set(OWN)
    with pytest.raises(ValueError, match="own, which returned 'audit/lost'"):
        run(named("audit/lost"), network=network)


def test_swept_numbers_are_names_of_the_record():
    _, problem, network = toy.experiment()
    with pytest.raises(ValueError, match="own, which returned 'lr'"):
        dj.sweep(
            lambda lr: (dj.methods.dsgd(lr=lr), problem, network), over={"lr": [0.1, 0.2]}, rounds=1, metrics=[named("lr")],
            progress=False,
        )  # fmt: skip


def test_a_name_is_of_one_metric():
    def other(view):
        return {"spread": 1.0}

    with pytest.raises(
        ValueError, match="metrics holds other, which returned 'spread', and so did own; give it another name"
    ):
        run(named("spread"), other)
    with pytest.raises(ValueError, match="holds own, which returned 'consensus', and so did consensus"):
        run("consensus", named("consensus"))
    joules = partial(metrics.energy, device="a100")
    with pytest.raises(ValueError, match="holds energy, which returned 'joules', and so did energy"):
        run(partial(joules, link="lte"), partial(joules, link="wifi"))
    assert run("local_models", "fairness", "consensus", "consensus").last("accuracy/local") >= 0  # which mean the same


def test_a_number_stays_a_number():
    def grows(view):
        return {"profile": 0.0 if view.index == 0 else np.zeros(3)}

    def shrinks(view):
        return {"profile": np.zeros(3) if view.index == 0 else 0.0}

    with pytest.raises(ValueError, match="holds grows, which returned profile as an array, but as a number before"):
        run(grows, every=1)
    with pytest.raises(ValueError, match="holds shrinks, which returned profile as a number, but as an array before"):
        run(shrinks, every=1)


def test_so_it_does_after_a_resume(tmp_path):
    which = {"array": False}

    def own(view):
        return {"profile": np.zeros(3) if which["array"] else 0.0, "rows": 0.0 if which["array"] else np.zeros(2)}

    h = run(own, out=tmp_path / "run", every=1)
    which["array"] = True
    with pytest.raises(ValueError, match="own, which returned profile as an array, but as a number before"):
        h.continue_(1)


def test_rows_of_different_lengths_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"holds own, which returned table = \[\[1\], \[2, 3\]\], rows of different lengths"
    ):
        run(ragged())


def ragged():
    def own(view):
        return {"table": [[1], [2, 3]]}

    return own


def test_targets_are_finite_numbers():
    h = run("objective")
    for target, says in (
        (None, "target is None"),
        ("x", r"target is 'x' \(str\)"),
        (float("nan"), "target is nan"),
        (np.inf, "inf"),
    ):
        with pytest.raises((ValueError, TypeError), match=says + ".*give a finite number"):
            h.to_target("objective", target)
    assert h.to_target("objective", np.float32(1e3))[0] == 0
