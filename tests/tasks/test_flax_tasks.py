"""Tasks from flax modules: a NumPy reference, equality by value, compositions, clear refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dejax import tasks

pytestmark = pytest.mark.worlds

BATCH = {"x": jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32), "y": jnp.array([0, 2, 1, 2, 0])}


def numpy_mlp(params, x, y):
    """Loss [B] and gradients of its mean, by hand, float64."""
    w0, b0, w1, b1 = (np.asarray(params[a][b], np.float64) for a in ("layer0", "layer1") for b in ("kernel", "bias"))
    z = x @ w0 + b0
    h = np.maximum(z, 0)
    logits = h @ w1 + b1
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y])
    g = (p - np.eye(p.shape[1])[y]) / len(y)
    gh = (g @ w1.T) * (z > 0)
    return loss, {
        "layer0": {"kernel": x.T @ gh, "bias": gh.sum(0)},
        "layer1": {"kernel": h.T @ g, "bias": g.sum(0)},
    }


@pytest.mark.slow
def test_mlp_against_numpy_under_vmap_grad(key):
    task = tasks.mlp(4, 8, 3)
    params = jax.jit(jax.vmap(task.init))(jax.random.split(key, 3))
    batch = jax.tree.map(lambda x: jnp.stack([x, x[::-1], x]), BATCH)
    keys = jax.random.split(key, 3)
    loss = jax.vmap(task.loss)(params, batch, keys)
    grad = jax.jit(jax.vmap(jax.grad(lambda p, b, k: task.loss(p, b, k).mean())))(params, batch, keys)
    assert loss.shape == (3, 5) and loss.dtype == jnp.float32
    for i in range(3):
        one = jax.tree.map(lambda x, i=i: np.asarray(x[i]), (params, batch, grad))
        want, slope = numpy_mlp(one[0], one[1]["x"].astype(np.float64), one[1]["y"])
        np.testing.assert_allclose(loss[i], want, rtol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one[2], slope)


@pytest.mark.slow
def test_metrics_and_module(key):
    task = tasks.mlp(4, 8, 3)
    params = task.init(key)
    metrics = task.metrics(params, BATCH)
    module = task.module(params)
    assert isinstance(module, tasks.MLP)
    right = jnp.argmax(module(BATCH["x"]), -1) == BATCH["y"]
    np.testing.assert_array_equal(metrics["accuracy"], right)
    np.testing.assert_allclose(metrics["loss"], task.loss(params, BATCH), rtol=1e-6)


@pytest.mark.slow
def test_rebuilt_task_is_equal_and_compiles_once(key):
    count = []

    def build():
        return tasks.classifier(lambda rngs: tasks.MLP(4, 8, 3, rngs=rngs))

    def loss(task, params):
        count.append(1)
        return task.loss(params, BATCH).mean()

    run = jax.jit(loss, static_argnums=0)
    params = build().init(key)
    assert build() == build() == tasks.mlp(4, 8, 3) and hash(build()) == hash(build())
    run(build(), params)
    run(build(), params)
    assert len(count) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: tasks.mlp(4, 9, 3),
        lambda: tasks.mlp(4, 8, 3, activation="tanh"),
        lambda: tasks.regression(lambda rngs: tasks.MLP(4, 8, 3, rngs=rngs)),
    ],
)
def test_other_structure_is_another_task(other):
    assert tasks.mlp(4, 8, 3) != other()


def test_other_initializer_is_another_task():
    def build(init):
        return tasks.classifier(lambda rngs: nnx.Linear(4, 3, kernel_init=init, rngs=rngs))

    assert build(nnx.initializers.ones) != build(nnx.initializers.zeros)


class Noisy(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.drop = nnx.Linear(4, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.drop(self.linear(x))


@pytest.mark.slow
def test_dropout_follows_the_key_and_rests_in_metrics(key):
    task = tasks.classifier(Noisy)
    params = task.init(key)
    a, b = jax.random.split(key)
    np.testing.assert_array_equal(task.loss(params, BATCH, a), task.loss(params, BATCH, a))
    assert not np.array_equal(task.loss(params, BATCH, a), task.loss(params, BATCH, b))
    plain = tasks.classifier(lambda rngs: nnx.Linear(4, 3, rngs=rngs))
    np.testing.assert_allclose(task.metrics(params, BATCH)["loss"], plain.loss(params["linear"], BATCH), rtol=1e-6)


def test_built_module_gives_its_own_parameters(key):
    module = nnx.Linear(4, 3, rngs=nnx.Rngs(7))
    task = tasks.classifier(module)
    np.testing.assert_array_equal(task.init(key)["kernel"], module.kernel[...])
    assert task == tasks.classifier(module)


def test_regression_is_half_the_squared_error():
    task = tasks.regression(lambda rngs: nnx.Linear(2, 1, rngs=rngs))
    params = {"kernel": jnp.array([[1.0], [2.0]], jnp.float32), "bias": jnp.zeros(1, jnp.float32)}
    batch = {"x": jnp.array([[1.0, 1.0], [0.0, 2.0]], jnp.float32), "y": jnp.array([1.0, 4.0], jnp.float32)}
    np.testing.assert_allclose(task.loss(params, batch), [2.0, 0.0])
    np.testing.assert_allclose(task.metrics(params, batch)["mse"], [4.0, 0.0])


class Caching(nnx.Module):
    """Holds state that no rule of mixing covers."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)
        self.seen = nnx.Cache(jnp.zeros(3))


