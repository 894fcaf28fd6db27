"""Which way a number is better: by names, by what is declared, and where it is asked for."""

import jax.numpy as jnp
import numpy as np
import pytest
import softmax_toy
import toy

import dejax as dj
from dejax import cli, metrics, report
from dejax.metrics.direction import declared, higher
from dejax.report import typeset
from dejax.report.history import History


def names(text):
    return text.split()


MORE = names("""accuracy accuracy/local precision recall top5 top5_accuracy accuracy_top5 balanced_accuracy f1 f1_macro auroc roc_auc bleu
mean_iou mIoU hits@10 ndcg@10 R2 reward mean_reward return discounted_return/local score f1_score accuracy@1 top-5 val/f1
log_likelihood explained_variance variance_explained explained_variance_score true_positive_rate accuracy/local_worst accuracy/local_p10 accuracy/own_test_best10
accuracy/local_jain loss/local_entropy foo/local_jain accuracy/local/small win_rate psnr""")
LESS = names("""loss loss/local mse rmse test_error perplexity distance_to_optimum wasserstein_distance accuracy_gap generalization_gap accuracy_std
accuracy/local_std accuracy/local_variance loss/local_range foo/local_std foo/local_std/personal cross_entropy negative_log_likelihood nll
brier_score accuracy_drop drop_rate top5_error log_loss false_positive_rates regret worst_regret objective consensus consensus/personal heterogeneity gradient
sharpness hessian_trace hessian_trace_error bytes bytes/node joules/compute flops wall epsilon kl reward_variance""")
UNKNOWN = names("""foo foo/local foo/local_worst participation epochs gradients evaluated neg_loss negative_accuracy attack_success_rate
attack_accuracy loss_reduction accuracy_gain accuracy_loss entropy gradient_similarity method.dsgd.lr audit/rejected lossy foo/local/loss
explained accuracy/backdoor objective/poisoned error_decrease error_decreased loss_decrease loss_drop drop_in_loss cost_savings gap_closed
distance_removed no_loss noise_explained""")


def test_names_say_which_way_is_better():
    assert {name: higher(name) for name in MORE} == dict.fromkeys(MORE, True)
    assert {name: higher(name) for name in LESS} == dict.fromkeys(LESS, False)
    assert {name: higher(name) for name in UNKNOWN} == dict.fromkeys(UNKNOWN)


def test_what_is_declared_wins():
    said = {"foo": True, "loss": True, "accuracy/local": False}
    assert [higher(name, said) for name in ("foo", "foo/local_worst", "loss/own_test", "accuracy/local")] == [
        True
    ] * 3 + [False]
    assert [higher(name, said) for name in ("foo/local_std", "accuracy/own_test")] == [False, True]


def test_declarations_are_collected_and_checked():
    def a(view): ...

    def b(view): ...

    a.higher, b.higher = {"foo": True}, {"foo": True, "bar": False}
    assert declared(a, b, metrics.consensus) == {"foo": True, "bar": False}
    b.higher = {"foo": False}
    with pytest.raises(ValueError, match="b.higher .*another metric or task says True of 'foo'"):
        declared(a, b)
    for wrong in (True, {"foo": 1}, ["foo"]):
        a.higher = wrong
        with pytest.raises(TypeError, match="a.higher .*give a dict from names to True or False"):
            declared(a)


def runs(name, *finals, first=0.1):
    """Runs a, b, ... of one number: 0.1 at round 0, then its last."""
    records = [
        {"run": run, "seed": 0, "round": t, name: value}
        for run, last in zip("abc", finals, strict=False)
        for t, value in ((0, first), (9, last))
    ]
    return History(records, {run: {} for run in "abc"[: len(finals)]})


@pytest.mark.parametrize("name", ["precision", "top5", "balanced_accuracy", "mean_iou", "accuracy_top5"])
def test_more_is_better_of_more_than_accuracy(name):
    h = runs(name, 0.9, 0.5)
    assert h.to_target(name, 0.8, "a")[0] == 9 and np.isnan(h.to_target(name, 0.8, "b")[0])
    assert h.peak(name, "a") == 0.9 and h.best(name) == "a"


def test_the_best_of_spreads_and_shares():
    assert runs("accuracy/local_std", 0.5, 0.2, first=0.0).best("accuracy/local_std") == "b"
    assert runs("loss/local_jain", 0.5, 0.9).best("loss/local_jain") == "b"
    assert runs("loss/local_std", 0.5, 0.2).best("loss/local_std") == "b"


