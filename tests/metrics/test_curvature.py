"""The trace of the Hessian and the sharpness along the nodes' differences, against whole Hessians."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
import softmax_toy as toy

import dejax as dj
from dejax import metrics


def quadratic(made, x=None, **kw):
    """A view of models x of a synthetic problem, and the Hessian of its mean loss by NumPy."""
    problem = dj.Problem(made.task, made.data)
    x = zoo.starts(problem.n, made.task.dim) if x is None else x
    eye, zero = np.eye(made.task.dim), np.zeros(made.task.dim)
    hessian = np.stack([(made.gradients(e) - made.gradients(zero)).mean(0) for e in eye])
    return metrics.View({"x": jnp.asarray(x)}, problem, **kw), hessian, x


def test_one_probe_gives_the_trace_of_a_diagonal_hessian():
    view, hessian, _ = quadratic(dj.data.quadratics(nodes=4, dim=3, dtype="float64"))
    assert np.abs(hessian - np.diag(np.diag(hessian))).max() < 1e-12
    got = metrics.hessian_trace(view, probes=1)
    assert got.keys() == {"hessian_trace"}
    np.testing.assert_allclose(got["hessian_trace"], np.trace(hessian), rtol=1e-13)


def test_sharpness_is_half_the_trace_of_the_hessian_times_the_covariance_of_models():
    made = dj.data.least_squares(nodes=5, dim=4, L=3.0, mu=0.2, dtype="float64")
    view, hessian, x = quadratic(made)
    off = x - x.mean(0)
    got = metrics.sharpness(view)["sharpness"]
    np.testing.assert_allclose(got, 0.5 * np.trace(hessian @ (off.T @ off / 5)), rtol=1e-12)
    gap = np.mean([made.losses(row).mean() for row in x]) - made.losses(x.mean(0)).mean()
    np.testing.assert_allclose(got, gap, rtol=1e-9)
    some = metrics.View(view.params, view.problem, nodes=2)
    ids = metrics._models.chosen(np.arange(5), 2)
    np.testing.assert_allclose(
        metrics.sharpness(some)["sharpness"], 0.5 * np.mean([off[i] @ hessian @ off[i] for i in ids]), rtol=1e-12
    )


@pytest.mark.slow
def test_the_estimate_of_a_trace_lies_within_its_error():
    view, hessian, _ = quadratic(dj.data.least_squares(nodes=3, dim=6, L=3.0, mu=0.2, dtype="float64"))
    got = metrics.hessian_trace(view, probes=400)
    assert 0 < abs(got["hessian_trace"] - np.trace(hessian)) < 5 * got["hessian_trace_error"]
    assert got["hessian_trace_error"] < 0.1 * np.trace(hessian)
    assert metrics.hessian_trace(view, probes=400) == got


@pytest.mark.slow
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("block", [None, 2])
def test_a_loss_that_is_no_quadratic_on_uneven_nodes_without_an_adversary(even, block):
    problem, params = toy.problem(even=even), toy.population()
    hostile = np.arange(6) == 2
    params = jax.tree.map(lambda x: x.at[2].set(jnp.nan), params)
    view = metrics.View(params, problem, SimpleNamespace(attack=SimpleNamespace(is_adversary=lambda n: hostile)))
    honest = np.flatnonzero(~hostile)
    rows = np.concatenate([np.asarray(x).reshape(6, -1) for x in (params["b"], params["w"])], 1)[honest]

    def loss(flat):
        model = {"b": flat[:4], "w": flat[4:].reshape(3, 4)}
        nodes = [{k: jnp.asarray(v) for k, v in problem.data.node(i).items()} for i in honest]
        return sum(problem.task.loss(model, batch, None).mean() for batch in nodes) / len(honest)

    hessian = np.asarray(jax.hessian(loss)(jnp.asarray(rows.mean(0))))
    off = rows - rows.mean(0)
    got = metrics.sharpness(view, block=block)["sharpness"]
    np.testing.assert_allclose(got, 0.5 * np.einsum("id,de,ie->", off, hessian, off) / len(honest), rtol=1e-6)
    trace = metrics.hessian_trace(view, probes=300, block=block)
    assert abs(trace["hessian_trace"] - np.trace(hessian)) < 5 * trace["hessian_trace_error"] < np.trace(hessian)


@pytest.mark.slow
def test_only_shared_leaves_move():
    problem, params = toy.problem(), toy.population()
    own = dataclasses.replace(problem, roles={"b": "frozen"})
    equal = {"w": params["w"], "b": jnp.broadcast_to(params["b"].mean(0), params["b"].shape)}
    np.testing.assert_allclose(
        metrics.sharpness(metrics.View(params, own))["sharpness"],
        metrics.sharpness(metrics.View(equal, problem))["sharpness"],
        rtol=1e-12,
    )
    assert metrics.sharpness(metrics.View(jax.tree.map(lambda x: x[0], params), problem)) == {"sharpness": 0.0}


def test_a_number_of_probes_is_named():
    view, _, _ = quadratic(dj.data.quadratics(nodes=2, dim=2, dtype="float64"))
    with pytest.raises(ValueError, match=r"hessian_trace.probes is 0; give a whole number >= 1"):
        metrics.hessian_trace(view, probes=0)


@pytest.mark.slow
def test_a_run_measures_them_by_name():
    method, problem, network = dj.methods.dsgd(lr=0.1), toy.problem(), dj.Network(dj.topology.ring(6))
    asked = ["sharpness", partial(metrics.hessian_trace, probes=2)]
    history = dj.simulate(method, problem, network, rounds=4, every=2, metrics=asked, progress=False, seed=1)
    assert [set(r) & {"sharpness", "hessian_trace"} for r in history.records] == [{"sharpness", "hessian_trace"}] * len(
        history.records
    )
    assert history.records[-1]["sharpness"] > 0 and history.records[-1]["hessian_trace"] > 0
