"""Metrics of a population against loops in NumPy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import softmax_toy as linear

from dejax import metrics
from dejax.metrics import _models


def forward(w, b, x, y):
    logits = x @ w + b
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -log_p[np.arange(len(y)), y], (logits.argmax(1) == y).astype(float), np.exp(log_p)


def host(params):
    return np.asarray(params["w"]), np.asarray(params["b"])


@pytest.mark.parametrize("width", [None, 1, 4, 5])
@pytest.mark.parametrize("block", [None, 1, 2])
def test_local_models_against_a_loop(width, block):
    problem, params = linear.problem(), linear.population()
    got = metrics.local_models(metrics.View(params, problem, width=width), block=block)
    (w, b), test = host(params), problem.data.test
    loss, acc = np.array([[v.mean() for v in forward(w[i], b[i], test["x"], test["y"])[:2]] for i in range(6)]).T
    assert got["evaluated"] == 6
    sample = _models.chosen(np.arange(6), width)
    for name, values, higher in (("loss", loss, False), ("accuracy", acc, True)):
        np.testing.assert_allclose(got[f"{name}/local"], values.mean(), rtol=1e-6)
        if width in (None, 6):
            assert f"{name}/local_sample" not in got
        else:
            np.testing.assert_allclose(got[f"{name}/local_sample"], values[sample].mean(), rtol=1e-6)
        np.testing.assert_allclose(got[f"{name}/local_std"], values.std(), rtol=1e-5)
        np.testing.assert_allclose(got[f"{name}/local_worst"], values.min() if higher else values.max(), rtol=1e-6)
        np.testing.assert_allclose(got[f"{name}/local_p10"], np.quantile(values, 0.1 if higher else 0.9), rtol=1e-6)


def test_mean_model_and_consensus_leave_adversaries_out():
    problem, params = linear.problem(), linear.population()
    bad = np.array([False, True, False, False, True, False])
    params = jax.tree.map(lambda x: x.at[jnp.asarray(np.flatnonzero(bad))].set(jnp.nan), params)
    network = SimpleNamespace(attack=SimpleNamespace(is_adversary=lambda n: bad))
    view = metrics.View(params, problem, network)
    w, b = (x[~bad] for x in host(params))
    test = problem.data.test
    loss, acc, _ = forward(w.mean(0), b.mean(0), test["x"], test["y"])
    got = metrics.mean_model(view)
    np.testing.assert_allclose(got["loss/mean_model"], loss.mean(), rtol=1e-6)
    np.testing.assert_allclose(got["accuracy/mean_model"], acc.mean(), rtol=1e-6)
    want = sum(((w[i] - w.mean(0)) ** 2).sum() + ((b[i] - b.mean(0)) ** 2).sum() for i in range(4)) / 4
    np.testing.assert_allclose(metrics.consensus(view)["consensus"], want, rtol=1e-12)
    assert metrics.local_models(view)["evaluated"] == 4
    assert view.bad_node() is None
    assert metrics.View(params, problem).bad_node() == 1


@pytest.mark.parametrize("even", [True, False])
def test_own_test_weights_classes_by_the_nodes_labels(even):
    problem, params = linear.problem(even=even), linear.population()
    got = metrics.own_test(metrics.View(params, problem))
    (w, b), test, h = host(params), problem.data.test, problem.data.label_histogram()
    own = []
    for i in range(6):
        acc = forward(w[i], b[i], test["x"], test["y"])[1]
        shares = [(h[i, c], acc[test["y"] == c].mean()) for c in range(4) if (test["y"] == c).any()]
        total = sum(s for s, _ in shares)
        own.append(sum(s * a for s, a in shares) / total if total else np.nan)
    assert np.isnan(own).any() == (3 in problem.data.arrays["y"] and any(h[:, :3].sum(1) == 0))
    np.testing.assert_allclose(got["accuracy/own_test"], np.nanmean(own), rtol=1e-5)
    np.testing.assert_allclose(got["accuracy/own_test_p10"], np.nanquantile(own, 0.1), rtol=1e-5)
    assert not any(name.endswith("local") for name in got)


def test_own_test_on_own_rows():
    problem, params = linear.problem(), linear.population()
    rng = np.random.default_rng(3)
    rows, count = rng.integers(0, 40, (6, 5)).astype(np.int32), np.array([5, 1, 2, 0, 4, 3], np.int32)
    import dataclasses

    problem = dataclasses.replace(problem, data=dataclasses.replace(problem.data, test_index=rows, test_count=count))
    got = metrics.own_test(metrics.View(params, problem))
    (w, b), test = host(params), problem.data.test
    own = [
        forward(w[i], b[i], test["x"][rows[i, :c]], test["y"][rows[i, :c]])[1].mean() for i, c in enumerate(count) if c
    ]
    np.testing.assert_allclose(got["accuracy/own_test"], np.mean(own), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("block", [None, 1, 4])
def test_heterogeneity_and_objective_against_a_loop(even, block):
    problem, params = linear.problem(even=even), linear.population()
    view = metrics.View(params, problem)
    w, b = (x.mean(0) for x in host(params))
    grads, losses = [], []
    for i in range(6):
        mine = problem.data.node(i)
        loss, _, p = forward(w, b, mine["x"], mine["y"])
        p[np.arange(len(p)), mine["y"]] -= 1
        grads.append(np.r_[(mine["x"].T @ p / len(p)).ravel(), p.mean(0)])
        losses.append(loss.mean())
    center = np.mean(grads, 0)
    got = metrics.heterogeneity(view, block=block)
    np.testing.assert_allclose(got["heterogeneity"], np.mean([((g - center) ** 2).sum() for g in grads]), rtol=1e-6)
    np.testing.assert_allclose(got["gradient"], (center**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(metrics.objective(view, block=block)["objective"], np.mean(losses), rtol=1e-6)


def test_one_shared_model_counts_as_everybodys():
    problem, params = linear.problem(), linear.population()
    one = jax.tree.map(lambda x: x[0], params)
    view = metrics.View(one, problem)
    got = metrics.local_models(view) | metrics.mean_model(view) | metrics.consensus(view)
    assert got["accuracy/local"] == got["accuracy/mean_model"] and got["accuracy/local_std"] == 0 == got["consensus"]
    tiled = metrics.View(jax.tree.map(lambda x: jnp.stack([x] * 6), one), problem)
    np.testing.assert_allclose(
        metrics.own_test(view)["accuracy/own_test_p10"], metrics.own_test(tiled)["accuracy/own_test_p10"], rtol=1e-6
    )


def test_a_sample_of_nodes_is_distinct_and_stable():
    ids = _models.chosen(np.arange(100, dtype=np.int32), 17)
    assert len(set(ids.tolist())) == 17 and (ids == _models.chosen(np.arange(100, dtype=np.int32), 17)).all()
    assert len(_models.chosen(np.arange(5), 9)) == 5
    problem, params = linear.problem(), linear.population()
    got = metrics.local_models(metrics.View(params, problem, nodes=3))
    assert got["evaluated"] == 3
    with pytest.raises(ValueError, match="nodes to evaluate is 0"):
        metrics.local_models(metrics.View(params, problem, nodes=0))


def test_bad_input_names_what_is_missing():
    params = linear.population()
    view = metrics.View(params, linear.problem(test=0))
    for metric in (metrics.local_models, metrics.mean_model, metrics.own_test):
        with pytest.raises(ValueError, match="toy has no test set"):
            metric(view)
    with pytest.raises(ValueError, match="leaves of shapes .*there are 6 nodes"):
        metrics.View(linear.population(5), linear.problem())
