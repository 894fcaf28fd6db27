"""The matrix product with a fast weight gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dejax import tasks
from dejax.layers import matmul

pytestmark = pytest.mark.worlds


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_dot_general_equals_lax_at_any_order(shape, key):
    x, w = jax.random.normal(key, (4, *shape)), jax.random.normal(key, (4, 3, 2))
    numbers = (((len(shape) - 1,), (0,)), ((), ()))

    def all_of(dot):
        f = lambda x, w: jnp.sin(dot(x, w, numbers)).sum()
        grad = jax.grad(f, (0, 1))
        return jax.jit(jax.vmap(lambda x, w: (f(x, w), grad(x, w), jax.jvp(grad, (x, w), (x, w))[1])))(x, w)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
        all_of(tasks.dot_general),
        all_of(lax.dot_general),
    )


def test_products_under_a_node_axis_stay_apart_from_what_reads_them():
    """XLA must not fuse a layer's output into the loops that read it: the ring below would compute it three times."""
    x, w = jnp.ones((4, 8, 16), jnp.float32), jnp.ones((4, 16, 8), jnp.float32)
    layer = jax.vmap(lambda x, w: tasks.dot_general(x, w, (((1,), (0,)), ((), ()))))
    ring = lambda y: y + jnp.roll(y, 1, 0) + jnp.roll(y, -1, 0)
    program = jax.jit(lambda x, w: ring(layer(x, w))).lower(x, w).compile()
    np.testing.assert_array_equal(program(x, w), 48.0)
    if jax.default_backend() == "cpu":
        assert " call(" in program.as_text()


@pytest.mark.parametrize("form", ["nn", "tn", "nt"])
@pytest.mark.parametrize("axes", [(0, 0), (1, None), (None, 2), (2, 1)])
def test_whether_there_is_a_node_axis_is_read_off_the_operands(form, axes, key):
    """Under one vmap and under two, at any place, of both operands or of one; the primitive itself does not say."""
    a, b = jax.random.normal(key, (4, 4)), jax.random.normal(jax.random.split(key)[0], (4, 4))
    put = lambda x, axis: x if axis is None else jnp.stack([x, 2 * x, 3 * x], axis)
    product = functools.partial(matmul.matmul, form)
    plain = {"nn": jnp.matmul, "tn": lambda a, b: a.T @ b, "nt": lambda a, b: a @ b.T}[form]
    once = jax.vmap(product, axes)
    np.testing.assert_allclose(
        once(put(a, axes[0]), put(b, axes[1])), jax.vmap(plain, axes)(put(a, axes[0]), put(b, axes[1]))
    )
    twice, runs = jax.vmap(once), lambda x: jnp.stack([x, -x])
    want = jax.vmap(jax.vmap(plain, axes))
    args = runs(put(a, axes[0])), runs(put(b, axes[1]))
    np.testing.assert_allclose(jax.jit(twice)(*args), want(*args))
    assert "nodes" not in str(jax.make_jaxpr(twice)(*args))


@pytest.mark.parametrize("shape", [(0, 3, 2), (5, 0, 2), (5, 3, 0)], ids=["no rows", "no terms", "no columns"])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_products_without_rows_terms_or_columns_are_those_of_lax(shape, axes):
    m, k, c = shape
    a, b = (jnp.ones(s if axis is None else (4, *s)) for s, axis in zip(((m, k), (k, c)), axes, strict=True))

    def all_of(product):
        grad = jax.grad(lambda a, b: product(a, b).sum(), (0, 1))
        each = jax.vmap(lambda a, b: (product(a, b), grad(a, b)), axes)
        runs = lambda x: jnp.stack([x, x])
        return jax.jit(lambda a, b: (each(a, b), jax.vmap(each)(runs(a), runs(b))))(a, b)

    jax.tree.map(np.testing.assert_array_equal, all_of(_dot(tasks.dot_general)), all_of(_dot(lax.dot_general)))


def _dot(fn):
    return functools.partial(fn, dimension_numbers=(((1,), (0,)), ((), ())))


