"""Numbers node by node and class by class, and how equal they are, against loops in NumPy."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import softmax_toy as linear

from dejax import metrics
from dejax.metrics._nodes import shares

NODES, CLASSES = 6, 4


def guesses(params, i, x):
    return (x @ np.asarray(params["w"][i]) + np.asarray(params["b"][i])).argmax(1)


def accuracies(params, x, y):
    return np.array([(guesses(params, i, x) == y).mean() for i in range(NODES)])


def answering(problem):
    """The same task, which also says its scores."""

    @dataclasses.dataclass(frozen=True)
    class Answering(linear.Softmax):
        def answer(self, params, batch):
            return batch["x"] @ params["w"] + params["b"][None]

    return dataclasses.replace(problem, task=Answering())


def test_each_node_has_its_number_and_the_others_none():
    problem, params = linear.problem(), linear.population()
    test, bad = problem.data.test, np.array([False, True, False, False, True, False])
    want = accuracies(params, test["x"], test["y"])
    got = metrics.per_node(metrics.View(params, problem))
    np.testing.assert_allclose(got["accuracy/local_nodes"], want, rtol=1e-6)
    assert got["accuracy/own_test_nodes"].shape == got["loss/local_nodes"].shape == (NODES,)
    network = SimpleNamespace(attack=SimpleNamespace(is_adversary=lambda n: bad))
    got = metrics.per_node(metrics.View(params, problem, network))["accuracy/local_nodes"]
    np.testing.assert_allclose(got, np.where(bad, np.nan, want), rtol=1e-6)
    some = metrics.per_node(metrics.View(params, problem, nodes=2))["accuracy/local_nodes"]
    assert np.isfinite(some).sum() == 2 and np.nanmax(abs(some - want)) < 1e-6


def test_the_mean_of_the_nodes_is_that_of_local_models():
    view = metrics.View(linear.population(), linear.problem())
    nodes, means = metrics.per_node(view), metrics.local_models(view, own=True)
    for name in ("accuracy/local", "loss/local", "accuracy/own_test", "loss/own_test"):
        np.testing.assert_allclose(np.nanmean(nodes[f"{name}_nodes"].astype(np.float64)), means[name], rtol=1e-12)


def test_metrics_of_one_view_share_the_forward_passes(monkeypatch):
    asked = []
    monkeypatch.setattr(metrics.View, "ask", lambda self, *a, ask=metrics.View.ask: asked.append(a) or ask(self, *a))
    view = metrics.View(linear.population(), linear.problem())
    metrics.local_models(view, own=True)
    assert len(asked) == 1
    metrics.per_node(view), metrics.fairness(view), metrics.local_models(view)
    assert len(asked) == 1


def test_fairness_against_its_formulas():
    problem = linear.problem(even=False)
    params, test = linear.population(), problem.data.test
    v, rows = accuracies(params, test["x"], test["y"]), np.asarray(problem.data.count)
    got = metrics.fairness(metrics.View(params, problem))
    p = [x / sum(v) for x in v]
    want = {
        "": sum(v) / NODES,
        "_weighted": sum(s * x for s, x in zip(rows, v, strict=True)) / sum(rows),
        "_jain": sum(v) ** 2 / (NODES * sum(x * x for x in v)),
        "_entropy": -sum(q * np.log(q) for q in p if q) / np.log(NODES),
        "_variance": sum((x - sum(v) / NODES) ** 2 for x in v) / NODES,
        "_worst10": min(v),  # 10 % of six, rounded up, is one
        "_best10": max(v),
        "_range": max(v) - min(v),
    }
    assert len(set(rows.tolist())) > 1 and abs(want["_weighted"] - want[""]) > 1e-4
    for end, value in want.items():
        np.testing.assert_allclose(got[f"accuracy/local{end}"], value, rtol=1e-6)
    assert got["loss/local_worst10"] > got["loss/local_best10"]


def test_own_test_is_weighted_by_own_test_rows():
    rng, problem, params = np.random.default_rng(3), linear.problem(even=False), linear.population()
    rows, count = rng.integers(0, 40, (6, 5)).astype(np.int32), np.array([5, 1, 2, 0, 4, 3], np.int32)
    problem = dataclasses.replace(problem, data=dataclasses.replace(problem.data, test_index=rows, test_count=count))
    x, y = problem.data.test["x"], problem.data.test["y"]
    hits = sum((guesses(params, i, x[rows[i, :c]]) == y[rows[i, :c]]).sum() for i, c in enumerate(count))
    got = metrics.fairness(metrics.View(params, problem))
    np.testing.assert_allclose(got["accuracy/own_test_weighted"], hits / count.sum(), rtol=1e-6)  # of all rows together
    v, trained = accuracies(params, x, y), np.asarray(problem.data.count)  # on the test set of all: by training rows
    by_hand = sum(s * a for s, a in zip(trained, v, strict=True)) / trained.sum()
    assert abs(by_hand - (v @ count) / count.sum()) > 1e-3
    np.testing.assert_allclose(got["accuracy/local_weighted"], by_hand, rtol=1e-6)
    assert np.isnan(metrics.per_node(metrics.View(params, problem))["accuracy/own_test_nodes"][3])


def test_equal_nodes_are_fair_and_one_rich_node_is_not():
    equal = shares(np.full(20, 0.3), np.ones(20), "a", True)
    np.testing.assert_allclose([equal["a_jain"], equal["a_entropy"], equal["a_range"]], [1, 1, 0], atol=1e-12)
    one = shares(np.eye(20)[0], np.ones(20), "a", True)
    np.testing.assert_allclose([one["a_jain"], one["a_entropy"], one["a_worst10"]], [1 / 20, 0, 0], atol=1e-12)
    twenty = shares(np.arange(20.0), np.ones(20), "a", True)
    assert (twenty["a_worst10"], twenty["a_best10"]) == (0.5, 18.5)
    assert shares(np.array([np.nan, 2.0]), np.ones(2), "a", False)["a"] == 2.0
    assert np.isnan(shares(np.zeros(3), np.ones(3), "a", True)["a_jain"])
    assert np.isnan(shares(np.full(3, np.nan), np.ones(3), "a", True)["a"])


@pytest.mark.parametrize("shared", [False, True])
def test_classes_and_confusion_against_a_loop(shared):
    problem, params = answering(linear.problem()), linear.population()
    if shared:
        params = jax.tree.map(lambda x: jnp.stack([x[0]] * NODES), params)
    x, y = problem.data.test["x"], problem.data.test["y"]
    of = jax.tree.map(lambda v: v[0], params) if shared else params
    view = metrics.View(of, problem)
    got = metrics.per_class(view, nodes=True) | metrics.confusion(view)
    table = np.zeros((NODES, CLASSES, CLASSES))
    for i in range(NODES):
        for true, guess in zip(y, guesses(params, i, x), strict=True):
            table[i, true, guess] += 1
    with np.errstate(invalid="ignore"):
        by_class = np.einsum("icc->ic", table) / table.sum(2)
    assert np.isnan(by_class[:, 3]).all()  # the test set lacks it
    np.testing.assert_allclose(got["accuracy/local_nodes_classes"], by_class, rtol=1e-6)
    np.testing.assert_allclose(got["accuracy/local_classes"], by_class.mean(0), rtol=1e-6)
    np.testing.assert_allclose(got["confusion/local"], table.mean(0), rtol=1e-6)
    mean = jax.tree.map(lambda v: v.mean(0, keepdims=True), params)
    middle = guesses(mean, 0, x)
    np.testing.assert_array_equal(got["confusion/mean_model"].sum(0), np.bincount(middle, minlength=CLASSES))
    accuracy = np.trace(got["confusion/mean_model"]) / len(y)
    np.testing.assert_allclose(accuracy, metrics.mean_model(view)["accuracy/mean_model"], rtol=1e-6)
    weights = np.bincount(y, minlength=CLASSES)[:3] / len(y)
    np.testing.assert_allclose(
        got["loss/local_classes"][:3] @ weights, metrics.local_models(view)["loss/local"], rtol=1e-6
    )


def test_what_cannot_be_told_by_classes_is_refused():
    params = linear.population()
    with pytest.raises(ValueError, match="toy has no test set"):
        metrics.per_node(metrics.View(params, linear.problem(test=0)))
    with pytest.raises(ValueError, match=r"no answer\(params, batch\)"):
        metrics.confusion(metrics.View(params, linear.problem()))
    problem = linear.problem()
    bare = dataclasses.replace(problem, data=dataclasses.replace(problem.data, num_classes=0))
    with pytest.raises(ValueError, match="per_class needs one class label"):
        metrics.per_class(metrics.View(params, bare))


def test_shares_are_of_numbers_that_are_not_negative():
    got = shares(np.array([-1.0, 2.0, 3.0]), np.ones(3), "r2", True)
    assert np.isnan([got["r2_jain"], got["r2_entropy"]]).all()
    assert (got["r2"], got["r2_range"], got["r2_worst10"]) == (4 / 3, 4.0, -1.0)
    np.testing.assert_allclose(got["r2_variance"], (49 + 4 + 25) / 27, rtol=1e-12)
    with_none = shares(np.array([0.0, 1.0, 1.0]), np.ones(3), "a", True)
    np.testing.assert_allclose(
        [with_none["a_jain"], with_none["a_entropy"]], [2 / 3, np.log(2) / np.log(3)], rtol=1e-12
    )
