"""Runs measured at once: the same numbers as one by one, and no answer of another question."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import metrics
from dejax.metrics import View, together
from dejax.metrics.together import Together

RUNS, N = 3, 4
DATA = dj.data.digits().partition(dj.data.iid(), nodes=N, seed=0)
PROBLEM = dj.Problem(dj.tasks.logistic(64, 10), DATA)
KEYS = [jax.random.key(s) for s in range(RUNS)]


@functools.cache
def models():
    return [jax.vmap(PROBLEM.task.init)(jax.random.split(key, N)) for key in KEYS]


def measured():
    return Together(jax.tree.map(lambda *x: jnp.stack(x), *models()), jnp.stack(KEYS))


def views(network=None, **kw):
    together = measured()
    return [
        View(x, PROBLEM, network, key=key, together=(together, i), **kw)
        for i, (x, key) in enumerate(zip(models(), KEYS, strict=True))
    ], together


def test_runs_measured_at_once_have_the_numbers_of_runs_measured_alone(monkeypatch):
    calls, each = [], together._each
    monkeypatch.setattr(together, "_each", lambda *args: calls.append(args[0]) or each(*args))
    for i, view in enumerate(views(nodes=2)[0]):
        alone = View(models()[i], PROBLEM, key=KEYS[i], nodes=2)
        assert view.bad_node() is None
        for measure in (metrics.local_models, metrics.mean_model, metrics.consensus):
            got, want = measure(view), measure(alone)
            assert got.keys() == want.keys()
            np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=1e-5, atol=1e-6)
    assert len(calls) == 4  # not 12: the first run asks for all
    assert len({round(metrics.consensus(v)["consensus"], 4) for v in views()[0]}) == RUNS


def test_a_run_that_asks_otherwise_gets_its_own_answer():
    first, second, third = views()[0]
    want = [metrics.mean_model(View(x, PROBLEM, key=k)) for x, k in zip(models(), KEYS, strict=True)]
    metrics.consensus(first)
    assert metrics.mean_model(second) == pytest.approx(want[1], rel=1e-5)  # where the first asked for consensus
    assert metrics.local_models(third, block=1)["loss/local"] == pytest.approx(
        metrics.local_models(View(models()[2], PROBLEM, key=KEYS[2]))["loss/local"], rel=1e-5
    )


def test_other_adversaries_are_another_question():
    one, other = (dj.Network(attack=dj.attacks.sign_flip(adversaries=[i])) for i in (0, 1))
    together = measured()
    got = [
        metrics.consensus(View(models()[i], PROBLEM, network, key=KEYS[i], together=(together, i)))["consensus"]
        for i, network in enumerate((one, other))
    ]
    want = [
        metrics.consensus(View(models()[i], PROBLEM, network, key=KEYS[i]))["consensus"]
        for i, network in enumerate((one, other))
    ]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_what_is_large_is_measured_alone():
    assert Together.pays(zoo.starts())
    assert not Together.pays(jax.ShapeDtypeStruct((together.MOST // 4 + 1,), np.float32))
