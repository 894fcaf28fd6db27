"""Convolution and pooling under a node axis equal XLA's own, derivatives included."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import dejax as dj
from dejax import engine, tasks
from dejax.layers import conv

NHWC = ("NHWC", "HWIO", "NHWC")
CASES = {  # x, w, strides, padding, lhs dilation, rhs dilation, dimension numbers, groups
    "strides, groups, dilation": ((2, 5, 4, 4), (3, 2, 2, 6), (2, 1), "SAME", None, (1, 2), NHWC, 2),
    "gray": ((2, 6, 6, 1), (3, 3, 1, 2), (1, 1), "VALID", None, None, NHWC, 1),
    "transposed, channels first": (
        (2, 2, 4, 4),
        (3, 2, 3, 3),
        (1, 1),
        ((2, 2), (1, 2)),
        (2, 2),
        None,
        ("NCHW", "OIHW", "NCHW"),
        1,
    ),
    # wide windows: on CPUs gradients are plain convolutions of the library
    "wide": ((2, 5, 6, 8), (3, 4, 8, 5), (1, 1), ((1, 2), (3, 0)), None, None, NHWC, 1),
    "wide, cropped, channels first": (
        (2, 8, 9, 7),
        (4, 8, 5, 2),
        (1, 1),
        ((-1, 2), (4, -2)),
        None,
        None,
        ("NCHW", "OIHW", "NCHW"),
        1,
    ),
    "wide, gray, three axes": (
        (2, 4, 5, 3, 1),
        (3, 2, 2, 1, 3),
        (1, 1, 1),
        "SAME",
        None,
        None,
        ("NDHWC", "DHWIO", "NDHWC"),
        1,
    ),
    "one axis": ((2, 7, 3), (3, 3, 4), (2,), ((1, 1),), None, None, ("NHC", "HIO", "NHC"), 1),
}


# one of each back end in the common loop
QUICK = {"strides, groups, dilation", "transposed, channels first", "wide, cropped, channels first"}
PARAMS = [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES]


def pair(case):
    x, w, strides, padding, ld, rd, dn, groups = CASES[case]
    rng = np.random.default_rng(0)
    args = (strides, padding, ld, rd, dn, groups)
    fns = [lambda x, w, f=f: f(x, w, *args) for f in (conv.conv_general_dilated, lax.conv_general_dilated)]
    return jnp.asarray(rng.normal(size=(3, *x))), jnp.asarray(rng.normal(size=(3, *w))), *fns


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9), a, b)


@pytest.mark.parametrize("case", PARAMS)
def test_numbers_and_gradients_equal_lax(case):
    x, w, mine, native = pair(case)

    def all_of(f):
        grad = jax.grad(lambda x, w: jnp.sin(f(x, w)).sum(), (0, 1))
        return jax.jit(lambda x, w: (f(x[0], w[0]), jax.vmap(grad)(x, w), jax.vmap(grad, (None, 0))(x[0], w)))(x, w)

    close(all_of(mine), all_of(native))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_compositions_equal_lax(case):
    x, w, mine, native = pair(case)

    def all_of(f):
        grad = jax.grad(lambda x, w: jnp.sin(f(x, w)).sum(), (0, 1))
        curvature = lambda x, w: jax.jvp(grad, (x, w), (x, w))[1]
        runs = lambda g: jax.vmap(jax.vmap(g, (None, 0)), (0, None))
        outer = jax.grad(lambda x, w: jnp.sin(jax.vmap(f)(x, w)).sum(), (0, 1))
        return jax.jit(
            lambda x, w: (
                jax.vmap(curvature)(x, w),
                runs(grad)(x, w),
                outer(x, w),
                jax.vmap(f, (0, None))(x, w[0]),
                jax.vmap(curvature, (None, 0))(x[0], w),  # what nodes share
                jax.vmap(jax.vmap(grad, (None, 0)))(x, jnp.stack([w, -w, w])),
                jax.vmap(jax.vmap(grad, (0, None)))(jnp.stack([x, -x, x]), w),
                jax.vmap(jax.vmap(grad, (None, 0)), (None, 0))(x[0], jnp.stack([w, -w])),
                jax.grad(lambda x: jnp.sin(jax.vmap(grad, (None, 0))(x, w)[1]).sum())(x[0]),
            )
        )(x, w)

    close(all_of(mine), all_of(native))


@pytest.mark.parametrize("case", PARAMS)
def test_patches_of_the_accelerator_path_equal_lax(case):
    x, w, mine, native = pair(case)
    params = next(e for e in jax.make_jaxpr(mine)(x[0], w[0]).eqns if e.primitive is conv.conv_p).params
    got = jax.jit(functools.partial(conv._accelerator, **(params | {"nodes": ("x", "w")})))(x, w)
    close(got, jax.vmap(native)(x, w))


@pytest.mark.parametrize("padding", ["VALID", ((0, 0), (2, 2))])
def test_a_window_larger_than_its_input_gives_nothing_and_no_gradient(padding):
    x, w = jnp.ones((3, 2, 3, 3, 1)), jnp.ones((3, 5, 5, 1, 4))
    mine, native = (
        lambda x, w, f=f: f(x, w, (1, 1), padding, dimension_numbers=NHWC)
        for f in (conv.conv_general_dilated, lax.conv_general_dilated)
    )
    assert jax.vmap(mine)(x, w).shape == jax.vmap(native)(x, w).shape
    for grad in jax.vmap(jax.grad(lambda x, w: mine(x, w).sum() + (w**2).sum(), (0, 1)))(x, w):
        assert grad.shape in (x.shape, w.shape)
        np.testing.assert_array_equal(grad, 0 if grad.shape == x.shape else 2)


def test_no_grouped_convolution_is_left():
    x, w, mine, _ = pair("gray")
    text = jax.jit(jax.vmap(jax.grad(lambda w, x: mine(x, w).sum()))).lower(w, x).as_text()
    assert "feature_group_count = 3" not in text and "batch_group_count = 3" not in text


@pytest.mark.parametrize(("argument", "groups"), [(None, 2), (1, 2), (1, 1)])
def test_what_all_nodes_share_is_not_copied(argument, groups):
    """A convolution (None) and its gradient by w, of one x under the weights of 64 nodes."""
    x, w = jnp.ones((4, 8, 8, 16)), jnp.ones((64, 2, 2, 16 // groups, 2))
    fn = functools.partial(
        conv.conv_general_dilated,
        window_strides=(2, 2),
        padding="VALID",
        dimension_numbers=NHWC,
        feature_group_count=groups,
    )
    fn = fn if argument is None else jax.grad(lambda x, w, f=fn: jnp.sin(f(x, w)).sum(), argument)
    program = jax.jit(jax.vmap(fn, (None, 0))).lower(x, w).compile()
    assert program.memory_analysis().temp_size_in_bytes < 32 * x.nbytes


POOLS = [  # shape, window, strides, padding
    ((2, 8, 8, 3), (2, 2), None, "VALID"),
    ((2, 9, 7, 3), (3, 3), (2, 2), "VALID"),
    ((2, 9, 7, 3), (3, 2), (1, 2), "SAME"),
    ((2, 9, 7, 3), (2, 3), (3, 1), ((1, 0), (2, 2))),
    ((2, 9, 3), (1,), (2,), ((1, 1),)),  # windows of padding alone
    ((2, 9, 3), (3,), (2,), "SAME"),
    ((2, 4, 5, 6, 2), (2, 2, 3), (1, 2, 2), "SAME"),
    ((2, 10, 10, 2), (5, 4), None, "VALID"),
    ((2, 9, 9, 2), (5, 5), (2, 2), "SAME"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "window", "strides", "padding"), POOLS)
@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("values", ["ties", "infinite", "NaN"])
def test_pools_equal_flax(name, shape, window, strides, padding, values):
    """Values and gradients under vmap, where the gradient of equal maxima goes included."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(2, *shape)) * 2)
    if values != "ties":
        x[rng.random(x.shape) < 0.2] = np.nan if values == "NaN" else -np.inf
    both = []
    for pool in (getattr(conv, name), getattr(nnx, name)):
        fn = jax.vmap(lambda x, f=pool: f(x, window, strides or window, padding))
        y, back = jax.vjp(fn, jnp.asarray(x))
        both.append((y, jax.jit(back)(jnp.cos(jnp.arange(y.size, dtype=y.dtype).reshape(y.shape)))))
    close(both[0][0], both[1][0])
    if (name, window, values) != ("max_pool", (5, 4), "NaN"):  # more than 16 places: to the first of a window with NaN
        close(both[0][1], both[1][1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_pools_have_tangents_second_derivatives_and_other_types(name):
    x, pool = jax.random.normal(jax.random.key(0), (2, 7, 6, 3)), getattr(conv, name)
    fns = [lambda x: pool(x, (3, 3), (2, 2), "SAME"), lambda x: getattr(nnx, name)(x, (3, 3), (2, 2), "SAME")]
    tangents, curvatures = (
        [d(f) for f in fns]
        for d in (
            lambda f: jax.jvp(f, (x,), (jnp.sin(x),)),
            lambda f: jax.jvp(jax.grad(lambda x: jnp.sin(f(x)).sum()), (x,), (jnp.cos(x),)),
        )
    )
    close(*tangents)
    close(*curvatures)
    for dtype in (jnp.bfloat16, jnp.int32):
        mine, plain = (f((4 * x).astype(dtype)) for f in fns)
        assert mine.dtype == plain.dtype
        np.testing.assert_allclose(mine.astype(float), plain.astype(float), atol=2**-4)


def test_gradients_of_overlapping_windows_are_no_scatter():
    x = jnp.ones((2, 8, 8, 3))
    for pool in (conv.max_pool, conv.avg_pool):
        text = jax.jit(jax.grad(lambda x, f=pool: f(x, (3, 3), (2, 2), "SAME").sum())).lower(x).as_text()
        assert "scatter" not in text and "reduce_window" not in text


def test_what_is_not_a_number_flows_back_through_a_maximum():
    """To where XLA's own rule brings it: a place beside NaN counts as larger than what came before it."""
    x = jnp.array([1.0, jnp.nan, 0.0, 2.0, 3.0, 3.0, 1.0, 0.0]).reshape(1, 2, 4, 1)
    y, back = jax.vjp(lambda x: conv.max_pool(x, (2, 2)), x)
    np.testing.assert_array_equal(y.ravel(), [np.nan, 2])
    np.testing.assert_array_equal(back(y)[0].ravel(), [0, 0, 0, 2, np.nan, 0, 0, 0])


def test_pool_refusals():
    with pytest.raises(ValueError, match="one size per spatial axis"):
        conv.max_pool(jnp.ones((1, 4, 4, 1)), (2,))
    with pytest.raises(ValueError, match="larger than x"):
        conv.max_pool(jnp.ones((1, 4, 4, 1)), (5, 5))


class Plain(nnx.Module):
    def __init__(self, rngs):
        self.conv, self.linear = nnx.Conv(1, 2, (3, 3), rngs=rngs), nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear(self.conv(x[..., None]).mean((1, 2)))


@pytest.mark.slow
def test_plain_flax_layers_become_fast_ones():
    task, batch = tasks.classifier(Plain), {"x": jnp.ones((2, 4, 4)), "y": jnp.zeros(2, jnp.int32)}
    params = task.init(jax.random.key(0))
    names = str(jax.make_jaxpr(task.loss)(params, batch))
    assert "dejax_conv" in names and "dejax_matmul" in names
    assert not tasks.warn_if_slow(task, batch)
    plain = Plain(nnx.Rngs(jax.random.key(0)))
    close(task.module(params)(batch["x"]), plain(batch["x"]))


def native(params, batch, key):
    del key
    y = lax.conv_general_dilated(batch["x"][..., None], params, (1, 1), "SAME", dimension_numbers=NHWC)
    return y.reshape(len(y), -1).mean(1)


def test_native_convolutions_warn_once_before_anything_is_compiled():
    task = tasks.from_functions(lambda key: jnp.ones((3, 3, 1, 2), jnp.float32), native)
    arrays = {"x": jnp.ones((6, 4, 4), jnp.float32), "y": jnp.zeros(6, jnp.int32)}
    index = jnp.arange(6, dtype=jnp.int32).reshape(3, 2)
    data = dj.data.NodeData(arrays, index, jnp.full(3, 2, jnp.int32), even=True)
    parts = dj.methods.dsgd(lr=0.1), dj.Problem(task, data), dj.Network(dj.topology.ring(3))
    with pytest.warns(UserWarning, match="slow grouped ones; call dejax"):
        engine.prepare(*parts)
    engine.prepare(*parts)  # a second warning would be an error here


class Up(nnx.Module):
    def __init__(self, rngs, strides):
        self.up = nnx.ConvTranspose(1, 2, (3, 3), strides, rngs=rngs, dtype=jnp.float32)

    def __call__(self, x):
        return self.up(x[..., None]).mean((1, 2))


def converted(conv_general_dilated, dtype, wider):
    """A task of one convolution in `dtype` with sums in `wider`."""

    def loss(params, batch, key):
        del key
        x, w = batch["x"][..., None].astype(dtype), params.astype(dtype)
        y = conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC, preferred_element_type=jnp.dtype(wider))
        return y.reshape(len(y), -1).astype(jnp.float32).mean(1)

    return tasks.from_functions(lambda key: jnp.ones((3, 3, 1, 2), jnp.float32), loss)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            tasks.classifier(functools.partial(Up, strides=2)),
            "for transposed ones call .* with lhs_dilation .*, nnx.ConvTranspose cannot",
        ),
        (tasks.classifier(functools.partial(Up, strides=1)), "call .* instead .* nnx.ConvTranspose cannot"),
        (
            converted(lax.conv_general_dilated, jnp.bfloat16, "float32"),
            "call dejax.tasks.conv.conv_general_dilated instead",
        ),
        (
            converted(lax.conv_general_dilated, jnp.int8, "int32"),
            "no fast form of int8 and int8 to int32, give a floating dtype",
        ),
    ],
)
def test_the_warning_about_a_native_convolution_says_what_it_can_be(task, words):
    batch = {"x": jnp.ones((2, 4, 4), jnp.float32), "y": jnp.zeros(2, jnp.int32)}
    with pytest.warns(UserWarning, match=words):
        assert tasks.warn_if_slow(task, batch)


