"""Layers and losses with derivative rules of their own: what plain JAX computes, at first and second order."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from dejax import tasks
from dejax.layers import linear, matmul
from dejax.tasks import objectives
from dejax.xla import materialize


def same_at_two_orders(f, g, *args):
    """Equal values, gradients, and tangents of gradients, under jit and under vmap over a leading axis."""

    def all_of(f):
        grad = jax.grad(lambda *a: jnp.sin(f(*a)).sum(), tuple(range(len(args))))
        return jax.jit(jax.vmap(lambda *a: (f(*a), grad(*a), jax.jvp(grad, a, a)[1])))(*args)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), all_of(f), all_of(g))


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation", ["relu", *(pytest.param(a, marks=pytest.mark.slow) for a in ("tanh", "gelu", "silu"))]
)
def test_an_mlp_is_its_plain_layers(activation, key):
    module = tasks.MLP(6, 5, 4, 3, activation=activation, rngs=nnx.Rngs(0))
    graph, state = nnx.split(module)
    plain = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": jax.nn.gelu, "silu": jax.nn.silu}[activation]
    x = jax.random.normal(key, (7, 2, 6))
    states = jax.tree.map(lambda p: p[None].astype(x.dtype) + 0.1 * jax.random.normal(key, (7, *p.shape)), state)

    def by_hand(state, x):
        layers = nnx.merge(graph, state)
        for name in ("layer0", "layer1", "layer2"):
            w, b = (getattr(getattr(layers, name), k)[...] for k in ("kernel", "bias"))
            x = x @ w + b[None]
            x = x if name == "layer2" else plain(x)
        return x

    same_at_two_orders(lambda s, x: nnx.merge(graph, s)(x), by_hand, states, x)


@pytest.mark.parametrize(
    "batch", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, matmul.LONGEST)), matmul.LONGEST + 1]
)
def test_a_layer_of_any_batch_is_flax_s(batch, key):
    graph, state = nnx.split(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    states = jax.tree.map(lambda p: p[None].astype(jnp.float64) + jax.random.normal(key, (4, *p.shape)), state)
    x = jax.random.normal(key, (4, batch, 3))
    layer = lambda s: nnx.merge(graph, s)
    same_at_two_orders(lambda s, x: linear.affine(layer(s), x), lambda s, x: layer(s)(x), states, x)


def test_a_layer_that_is_more_than_linear_is_called(key):
    class Twice(nnx.Linear):
        def __call__(self, x):
            return 2 * super().__call__(x)

    layer, x = Twice(3, 2, param_dtype=jnp.float64, rngs=nnx.Rngs(0)), jax.random.normal(key, (4, 3))
    np.testing.assert_allclose(linear.affine(layer, x), layer(x))


def test_relu_and_tanh_write_what_they_make():
    for name in ("relu", "tanh"):
        grad = jax.make_jaxpr(jax.vmap(jax.grad(lambda z, f=linear.activations[name]: f(z).sum())))(jnp.ones((2, 3)))
        assert str(grad).count(materialize.written_p.name) >= 2, grad


def test_a_layer_in_another_precision_is_flax_s(key):
    layer = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    x = jax.random.normal(key, (2, 4), jnp.bfloat16)
    np.testing.assert_array_equal(linear.affine(layer, x), layer(x))


@pytest.mark.slow
@pytest.mark.parametrize("classes", [10, *(pytest.param(c, marks=pytest.mark.slow) for c in (1, objectives.FEW + 1))])
def test_cross_entropy_is_that_of_optax(classes, key):
    logits = 5 * jax.random.normal(key, (4, 6, classes))
    labels = jax.random.randint(key, (4, 6), 0, classes)
    plain = optax.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(objectives.cross_entropy(logits, labels), plain(logits, labels), rtol=1e-9)
    both = (lambda x, f=f, y=labels[0]: f(x, y) for f in (objectives.cross_entropy, plain))
    same_at_two_orders(*both, logits)


@pytest.mark.slow
def test_labels_out_of_range_have_no_score_in_loss_and_gradient():
    logits = jnp.array([1.0, 2.0, 3.0])
    for label in (-1, 3):
        loss, grad = jax.value_and_grad(objectives.cross_entropy)(logits, jnp.int32(label))
        np.testing.assert_allclose(loss, jax.nn.logsumexp(logits))
        np.testing.assert_allclose(grad, jax.nn.softmax(logits))


@pytest.mark.slow
def test_cross_entropy_of_scores_out_of_range():
    inf, nan = jnp.inf, jnp.nan
    logits = jnp.array([[1e4, -1e4, 0.0], [-inf, 0.0, 0.0], [-inf, -inf, -inf], [inf, 0.0, 0.0], [nan, 0.0, 0.0]])
    labels = jnp.array([0, 1, 0, 0, 1])
    slow = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
    np.testing.assert_array_equal(objectives.cross_entropy(logits, labels), slow)
    grad = jax.grad(objectives.cross_entropy)
    np.testing.assert_allclose(grad(logits[0], labels[0]), [0, 0, 0])
    np.testing.assert_allclose(grad(logits[1], labels[1]), [0, -0.5, 0.5])
    assert jnp.isnan(grad(logits[4], labels[4])).all()


def test_what_is_written_to_memory_is_the_value_itself(key):
    x = jax.random.normal(key, (3, 4))
    for f in (materialize.materialize, jax.jit(materialize.materialize), jax.vmap(jax.jit(materialize.materialize))):
        np.testing.assert_array_equal(f(x), x)
    value, slope = jax.jvp(jax.jit(materialize.materialize), (x,), (2 * x,))
    np.testing.assert_array_equal(slope, 2 * value)
    np.testing.assert_array_equal(jax.grad(lambda x: (materialize.materialize(x) ** 2).sum())(x), 2 * x)
    assert materialize.materialize({"a": 1, "b": x})["a"] == 1


def test_a_value_stays_apart_in_a_program_that_is_differentiated():
    """The call must survive partial evaluation, which drops calls of functions that return their argument."""
    f = lambda x: jnp.sin(materialize.materialize(jnp.cos(x))).sum()
    program = jax.jit(jax.value_and_grad(f)).lower(jnp.ones((8, 8), jnp.float32)).compile()
    if jax.default_backend() == "cpu":
        assert program.as_text().count(" call(") >= 2


@pytest.mark.slow
def test_a_cnn_is_its_plain_layers(key):
    """Pooling before bias and ReLU: equal values and gradients, also where all of a window is cut off."""
    module = tasks.CNN((6, 6), (3, 4), 2, kernel=3, rngs=nnx.Rngs(0))
    graph, state = nnx.split(module)
    state = jax.tree.map(lambda p: p.astype(jnp.float64) + 0.3 * jax.random.normal(key, p.shape), state)
    x = jax.random.normal(key, (5, 6, 6))

    def by_hand(state, x):
        layers = nnx.merge(graph, state)
        x = x[..., None]
        for conv in (layers.conv0, layers.conv1):
            x = nnx.max_pool(jax.nn.relu(conv(x)), (2, 2), (2, 2))
        return layers.linear(x.reshape(5, -1))

    def all_of(f):
        return jax.jit(lambda s, x: (f(s, x), jax.grad(lambda s, x: jnp.sin(f(s, x)).sum(), (0, 1))(s, x)))(state, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8),
        all_of(lambda s, x: nnx.merge(graph, s)(x)),
        all_of(by_hand),
    )


@pytest.mark.parametrize("window", [(2, 2), (5, 4)])
def test_pools_of_few_and_of_many_places_are_flax_s(window, key):
    x = jax.random.normal(key, (2, 10, 8, 3))
    plain = lambda x: nnx.max_pool(x, window, window)
    jax.tree.map(
        np.testing.assert_allclose,
        jax.jit(jax.value_and_grad(lambda x: jnp.sin(tasks.conv.max_pool(x, window)).sum()))(x),
        jax.jit(jax.value_and_grad(lambda x: jnp.sin(plain(x)).sum()))(x),
    )
