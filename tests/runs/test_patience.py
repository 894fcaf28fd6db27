"""Early stopping: where runs end by their own numbers, each on its own, also after a kill."""

import numpy as np
import pytest
import toy

import dejax as dj
from dejax import config
from dejax.runs.patience import Patience

CURVE = [0.1, 0.3, 0.5, 0.4, 0.5, 0.45, 0.7, 0.8, 0.8, 0.8]  # the best of the first six is at 2


def score(view):
    return {"accuracy/validation": CURVE[view.index]}


def run(rounds=9, **kw):
    method, problem, network = toy.experiment()
    return dj.simulate(
        method, problem, network, rounds, **({"progress": False, "every": 1, "metrics": [score, "consensus"], "monitor": "accuracy/validation"} | kw)
    )  # fmt: skip


def record(round, value, name="accuracy/validation", seed=0):
    return {"run": "a", "seed": seed, "round": round, name: value}


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (3, 5), (4, 9), (None, 9)])
def test_a_run_ends_after_so_many_evaluations_without_a_better_one(patience, last):
    """An equal number is no better one; the last round ends a run as it always does."""
    h = run(patience=patience, monitor="accuracy/validation" if patience else None)
    assert [r["round"] for r in h.records] == list(range(last + 1))
    status = f"stopped at round {last}: no better accuracy/validation in {patience} evaluation{'s' * (patience != 1)}"
    assert h.facts["dsgd"]["status"] == (status if last < 9 else "done")


def test_less_is_better_of_a_loss_and_what_is_not_finite_is_never_better():
    losses = [3.0, 2.0, float("nan"), 1.5, float("inf"), None, 2.0]
    watch = Patience(3, "loss/validation")
    assert [watch.over(record(t, v, "loss/validation")) for t, v in enumerate(losses)] == [False] * 6 + [True]


def test_seeds_are_watched_apart():
    watch = Patience(1, "accuracy/validation")
    got = [
        watch.over(record(t, v, seed=s)) for t, both in enumerate([(0.1, 0.5), (0.2, 0.4)]) for s, v in enumerate(both)
    ]
    assert got == [False, False, False, True]


def test_the_number_is_that_of_the_validation_part():
    method, problem, network = toy.experiment()
    with pytest.raises(
        ValueError, match=r"patience is 2, but toy has no validation part.*split\(validation=0.1\).*monitor='loss'"
    ):
        dj.simulate(method, problem, network, 3, patience=2, progress=False)
    data = dj.data.digits(flat=True).split(validation=0.2).partition(dj.data.iid(), nodes=4, seed=0)
    parts = (
        dj.methods.dsgd(lr=0.0),
        dj.Problem(dj.tasks.logistic(64, 10), data, batch_size=8),
        dj.Network(dj.topology.ring(4)),
    )
    h = dj.simulate(*parts, 8, every=1, patience=3, progress=False)  # models that stand still
    assert h.facts["dsgd"]["status"] == "stopped at round 3: no better accuracy/validation in 3 evaluations"
    with pytest.raises(ValueError, match="no number of a validation part is measured"):
        dj.simulate(*parts, 8, every=1, patience=3, metrics="consensus", progress=False)


@pytest.mark.parametrize(
    ("kw", "words"),
    [
        ({"patience": 0}, "patience is 0"),
        ({"patience": 2, "monitor": 3}, "monitor is 3; give the name of a number"),
        ({"monitor": "loss"}, "monitor is 'loss', but no patience says when a run ends; give patience=5"),
        (
            {"patience": 2, "monitor": "accuracy/test"},
            "monitor is 'accuracy/test', but the run measures accuracy/validation",
        ),
        ({"patience": 2, "monitor": "shine"}, "monitor is 'shine', but nothing says whether more of it is better"),
    ],
)
def test_what_cannot_be_watched_is_refused(kw, words):
    with pytest.raises((ValueError, TypeError), match=words):
        run(**kw)


def test_the_training_loss_can_be_watched():
    """There is none before the first round; from then on it rises where steps lead uphill."""
    watch = Patience(2, "loss")
    losses = [None, 1.0, 0.5, 0.6, 0.55]
    got = [
        watch.over({"run": "a", "seed": 0, "round": t} | ({} if x is None else {"loss": x}))
        for t, x in enumerate(losses)
    ]
    assert got == [False, False, False, False, True]
    assert run(rounds=3, patience=9, monitor="loss").records[-1]["round"] == 3  # measured where it is there