class Pooled(nnx.Module):
    def __init__(self, rngs, pool, first=False):
        self.pool, self.first, self.conv = pool, first, nnx.Conv(1, 2, (3, 3), rngs=rngs)

    def __call__(self, x):
        x = x[..., None]
        return self.conv(self.pool(x)).mean((1, 2)) if self.first else self.pool(self.conv(x)).mean((1, 2))


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (
            lambda x: nnx.max_pool(x, (2, 2), (2, 2)),
            r"max_pool\(x, \(2, 2\), strides=\(2, 2\)\) instead of nnx.max_pool",
        ),
        (lambda x: nnx.max_pool(x, (3, 3), (2, 2), "SAME"), r"padding=\(\(0, 1\), \(0, 1\)\)\) instead"),
        (lambda x: nnx.avg_pool(x, (8, 8), (8, 8)), r"avg_pool\(x, \(8, 8\), strides=\(8, 8\)\) instead"),
    ],
)
def test_the_warning_about_a_plain_pool_says_the_fast_one(pool, words):
    batch = {"x": jnp.ones((2, 8, 8), jnp.float32), "y": jnp.zeros(2, jnp.int32)}
    with pytest.warns(UserWarning, match=words):
        assert tasks.warn_if_slow(tasks.classifier(functools.partial(Pooled, pool=pool)), batch)
    # no gradient passes a pool of the samples themselves
    assert not tasks.warn_if_slow(tasks.classifier(functools.partial(Pooled, pool=pool, first=True)), batch)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: conv.max_pool(x, (2, 2)),
        lambda x: nnx.avg_pool(x, (2, 2), (2, 2)),
        lambda x: nnx.max_pool(x, (5, 5), (1, 1)),  # dejax's own goes the same way
    ],
)
def test_pools_that_are_as_fast_as_they_can_be_pass(pool):
    batch = {"x": jnp.ones((2, 8, 8), jnp.float32), "y": jnp.zeros(2, jnp.int32)}
    assert not tasks.warn_if_slow(tasks.classifier(functools.partial(Pooled, pool=pool)), batch)


