"""HeteroFL: nested sub-models, averaged over who holds an entry."""

import jax
import jax.numpy as jnp
import numpy as np
from references import LR, N, close, run

import dejax as dj
from dejax.methods.federated._heterofl import first_units

m = dj.methods


def network_of(share, params):
    return jax.tree.map(np.asarray, first_units(params, jnp.float32(share)))


def test_the_first_units_of_hidden_layers():
    dense = lambda a, b: {"kernel": np.zeros((a, b)), "bias": np.zeros(b)}
    params = {"layers": {str(i): dense(*s) for i, s in enumerate([(3, 4), (4, 6), (6, 2)])}}
    mask = network_of(0.5, params)["layers"]
    assert mask["0"]["kernel"][:, :2].all() and not mask["0"]["kernel"][:, 2:].any()
    assert mask["1"]["kernel"][:2, :3].all() and mask["1"]["kernel"].sum() == 6 and mask["1"]["bias"].sum() == 3
    assert mask["2"]["kernel"][:3].all() and not mask["2"]["kernel"][3:].any() and mask["2"]["bias"].all()
    conv = {"a": {"kernel": np.zeros((3, 3, 1, 4)), "bias": np.zeros(4)}, "b": dense(2 * 2 * 4, 5)}
    mask = network_of(0.5, conv)
    assert mask["a"]["kernel"][..., :2].all() and mask["a"]["kernel"].sum() == 18
    rows = mask["b"]["kernel"].any(1)
    assert (rows == (np.arange(16) % 4 < 2)).all()


def test_a_sub_model_answers_as_the_full_one_with_other_units_zero():
    task = dj.tasks.mlp(8, 6, 3)
    params = task.init(jax.random.key(0))
    mask = first_units(params, jnp.float32(0.5))
    zeroed = jax.tree.map(lambda p, k: p * k, params, mask)
    x = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    hidden = [
        k
        for k in jax.tree.leaves(jax.tree.map(lambda k: k.shape, mask), is_leaf=lambda s: isinstance(s, tuple))
        if k == (6,)
    ]
    assert hidden == [(6,)]
    leaves = {
        "/".join(str(getattr(k, "key", k)) for k in path): np.asarray(v)
        for path, v in jax.tree_util.tree_leaves_with_path(params)
    }
    first, last = sorted(k for k in leaves if k.endswith("kernel"))
    bias = lambda name: leaves[name.replace("kernel", "bias")]
    small = np.maximum(x @ leaves[first][:, :3] + bias(first)[:3], 0) @ leaves[last][:3] + bias(last)
    np.testing.assert_allclose(task.answer(zeroed, {"x": x}), small, rtol=1e-5, atol=1e-6)


def test_rounds_are_means_over_owners():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 8, 10), data)
    width = np.array([1.0, 0.5, 0.5, 0.25])
    state, meters = dj.rollout(m.heterofl(lr=0.5, width=width), problem, None, jax.random.key(0), 1)
    start, _ = dj.rollout(m.heterofl(lr=0.0, width=width), problem, None, jax.random.key(0), 1)
    x = start.params
    ends, masks = [], []
    for i in range(4):
        mask = first_units(x, jnp.float32(width[i]))
        held = jax.tree.map(lambda p, k: p * k, x, mask)
        loss = lambda p, i=i: problem.task.loss(p, {k: jnp.asarray(v) for k, v in data.node(i).items()}).mean()
        ends.append(jax.tree.map(lambda g, k: -0.5 * g * k, jax.grad(loss)(held), mask))
        masks.append(mask)
    total = jax.tree.map(lambda *k: sum(k), *masks)
    want = jax.tree.map(lambda p, t, *d: p + sum(d) / jnp.maximum(t, 1), x, total, *ends)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    entries = sum(int(k.sum()) for mask in masks for k in jax.tree.leaves(mask))
    assert meters.totals()["up/average"] == meters.totals()["down/average"] == 32 * entries


def test_full_width_is_fedavg():
    close(run(m.heterofl(lr=LR, local_steps=2), rounds=3)[1], run(m.fedavg(lr=LR, local_steps=2), rounds=3)[1])
    assert N > 1