def test_a_run_goes_on_as_if_it_had_not_been_killed(tmp_path):
    first = run(rounds=3, patience=2, out=tmp_path / "run")
    assert first.facts["dsgd"]["status"] == "done"
    h = run(patience=2, resume=tmp_path / "run")
    assert toy.plain(h.records) == toy.plain(run(patience=2).records)
    again = run(patience=2, resume=tmp_path / "run")  # nothing is left to do
    assert len(again.records) == 5 and again.facts["dsgd"]["status"].startswith("stopped at round 4")
    more = run(patience=3, resume=tmp_path / "run")
    assert toy.plain(more.records) == toy.plain(run(patience=3).records)


def test_its_last_round_ends_a_run_as_it_always_does(tmp_path):
    first = run(rounds=4, patience=2, out=tmp_path / "run")
    assert (
        first.facts["dsgd"]["status"]
        == run(rounds=4, patience=2, resume=tmp_path / "run").facts["dsgd"]["status"]
        == "done"
    )


def test_numbers_that_are_not_finite_are_said_first():
    infinite = lambda view: {"loss/validation": [3.0, 2.0, float("inf"), float("inf")][view.index]}
    h = run(rounds=9, patience=2, monitor="loss/validation", metrics=[infinite])
    assert h.records[-1]["round"] == 3 and h.facts["dsgd"]["status"].startswith("nonfinite from round 2")
    assert h.best("loss/validation") is None


def test_the_last_line_has_the_numbers_of_a_run_that_ended_early(capsys):
    run(patience=1, progress=True)
    out, err = capsys.readouterr()
    last = (out + err).strip().splitlines()[-1]
    assert "stopped at round 3: no better accuracy/validation in 1 evaluation" in last and "consensus" in last


def test_without_patience_it_goes_on_to_the_end():
    h = run(patience=2).continue_(5, patience=None)
    assert toy.plain(h.records) == toy.plain(run(patience=None, monitor=None).records)


# ---- several runs in one program


def swept(rates, rounds=6, **kw):
    _, problem, network = toy.experiment()
    build = lambda lr: (dj.methods.dsgd(lr=lr), problem, network)
    return dj.sweep(build, {"lr": rates}, rounds=rounds, every=1, progress=False, metrics=["consensus"], **kw)


def rounds_of(history):
    return {label: [r["round"] for r in history.records if r["run"] == label] for label in history.runs}


def at_round(ends):
    return lambda record: record["run"] in ends and record["round"] >= ends[record["run"]]


def test_a_callback_ends_the_run_of_its_record_alone(tmp_path):
    rates, whole = [0.1, 0.2, 0.3], swept([0.1, 0.2, 0.3])
    got = swept(rates, callbacks=at_round({"lr=0.1": 2, "lr=0.3": 4}), out=tmp_path / "sweep")
    assert rounds_of(got) == {"lr=0.1": [0, 1, 2], "lr=0.2": [*range(7)], "lr=0.3": [*range(5)]}
    facts = {label: (fact["status"], fact["rounds"]) for label, fact in got.facts.items()}
    assert facts == {
        "lr=0.1": ("stopped by a callback at round 2", 2),
        "lr=0.2": ("done", 6),
        "lr=0.3": ("stopped by a callback at round 4", 4),
    }
    for label, rounds in rounds_of(got).items():
        mine, want = ([r["consensus"] for r in h.records if r["run"] == label] for h in (got, whole))
        np.testing.assert_allclose(mine, want[: len(rounds)], rtol=1e-9)
    # a run that ended stays over while others of its program go on
    again = swept(rates, rounds=8, resume=tmp_path / "sweep")
    assert {label: len(rounds) for label, rounds in rounds_of(again).items()} == {"lr=0.1": 3, "lr=0.2": 9, "lr=0.3": 5}