@pytest.mark.parametrize("case", PARAMS)
def test_sums_in_a_wider_type_equal_those_of_lax(case, key):
    xs, ws, strides, padding, lhs, rhs, numbers, groups = CASES[case]
    nodes = 2
    x, w = (
        jax.random.normal(k, (nodes, *s), jnp.bfloat16) for k, s in zip(jax.random.split(key), (xs, ws), strict=True)
    )

    def grads(fn):
        def one(x, w):
            y = fn(x, w, strides, padding, lhs, rhs, numbers, groups, preferred_element_type=jnp.float32)
            assert y.dtype == jnp.float32
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.vmap(jax.grad(one, (0, 1), has_aux=True)))(x, w)

    (dx, dw), y = grads(conv.conv_general_dilated)
    (dx0, dw0), y0 = grads(lax.conv_general_dilated)
    np.testing.assert_allclose(y, y0, rtol=1e-5, atol=1e-5)
    for a, b in ((dx, dx0), (dw, dw0)):  # both rounded to bfloat16 at the end
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b.astype(jnp.float32), rtol=2**-7, atol=1e-2)
    assert not tasks.warn_if_slow(
        converted(conv.conv_general_dilated, jnp.bfloat16, "float32"),
        {"x": jnp.ones((2, 4, 4), jnp.float32), "y": jnp.zeros(2, jnp.int32)},
    )
