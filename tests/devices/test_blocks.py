"""Nodes in blocks: same numbers, memory that does not grow with n, and blocks chosen by a budget."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import engine
from dejax.devices import node_blocks


def problem(n, block, **kw):
    rng = np.random.default_rng(0)
    arrays = {
        "x": jnp.asarray(rng.standard_normal((64, 8)), jnp.float32),
        "y": jnp.asarray(rng.integers(0, 3, 64), jnp.int32),
    }
    index, count = jnp.asarray(rng.integers(0, 64, (n, 4)), jnp.int32), jnp.full((n,), 4, jnp.int32)
    data = dj.data.NodeData(arrays, index, count, even=True, num_classes=3)
    return dj.Problem(dj.tasks.mlp(8, 16, 3), data, block=block, **{"batch_size": 4} | kw)


def chunk(problem):
    """The compiled chunk of D-PSGD on a ring."""
    parts = engine.prepare(dj.methods.dsgd(lr=0.1), problem, dj.Network(dj.topology.ring(problem.n)))
    key = jax.random.key(0)
    carry = jax.eval_shape(engine.start, *parts, key)
    return engine.run_chunk.lower(*parts, carry, key, jnp.int32(0), jnp.int32(1), 1).compile()


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 2])
def test_a_block_changes_nothing_but_rounding(block):
    ran = []
    for b in (None, block):
        state, meters = dj.rollout(
            dj.methods.dsgd(lr=0.1), problem(5, b), dj.Network(dj.topology.ring(5)), jax.random.key(3), 3
        )
        ran.append((state.params, meters.values["loss"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), *ran)


@pytest.mark.slow
def test_activations_and_batches_do_not_grow_with_n(monkeypatch):
    def scratch_beyond_models(n):
        program = chunk(problem(n, "auto", batch_size=256))
        model = 4 * (8 * 16 + 16 + 16 * 3 + 3)
        return program.memory_analysis().temp_size_in_bytes - 2 * model * n

    monkeypatch.setattr("dejax.devices.node_blocks.TRAINING", (2**22, 2**22))
    small, large = scratch_beyond_models(64), scratch_beyond_models(512)
    assert large < small + 2**22 < 512 * 256 * (8 + 16) * 4  # rows of the batches alone would be 1 kB a node


def test_auto_takes_a_divisor_that_fits():
    assert node_blocks.choose_block(1000, 1024, 300_000) == 256
    assert node_blocks.choose_block(1000, 1024, 1_024_000) is None
    assert node_blocks.choose_block(1000, 1021, 300_000) == 300  # prime: as many as fit
    assert node_blocks.choose_block(10**9, 8, 1) == 1


@pytest.mark.slow
def test_nodes_whose_gradients_outweigh_their_work_train_all_at_once():
    task, key = dj.tasks.mlp(1024, 1024, 10), jax.random.key(0)
    models = jax.tree.map(lambda x: jnp.stack([x] * 64), task.init(key))
    loss = lambda params, x, y: task.loss(params, {"x": x, "y": y}, key).sum()
    batch = lambda size: (jnp.zeros((64, size, 1024), jnp.float32), jnp.zeros((64, size), jnp.int32))
    assert (
        node_blocks.training_block(loss, (models, *batch(4)), 64) is None
    )  # gradients of 4 MiB a node, activations of 16 KiB
    assert node_blocks.training_block(loss, (models, *batch(4096)), 64) in (1, 2)  # activations of 16 MiB and more


@pytest.mark.slow
def test_evaluation_follows_memory_and_sums_do_not_depend_on_blocks():
    double = lambda x: jnp.sort(x) * 2
    small, large = jnp.zeros((8, 4), jnp.float32), jnp.zeros((8, 2**20), jnp.float32)
    room = node_blocks.budget(node_blocks.EVALUATION)
    assert node_blocks.choose_block(node_blocks.evaluation_bytes(double, small), 8, room) is None
    assert node_blocks.choose_block(node_blocks.evaluation_bytes(double, large), 8, room) in (1, 2)
    values = jnp.arange(28, dtype=jnp.float32).reshape(7, 4)
    for block in (1, 2, 3, 7, 50, None, "auto"):
        assert node_blocks.sum_nodes(double, values, block).tolist() == (2 * values.sum(0)).tolist()
        assert (node_blocks.map_nodes(double, values, block) == 2 * values).all()


@pytest.mark.parametrize("block", [0, -1, True, "all", 2.0])
def test_impossible_blocks_are_refused(block):
    with pytest.raises(ValueError, match="Problem.block is .*'auto'"):
        problem(5, block)


@pytest.mark.slow
def test_remat_keeps_less_through_rounds_and_changes_no_gradient():
    network, key = dj.Network(dj.topology.ring(8)), jax.random.key(0)

    def far(lr, given):
        state, _ = dj.rollout(dj.methods.dsgd(lr=lr), given, network, key, 2)
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(state.params))

    plain = problem(8, None, batch_size=256)
    programs = [
        jax.jit(jax.grad(far)).lower(jnp.float32(0.1), p).compile()
        for p in (plain, dataclasses.replace(plain, remat=True))
    ]
    kept, again = (p.memory_analysis().temp_size_in_bytes for p in programs)
    assert again < 0.8 * kept
    values = [
        p(jnp.float32(0.1), q) for p, q in zip(programs, (plain, dataclasses.replace(plain, remat=True)), strict=True)
    ]
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_residuals_are_what_the_backward_pass_reads():
    x, w = jnp.zeros((3, 16, 8), jnp.float32), jnp.zeros((3, 8, 4), jnp.float32)
    one = lambda w, x: jnp.sin(x @ w).sum()
    assert node_blocks.residual_bytes(one, w, x) == 16 * 8 * 4 + 16 * 4 * 4  # x for the weights, the cosine
    looped = lambda w, x: jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=5)[0].sum()
    square = jnp.zeros((3, 8, 8), jnp.float32)
    assert node_blocks.residual_bytes(looped, square, x) >= 2 * 5 * 16 * 8 * 4  # of every turn
    assert node_blocks.residual_bytes(jax.checkpoint(looped), square, x) <= (16 * 8 + 8 * 8) * 4


def test_the_largest_array_is_found_in_calls_loops_and_branches():
    x = jnp.zeros((3, 16), jnp.float32)
    wide = lambda x: jnp.outer(x, x).sum()
    for fn in (
        wide,
        jax.jit(wide),
        lambda x: jax.lax.cond(x[0] > 0, wide, jnp.sum, x),
        lambda x: jax.lax.map(wide, x[None]),
    ):
        assert node_blocks.evaluation_bytes(fn, x) == 2 * 16 * 16 * 4


@pytest.mark.parametrize(
    ("widths", "batch", "n", "block"),
    [
        ((64, 32, 10), 16, 64, None), ((64, 32, 10), 16, 65536, None), ((64, 32, 10), 64, 4096, None), ((64, 32, 10), 256, 4096, 128),
        ((16, 16, 10), 16, 65536, None), ((784, 128, 10), 16, 1024, None), ((784, 128, 10), 256, 64, None),
        ((784, 128, 10), 1024, 64, 1), ((784, 32, 10), 64, 1024, None),
    ],
)  # fmt: skip
def test_measured_settings_train_as_they_were_measured(widths, batch, n, block):
    task, key = dj.tasks.mlp(*widths), jax.random.key(0)
    rows = lambda x: jax.ShapeDtypeStruct((n, *x.shape), x.dtype)
    models = jax.tree.map(rows, jax.eval_shape(task.init, key))
    x, y = jax.ShapeDtypeStruct((n, batch, widths[0]), jnp.float32), jax.ShapeDtypeStruct((n, batch), jnp.int32)
    loss = lambda params, x, y: task.loss(params, {"x": x, "y": y}, key).mean()
    assert node_blocks.training_block(loss, (models, x, y), n) == block
