"""A task whose loss weighs its samples itself, by an argument `weight` that it may ask for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import testing

ROWS = np.array([1.0, 3.0, 10.0])


def init(key):
    return {"x": jnp.zeros((), float)}


def required(params, batch, key, weight):
    return params["x"] * (batch["x"] * weight).sum() / weight.sum()


def by_name(params, batch, key, *, weight):
    return required(params, batch, key, weight)


def optional(params, batch, key, weight=None):
    return required(params, batch, key, jnp.ones_like(batch["x"]) if weight is None else weight)


def measure(params, batch):
    return {"big": batch["x"]}


def problem(loss, metrics=None):
    """Shards of two rows and one, the second padded; all rows are test rows, too."""
    index, count = np.array([[0, 1], [2, 2]], np.int32), np.array([2, 1], np.int32)
    data = dj.data.NodeData({"x": ROWS}, index, count, test={"x": ROWS})
    return dj.Problem(dj.tasks.from_functions(init, loss, metrics), data)


@pytest.mark.parametrize("loss", [required, by_name, optional])
def test_the_loss_gets_the_weights_of_the_batch(loss, key):
    state, meters = dj.rollout(dj.methods.local_only(lr=1.0), problem(loss), None, key, 2)
    np.testing.assert_allclose(state.params["x"], [-4.0, -20.0])
    np.testing.assert_allclose(meters.values["loss"], [0.0, (-2.0 * 2 - 10.0 * 10) / 2])


def test_it_is_measured_where_all_samples_count():
    history = dj.simulate(
        dj.methods.local_only(lr=1.0), problem(required, measure), rounds=1, progress=False, metrics=["local_models"]
    )
    last = history.records[-1]
    np.testing.assert_allclose(last["loss/local"], np.mean([-2.0, -10.0]) * ROWS.mean())


@pytest.mark.slow
def test_the_check_of_tasks_takes_it():
    testing.check_task(dj.tasks.from_functions(init, required, measure), {"x": jnp.asarray(ROWS)})


def test_an_argument_of_another_name_is_refused():
    def wrong(params, batch, key, shares):
        return params["x"] * batch["x"]

    with pytest.raises((TypeError, ValueError), match="shares"):
        dj.rollout(dj.methods.local_only(lr=1.0), problem(wrong), None, jax.random.key(0), 1)