def test_a_product_of_shapes_that_do_not_fit_is_refused_where_it_is_made():
    a, b = jnp.ones((5, 16, 16)), jnp.ones((5, 16, 64))
    assert matmul.matmul_p.bind(a, b, form="nn", precision=None, apart=()).shape == (5, 16, 64)
    for bad in (b[0], b[:2], b[:, :3]):
        with pytest.raises(TypeError, match="product nn of shapes"):
            jax.eval_shape(lambda a, b: matmul.matmul_p.bind(a, b, form="nn", precision=None, apart=()), a, bad)


@pytest.mark.parametrize("contracted", [64, 64 + 5])
def test_a_long_contraction_in_pieces_is_the_product(contracted, key):
    a, b = jax.random.normal(key, (3, 6, contracted)), jax.random.normal(jax.random.split(key)[0], (3, contracted, 40))
    np.testing.assert_allclose(jax.jit(matmul._in_pieces)(a, b), a @ b, rtol=1e-9, atol=1e-9)


def test_pieces_may_stand_in_a_shard_map(key):
    a, b = jax.random.normal(key, (3, 6, 64)), jnp.ones((3, 64, 40))
    mesh, spec = jax.sharding.Mesh(jax.devices()[:1], ("nodes",)), jax.sharding.PartitionSpec("nodes")
    mapped = jax.shard_map(matmul._in_pieces, mesh=mesh, in_specs=spec, out_specs=spec)
    np.testing.assert_allclose(jax.jit(mapped)(a, b), a @ b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"m": 17}, False),
        ({"m": 3}, False),
        ({"c": 10}, False),
        ({"c": 512}, False),
        ({"k": 48}, False),
        ({"k": 1024}, False),
        ({"n": 10}, False),
        ({"form": "nt"}, False),
        ({"form": "tn"}, False),
        ({"dtype": jnp.bfloat16}, False),
        ({"narrow": False}, False),
        ({"release": (0, 12)}, False),
    ],
)
def test_pieces_are_taken_where_they_were_measured_to_help(change, taken, monkeypatch):
    at = {
        "n": 11,
        "m": 16,
        "k": 784,
        "c": 128,
        "form": "nn",
        "dtype": jnp.float32,
        "narrow": True,
        "release": (0, 10),
    } | change
    seen = []
    monkeypatch.setattr(matmul, "narrow", lambda: at["narrow"])
    monkeypatch.setattr(matmul, "release", lambda: at["release"])
    monkeypatch.setattr(matmul, "_in_pieces", lambda a, b: seen.append(a.shape) or a @ b)
    n, m, k, c = (at[name] for name in "nmkc")
    shapes = {"nn": ((m, k), (k, c)), "nt": ((m, k), (c, k)), "tn": ((k, m), (k, c))}[at["form"]]
    args = [jax.ShapeDtypeStruct((n, *shape), at["dtype"]) for shape in shapes]
    jax.eval_shape(lambda a, b: matmul._cpu(a, b, form=at["form"], precision=None, apart=()), *args)
    assert bool(seen) == taken


def test_a_product_that_goes_in_pieces_is_the_product_at_any_order(key, monkeypatch):
    pieces = []
    plain = matmul._in_pieces
    monkeypatch.setattr(matmul, "_pieces_pay", lambda a, b: True)
    monkeypatch.setattr(matmul, "_in_pieces", lambda a, b: pieces.append(a.shape[2]) or plain(a, b))
    a, b = jax.random.normal(key, (3, 6, 101)), jax.random.normal(jax.random.split(key)[0], (3, 101, 70))

    def all_of(product):
        grad = jax.grad(lambda a, b: jnp.sin(product(a, b)).sum(), (0, 1))
        return jax.jit(jax.vmap(lambda a, b: (product(a, b), grad(a, b), jax.jvp(grad, (a, b), (a, b))[1])))(a, b)

    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
    jax.tree.map(close, all_of(functools.partial(matmul.matmul, "nn")), all_of(jnp.matmul))
    if jax.default_backend() == "cpu":
        assert set(pieces) == {101}
