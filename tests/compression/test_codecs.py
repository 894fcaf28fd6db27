"""Codecs: what receivers hold, what is remembered, how many bits a message takes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import compression as c


class Ctx(NamedTuple):
    node_keys: Any
    place: Any = None
    held: Any = None


def context(key, n):
    return Ctx(node_keys=jax.random.split(key, n))


def values(n=5, dtype=jnp.float64, seed=0):
    rng = np.random.default_rng(seed)
    return {"a": jnp.asarray(rng.normal(size=(n, 3, 4)), dtype), "b": jnp.asarray(rng.normal(size=(n, 8)), dtype)}


def rows(tree):
    return np.concatenate([np.asarray(x).reshape(x.shape[0], -1) for x in jax.tree.leaves(tree)], 1)


@pytest.mark.slow
def test_direct_is_the_compressor(key):
    x, ctx = values(), context(key, 5)
    codec = c.direct(c.top_k(k=3))
    got, memory, size = codec.encode(ctx, codec.init(x), x)
    np.testing.assert_array_equal(rows(got), c.top_k(k=3).apply(None, jnp.asarray(rows(x)))[0])
    assert memory == () and size.units is None and size.bits == codec.bits(x) == 3 * 64 + 3 * 5
    same, _, size = c.direct(c.identity()).encode(ctx, (), x)
    np.testing.assert_array_equal(rows(same), rows(x))
    assert size.bits == 20 * 64 and c.direct(c.identity()).lossless and not codec.lossless


@pytest.mark.slow
def test_leaf_scope_compresses_every_tensor_on_its_own(key):
    x = values()
    codec = c.direct(c.top_k(ratio=0.25, scope="leaf"))
    got, _, size = codec.encode(context(key, 5), codec.init(x), x)
    assert ((np.asarray(got["a"]) != 0).sum((1, 2)) == 3).all() and ((np.asarray(got["b"]) != 0).sum(1) == 2).all()
    assert size.bits == codec.bits(x) == (3 * 64 + min(3 * 4, 12)) + (2 * 64 + 2 * 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "compressor", [c.top_k(k=4), c.rand_k(ratio=0.3), c.qsgd(levels=4), c.rand_k(ratio=0.5, scope="leaf")], ids=str
)
def test_copies_follow_the_value(compressor, key):
    """The copy is the running sum of what was sent, and reaches a constant value."""
    codec = c.copies(compressor, gamma=0.4)
    x = values()
    memory = codec.init(x)
    assert not rows(memory).any()
    step = jax.jit(codec.encode)
    start = np.linalg.norm(rows(x))
    for t in range(300):
        held, memory, _ = step(context(jax.random.fold_in(key, t), 5), memory, x)
        np.testing.assert_array_equal(rows(held), rows(memory))
    assert np.linalg.norm(rows(held) - rows(x)) < 1e-8 * start
    lossless, *_ = c.copies(c.identity(), gamma=1.0).encode(context(key, 5), codec.init(x), x)
    np.testing.assert_array_equal(rows(lossless), rows(x))


@pytest.mark.slow
def test_error_feedback_conserves_the_sum(key):
    """Messages sent plus the present error equal the values put in."""
    codec = c.error_feedback(c.top_k(k=2), gamma=0.05)
    memory, sent, put_in = codec.init(values()), 0, 0
    for t in range(50):
        x = values(seed=t)
        held, memory, size = codec.encode(context(key, 5), memory, x)
        sent, put_in = sent + rows(held), put_in + rows(x)
        assert ((rows(held) != 0).sum(1) == 2).all() and size.bits == 2 * 64 + 2 * 5
    np.testing.assert_allclose(sent + rows(memory), put_in, atol=1e-12)


@pytest.mark.slow
def test_low_precision_values_keep_float32_memory(key):
    x = values(dtype=jnp.bfloat16)
    for codec in (c.copies(c.top_k(k=4), 0.4), c.error_feedback(c.top_k(k=4), 0.05)):
        memory = codec.init(x)
        held, new, size = codec.encode(context(key, 5), memory, x)
        assert {leaf.dtype for leaf in jax.tree.leaves((memory, new))} == {jnp.dtype(jnp.float32)}
        assert {leaf.dtype for leaf in jax.tree.leaves(held)} == {jnp.dtype(jnp.bfloat16)}
        assert size.bits == codec.bits(x) == 4 * 32 + 4 * 5
    assert c.direct(c.top_k(k=4)).bits(x) == 4 * 16 + 4 * 5
    memory = codec.init(jax.eval_shape(lambda: x))  # shapes are enough
    assert jax.tree.leaves(memory)[0].shape == (5, 3, 4)


def test_gamma_is_a_leaf_and_k_is_structure(key):
    traces = []

    @jax.jit
    def run(codec, x):
        traces.append(1)
        held, *_ = codec.encode(context(key, 5), codec.init(x), x)
        return codec.gamma * rows_of(held)

    def rows_of(tree):
        return tree["b"]

    x = values()
    for gamma in (0.1, 0.2):
        run(c.copies(c.top_k(k=3), jnp.float32(gamma)), x)
    assert len(traces) == 1
    run(c.copies(c.top_k(k=4), jnp.float32(0.1)), x)
    assert len(traces) == 2


def test_draws_depend_on_the_node_not_on_its_place(key):
    x, keys = values(), jax.random.split(key, 5)
    order = np.array([3, 1, 4, 0, 2])
    codec = c.direct(c.rand_k(k=4))
    got = codec.encode(Ctx(node_keys=keys), (), x)[0]
    moved = codec.encode(Ctx(node_keys=keys[order]), (), jax.tree.map(lambda v: v[order], x))[0]
    np.testing.assert_array_equal(rows(moved), rows(got)[order])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: c.copies(c.top_k(k=1), gamma=0.0), ValueError, "Copies.gamma is 0.0"),
        (lambda: c.copies(c.top_k(k=1), gamma=1.5), ValueError, "Copies.gamma is 1.5"),
        (lambda: c.error_feedback(c.top_k(k=1), gamma=-1), ValueError, "ErrorFeedback.gamma is -1"),
        (lambda: c.direct(c.top_k(k=1), gamma=True), TypeError, "gamma"),
        (lambda: c.direct(c.top_k(k=21)).init(values()), ValueError, "TopK.k is 21.* d = 20"),
        (lambda: c.copies(c.top_k(k=9, scope="leaf"), 0.4).init(values()), ValueError, "smallest leaf has d = 8"),
        (lambda: c.copies(c.rand_k_unbiased(k=2), 0.4).init(values()), ValueError, "omega = 9"),
        (lambda: c.error_feedback(c.qsgd_unbiased(levels=1), 0.4).init(values()), ValueError, "contractive"),
    ],
)  # fmt: skip
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