def test_of_other_names_it_must_be_said():
    h = runs("recovered", 0.9, 0.5)
    asked = (
        lambda **how: h.to_target("recovered", 0.8, "a", **how),
        lambda **how: h.peak("recovered", "a", **how),
        lambda **how: h.best("recovered", **how),
    )
    for ask in asked:
        with pytest.raises(
            ValueError,
            match="higher is missing, but nothing says whether more of 'recovered' is better; give higher=True",
        ):
            ask()
        with pytest.raises(ValueError, match="higher is 1; give True"):
            ask(higher=1)
    assert [ask(higher=True) for ask in asked] == [9, 0.9, "a"]
    assert [ask(higher=False) for ask in asked] == [0, 0.1, "b"]
    for use in (lambda: h.table(target=("recovered", 0.8)), lambda: h.table(["best recovered"])):
        with pytest.raises(ValueError, match="higher is missing"):
            use()
    assert typeset.best_of(runs("x/recovered", 0.9, 0.5).table(["x/recovered"])) == {}
    h.higher["recovered"] = True
    assert [ask() for ask in asked] == [9, 0.9, "a"]
    assert h.table(target=("recovered", 0.8)).cells()[1][-1] == "9" and report.only(h, ["b"]).best("recovered") == "b"
    both = runs("x/recovered", 0.9, 0.5)
    both.higher["x"] = False
    assert typeset.best_of(both.table(["x/recovered"])) == {"x/recovered": [1]}
    with pytest.raises(ValueError, match="target is 'recovered'; give a number's name and a value"):
        h.table(target="recovered")


def test_a_metric_declares_it_for_all_who_read_its_records(tmp_path, capsys):
    def own(view):
        return {"recovered": 0.1 * view.index}

    method, problem, network = toy.experiment()
    dj.simulate(method, problem, network, 3, metrics=[own], out=tmp_path / "plain", every=1, progress=False)
    own.higher = {"recovered": True}
    dj.simulate(method, problem, network, 3, metrics=[own], out=tmp_path / "said", every=1, progress=False)
    back = report.load(tmp_path / "said")
    assert back.to_target("recovered", 0.15)[0] == 2 and back.facts["dsgd"]["higher"] == {"recovered": True}
    plain, ask = str(tmp_path / "plain"), ["--columns", "recovered", "--target", "recovered=0.15"]
    assert cli.main(["report", plain, *ask]) == 2
    assert "give --higher recovered, or --lower recovered" in capsys.readouterr().err
    assert cli.main(["report", plain, *ask, "--higher", "recovered", "--json"]) == 0
    assert '"to round": 2.0' in capsys.readouterr().out
    assert cli.main(["report", plain, *ask, "--lower", "recovered", "--json"]) == 0
    assert '"to round": 0.0' in capsys.readouterr().out
    assert cli.main(["report", plain, "--higher", "wall, recovered", "--lower", "recovered"]) == 2
    assert "--higher and --lower both name recovered; give it to one of them" in capsys.readouterr().err
    assert (
        cli.main(["report", plain, "--lower", "recoverd"]) == 2
        and "did you mean 'recovered'" in capsys.readouterr().err
    )


def measured(params, batch):
    return {"luck": jnp.arange(len(batch["y"])) * (1 + params["b"][0]), "precision": batch["y"] * (1 + params["b"][0])}


def test_the_worst_nodes_are_those_of_a_known_direction():
    toys = softmax_toy.problem()
    task = dj.tasks.from_functions(toys.task.init, toys.task.loss, measured)
    problem = dj.Problem(task, toys.data)
    params = softmax_toy.population()
    view = metrics.View(params, problem)
    each, got = metrics.per_node(view)["precision/local_nodes"], metrics.local_models(view) | metrics.fairness(view)
    np.testing.assert_allclose(got["precision/local_worst"], each.min())
    np.testing.assert_allclose(got["precision/local_worst10"], each.min())
    assert {name for name in got if name.startswith("luck/local")} == {
        "luck/local" + end for end in ("", "_std", "_weighted", "_jain", "_entropy", "_variance", "_range")
    }
    measured.higher = {"luck": False}
    try:
        got, each = metrics.local_models(metrics.View(params, problem)), metrics.per_node(view)["luck/local_nodes"]
        np.testing.assert_allclose(
            [got["luck/local_worst"], got["luck/local_p10"]], [each.max(), np.quantile(each, 0.9)]
        )
    finally:
        del measured.higher


def test_architectures_declare_what_their_tasks_do():
    task = lambda said: type("Task", (), {"higher": said})()
    both = dj.tasks.architectures({"a": task({"foo": True}), "b": task({"bar": False})}, {"a": 1, "b": 1})
    assert declared(both) == {"foo": True, "bar": False}
    apart = dj.tasks.architectures({"a": task({"foo": True}), "b": task({"foo": False})}, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="Task.higher .*another metric or task says True of 'foo'"):
        declared(apart)


def test_early_stopping_asks_the_same():
    method, problem, network = toy.experiment()

    def own(view):
        return {"recovered": 0.1 * view.index}

    stopped = lambda name, *measures: dj.simulate(
        method, problem, network, 6, metrics=list(measures), every=1, progress=False, patience=2, monitor=name
    )
    with pytest.raises(
        ValueError, match="monitor is 'recovered', but nothing says whether more of it is better; declare it"
    ):
        stopped("recovered", own)
    own.higher = {"recovered": True}
    assert stopped("recovered", own).records[-1]["round"] == 6
    own.higher = {"recovered": False}
    assert stopped("recovered", own).records[-1]["round"] == 2
    rising = lambda view: {"precision": 0.1 * view.index}
    assert stopped("precision", rising).records[-1]["round"] == 6
