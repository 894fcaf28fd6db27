"""A step returns its state in the shapes and types in which it got it, whatever the precision of the models: from shapes alone."""

import dataclasses

import jax
import jax.numpy as jnp
import members
import numpy as np
import pytest

import dejax as dj
from dejax.data import NodeData

pytestmark = pytest.mark.worlds

ROUNDS = 3


def problem(dtype):
    """Regression whose data have the models' dtype."""
    rng = np.random.default_rng(0)
    arrays = {name: jnp.asarray(rng.standard_normal(size), dtype) for name, size in (("x", (24, 4)), ("y", (24,)))}
    index = jnp.arange(24, dtype=jnp.int32).reshape(members.N, -1)
    public = {name: x[:4] for name, x in arrays.items()}
    data = NodeData(arrays, index, jnp.full((members.N,), index.shape[1], jnp.int32), public=public)
    loss = lambda params, batch, key: jnp.square(batch["x"] @ params["w"] + params["shift"] - batch["y"])
    answer = lambda params, batch: batch["x"] @ params["w"]
    init = lambda key: {"w": jax.random.normal(key, (4,), dtype), "shift": jnp.zeros((), dtype)}
    task = dj.tasks.from_functions(init, loss, answer=answer)
    return dj.Problem(task, data, batch_size=2, starts="independent")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", members.methods())
def test_a_step_is_a_fixed_point_of_shapes_and_types(name, dtype, monkeypatch):
    method, seen = members.methods()[name], []
    if name == "ma_dsbo":  # one leaf for each of its levels
        method = dataclasses.replace(method, upper=("shift",))
    shapes = lambda state: jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), state)
    step = type(method).step

    def watched(self, state, round):
        new = step(self, state, round)
        seen.append((shapes(state), shapes(new)))
        return new

    monkeypatch.setattr(type(method), "step", watched)
    run = lambda key: dj.rollout(method, problem(dtype), members.network(name), key, ROUNDS)[0]
    jax.eval_shape(run, jax.random.key(0))
    assert seen
    for before, after in seen:
        assert before == after