def test_refusals(key):
    with pytest.raises(TypeError, match="one argument"):
        tasks.classifier(lambda a, b: None)
    with pytest.raises(TypeError, match="needs a function"):
        tasks.classifier(5)
    with pytest.raises(TypeError, match="flax nnx module"):
        tasks.classifier(lambda rngs: 3)
    with pytest.raises(ValueError, match=r"Cache.*nnx.Param"):
        tasks.classifier(Caching)
    with pytest.raises(ValueError, match="nothing to learn"):
        tasks.classifier(lambda rngs: nnx.Sequential(nnx.relu))
    with pytest.raises(ValueError, match="one row of class scores per label"):
        task = tasks.classifier(lambda rngs: nnx.Linear(4, 3, rngs=rngs))
        task.loss(task.init(key), BATCH | {"y": jnp.zeros((5, 1), jnp.int32)})
    with pytest.raises(TypeError, match="labels are integers"):
        task.loss(task.init(key), BATCH | {"y": jnp.zeros(5)})
    with pytest.raises(TypeError, match=r"from_functions\.loss"):
        tasks.from_functions(lambda key: 0, None)


class Data:
    arrays = {"x": np.ones((9, 4, 4))}  # noqa: RUF012
    num_classes = 3
    name = "toy"


def test_sizes_from_data():
    assert tasks.mlp(hidden=(8,)).build(Data) == tasks.mlp(16, 8, 3)
    assert tasks.logistic().build(Data) == tasks.mlp(16, 3)
    assert tasks.cnn((2,), kernel=3).build(Data) == tasks.cnn((2,), shape=(4, 4), classes=3, kernel=3)
    with pytest.raises(ValueError, match="features is 5"):
        tasks.mlp(features=5).build(Data)
    with pytest.raises(ValueError, match="fewer widths"):
        tasks.lenet(shape=(3, 3), classes=3)
    with pytest.raises(ValueError, match=r"shape is \(8, 8\).*leave shape out"):
        tasks.cnn(shape=(8, 8)).build(Data)


def test_integers_of_any_kind_are_sizes():
    assert tasks.mlp(hidden=np.array([8]), features=np.int32(16), classes=np.int64(3)) == tasks.mlp(16, 8, 3)
    assert tasks.mlp(*np.array([16, 8, 3])) == tasks.mlp(16, 8, 3)
    assert tasks.mlp(hidden=jnp.array([8]), features=16, classes=3) == tasks.mlp(16, 8, 3)
    cnn = tasks.cnn(np.array([2]), shape=np.array([4, 4]), classes=np.int32(3), kernel=np.int64(3))
    assert cnn == tasks.cnn((2,), shape=(4, 4), classes=3, kernel=3)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "3", None])
def test_sizes_are_whole_numbers(wrong):
    said = rf" is {wrong!r}( \({type(wrong).__name__}\))?; give a whole number >= 1"
    if wrong is not None:  # which leaves the size to the data
        for make in (tasks.mlp, tasks.logistic):
            for field in ("features", "classes"):
                with pytest.raises((TypeError, ValueError), match=field + said):
                    make(**{field: wrong})
        for make in (tasks.cnn, tasks.lenet):
            with pytest.raises((TypeError, ValueError), match="classes" + said):
                make(classes=wrong)
    with pytest.raises((TypeError, ValueError), match="cnn.kernel" + said):
        tasks.cnn(kernel=wrong)
    for name in ("kernel", "classes"):
        with pytest.raises((TypeError, ValueError), match=f"CNN.{name}" + said):
            tasks.CNN((8, 8), (2,), **({"classes": 3} | {name: wrong}), rngs=nnx.Rngs(0))
    several = " is .*; give a list of .*whole numbers >= 1"
    with pytest.raises(ValueError, match="mlp.hidden" + several):
        tasks.mlp(hidden=(8, wrong))
    with pytest.raises(ValueError, match="MLP.widths" + several):
        tasks.mlp(16, wrong, 3)
    with pytest.raises(ValueError, match="cnn.widths" + several):
        tasks.cnn((8, wrong))
    with pytest.raises(ValueError, match="CNN.widths" + several):
        tasks.CNN((8, 8), (wrong,), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="shape" + several):
        tasks.cnn(shape=(8, wrong))
    if wrong is not None:
        with pytest.raises(ValueError, match="shape" + several):
            tasks.cnn(shape=wrong)