def test_each_run_of_a_sweep_has_its_own_patience(tmp_path):
    """Models that move apart and together again: consensus falls for longer at some rates than at others."""
    alone = {}
    _, problem, network = toy.experiment()
    rates = [0.05, 0.2, 0.8]
    when = {"every": 1, "patience": 1, "monitor": "consensus", "progress": False, "metrics": ["consensus"]}
    for lr in rates:
        alone[f"lr={lr}"] = [
            r["round"] for r in dj.simulate(dj.methods.dsgd(lr=lr), problem, network, 30, **when).records
        ]
    got = swept(rates, rounds=30, patience=1, monitor="consensus", out=tmp_path / "sweep")
    assert rounds_of(got) == alone
    assert any(len(rounds) < 31 for rounds in alone.values())


@pytest.mark.slow
def test_a_run_that_diverges_and_one_that_ends_stand_side_by_side(tmp_path):
    got = swept([0.1, 1e30], patience=1, monitor="consensus", out=tmp_path / "sweep")
    assert got.facts["lr=1e+30"]["status"].startswith("diverged")
    again = swept([0.1, 1e30], patience=1, monitor="consensus", resume=tmp_path / "sweep")
    assert rounds_of(again) == rounds_of(got)


def test_seeds_end_on_their_own():
    seen = lambda record: record["seed"] == 1 and record["round"] == 2
    h = run(rounds=4, seed=[0, 1], monitor=None, callbacks=seen)
    assert [[r["round"] for r in h.records if r["seed"] == s] for s in (0, 1)] == [[0, 1, 2, 3, 4], [0, 1, 2]]
    assert h.facts["dsgd"]["status"] == "done"


def test_a_seed_that_ended_stays_over_once_the_others_have_gone_on(tmp_path):
    """Its models have gone on with theirs, so that its records could not go on without a hole."""
    ends = {0: 1, 1: 2, 2: 4}
    each = lambda record: record["round"] >= ends[record["seed"]]
    first = run(rounds=8, seed=[0, 1, 2], monitor=None, callbacks=each, out=tmp_path / "run")
    rounds = lambda h: [[r["round"] for r in h.records if r["seed"] == s] for s in range(3)]
    assert rounds(first) == [[0, 1], [0, 1, 2], [0, 1, 2, 3, 4]]
    assert first.facts["dsgd"]["status"] == "stopped by a callback at round 4"
    assert first.facts["dsgd"]["ended"] == {str(s): f"stopped by a callback at round {t}" for s, t in ends.items()}
    assert any("seed 0 stopped by a callback at round 1; seed 1" in note for note in first.table().notes)
    again = run(rounds=8, seed=[0, 1, 2], monitor=None, resume=tmp_path / "run")
    assert rounds(again) == [[0, 1], [0, 1, 2], [*range(9)]]


@pytest.mark.slow
def test_a_sweep_with_a_validation_part_goes_on_where_one_of_its_runs_diverged(tmp_path):
    data = dj.data.digits(flat=True).split(validation=0.2).partition(dj.data.iid(), nodes=4, seed=0)
    problem, network = dj.Problem(dj.tasks.logistic(64, 10), data, batch_size=8), dj.Network(dj.topology.ring(4))
    build = lambda lr: (dj.methods.dsgd(lr=lr), problem, network)
    once = lambda **kw: dj.sweep(build, {"lr": [0.0, 1e36]}, rounds=4, every=1, patience=9, progress=False, **kw)
    got = once(out=tmp_path / "sweep")
    assert got.facts["lr=1e+36"]["status"].startswith("diverged")
    assert rounds_of(once(resume=tmp_path / "sweep")) == rounds_of(got)


def test_in_a_config(tmp_path):
    text = """
    task: {logistic: {}}
    data: {source: digits, nodes: 4, partition: iid, split: {validation: 0.1}}
    batch_size: 8
    method: {dsgd: {lr: 0.0}}
    network: {topology: ring}
    rounds: 8
    eval: {every: 1, patience: 2, monitor: loss/validation}
    """
    (tmp_path / "c.yaml").write_text("\n".join(line[4:] for line in text.split("\n")))
    loaded = config.load(str(tmp_path / "c.yaml"))
    assert loaded.eval["patience"] == 2 and loaded.eval["monitor"] == "loss/validation"
    with pytest.raises(dj.ConfigError, match=r"eval.patience.*0"):
        config.load(str(tmp_path / "c.yaml"), ["eval.patience=0"])
