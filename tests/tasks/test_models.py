"""Models that papers use: their published numbers of parameters, what a place may see, and that they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import dejax as dj
from dejax.tasks.models._mobilenet import Depthwise
from dejax.tasks.models._normal import EvoNorm, activated, norm_of
from dejax.tasks.models._resnet import Block

t = dj.tasks
IMAGE = (32, 32, 3)


def parameters(task):
    """Numbers of trained entries; statistics are none."""
    statistics = {path for path, role in task.roles if role == "statistics"}
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(task.init, jax.random.key(0)))
    return sum(x.size for path, x in leaves if "/".join(k.key for k in path) not in statistics)


def resnet(widths, blocks, classes, norm, last=2):
    """Counted layer by layer, shortcuts by projection; `last`: numbers of a channel where no activation follows."""
    total, channels = 27 * widths[0] + norm * widths[0], widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for i in range(count):
            total += 9 * channels * width + 9 * width * width + (norm + last) * width
            total += (channels * width + last * width) if channels != width or (stage and not i) else 0
            channels = width
    return total + channels * classes + classes


def mobilenet(width, classes):
    """Counted block by block: a window and a norm per channel, a matrix and a norm."""
    outs = [int(width * out) for out in (64, 128, 128, 256, 256, 512, *[512] * 5, 1024, 1024)]
    ins = [int(width * 32), *outs[:-1]]
    blocks = sum(9 * a + 2 * a + a * b + 2 * b for a, b in zip(ins, outs, strict=True))
    return 27 * ins[0] + 2 * ins[0] + blocks + outs[-1] * classes + classes


@pytest.mark.parametrize(
    ("task", "count"),
    [
        (t.mlp(784, 200, 200, 10), 199_210),  # McMahan et al., 2017: the 2NN
        (t.fedavg_cnn((28, 28), 10), 1_663_370),  # the same: the CNN
        (t.lenet5((28, 28), 10), 61_706),
        (t.vgg11(IMAGE, 10, norm="none"), 9_225_610),
        (t.resnet(20, IMAGE, 10), resnet((16, 32, 64), (3, 3, 3), 10, 2)),
        (
            t.resnet(8, IMAGE, 10, norm="evo"),
            resnet((16, 32, 64), (1, 1, 1), 10, 3),
        ),  # and two where no activation follows
        (t.resnet(18, IMAGE, 10, norm="batch"), 11_173_962),
        (t.mobilenet(1.0, IMAGE, 10), 3_217_226),
        (t.mobilenet(0.25, IMAGE, 10, norm="batch"), mobilenet(0.25, 10)),
        (t.logistic(784, 10), 7_850),
        (t.linear(5), 6),
        (t.lstm(length=80, vocabulary=80), 8 * 80 + 4 * 256 * (8 + 256 + 1) + 4 * 256 * (256 + 256 + 1) + 257 * 80),
        (
            t.transformer(32, 2, 2, length=16, vocabulary=40),
            2 * 32 * 40 + 16 * 32 + 2 * (12 * 32**2 + 13 * 32) + 2 * 32,
        ),
    ],
    ids=lambda x: str(x) if isinstance(x, int) else "",
)
def test_parameters_are_those_of_the_papers(task, count):
    assert parameters(task) == count


@pytest.mark.parametrize("name", ["lstm", "transformer"])
@pytest.mark.slow
def test_a_place_sees_what_came_before_alone(name):
    task = (
        t.lstm(4, 8, 2, length=6, vocabulary=11) if name == "lstm" else t.transformer(8, 2, 2, length=6, vocabulary=11)
    )
    params = task.init(jax.random.key(0))
    x = jax.random.randint(jax.random.key(1), (2, 6), 0, 11)
    scores = task.answer(params, {"x": x})
    later = task.answer(params, {"x": x.at[:, 4].set((x[:, 4] + 1) % 11)})
    np.testing.assert_allclose(scores[:, :4], later[:, :4], atol=1e-6)
    assert np.abs(scores[:, 4:] - later[:, 4:]).max(axis=(0, 2)).min() > 1e-4
    every, last = {"x": x, "y": jnp.roll(x, -1, 1)}, {"x": x, "y": x[:, 0]}
    by_hand = jax.nn.log_softmax(scores)
    np.testing.assert_allclose(
        task.loss(params, every), -np.take_along_axis(by_hand, every["y"][..., None], -1)[..., 0].mean(1), rtol=1e-5
    )
    np.testing.assert_allclose(task.loss(params, last), -by_hand[jnp.arange(2), -1, last["y"]], rtol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(8, 1), (8, 2), (7, 2), (1, 1), (2, 2)])
def test_a_depthwise_layer_is_the_grouped_convolution(size, stride):
    layer = Depthwise(6, stride, nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (2, size, size, 6), jnp.float32)
    want = jax.lax.conv_general_dilated(
        x,
        layer.kernel[...].astype(x.dtype)[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=6,
    )
    np.testing.assert_allclose(layer(x), want, atol=1e-5)


@pytest.mark.slow
def test_groups_hold_several_channels_so_that_one_place_says_something():
    task = t.resnet(8, (2, 2), 3)
    params = task.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 2, 2))
    assert float(task.module(params).features(x).std(0).max()) > 1e-3


def test_a_window_that_is_too_long_is_refused():
    task = t.transformer(8, 2, 1, length=4, vocabulary=5)
    with pytest.raises(ValueError, match="x holds 6 symbols, but the model has places for 4"):
        task.answer(task.init(jax.random.key(0)), {"x": jnp.zeros((1, 6), jnp.int32)})


def test_an_lstm_against_numpy():
    task = t.lstm(3, 4, 1, length=5, vocabulary=7)
    params = jax.tree.map(np.asarray, task.init(jax.random.key(2)))
    x = np.array([[1, 5, 0, 3, 6]])
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    h, c, want = np.zeros(4), np.zeros(4), []
    for symbol in x[0]:
        z = params["embed"]["embedding"][symbol] @ params["inward0"]["kernel"] + params["inward0"]["bias"]
        i, f, g, o = np.split(z + h @ params["around0"]["kernel"], 4)
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        want.append(h @ params["out"]["kernel"] + params["out"]["bias"])
    np.testing.assert_allclose(task.answer(params, {"x": jnp.asarray(x)})[0], want, atol=1e-5)


def evonorm(x, groups):
    """EvoNorm-S0 as it starts, in NumPy; x [B, H, W, C]."""
    size = x.shape[-1] // groups
    std = np.sqrt(x.reshape(len(x), -1, groups, size).var((1, 3)) + 1e-5)  # of each example and group
    return x / (1 + np.exp(-x)) / np.repeat(std, size, 1)[:, None, None]


def convolution(x, kernel):
    """ "SAME" at stride 1 in NumPy: x [B, H, W, A], kernel [s, s, A, C]."""
    side, (_, height, width, _) = len(kernel), x.shape
    wide = np.pad(x, ((0, 0), *[(side // 2, side // 2)] * 2, (0, 0)))
    return sum(wide[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(side) for j in range(side))


def test_evonorm_against_numpy():
    x = np.random.default_rng(0).standard_normal((3, 5, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(EvoNorm(4, 2, nnx.Rngs(0))(jnp.asarray(x)), evonorm(x, 2), atol=1e-5)


@pytest.mark.parametrize("out", [8, 12])
def test_a_block_with_evonorm_against_numpy(out):
    """What S0 lets through below zero reaches the next convolution; the sum of both paths is rectified."""
    block = Block(8, out, 1, "evo", nnx.Rngs(0))
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 8)).astype(np.float32)
    first, second = (np.asarray(conv.kernel[...]) for conv in (block.first, block.second))
    inside = evonorm(convolution(x, first), 2 if out == 8 else 1)
    assert (inside < 0).mean() > 0.2
    around = x if block.around is None else convolution(x, np.asarray(block.around.kernel[...]))
    np.testing.assert_allclose(block(jnp.asarray(x)), np.maximum(around, 0), atol=1e-5)  # the last scale starts at 0
    block.norm2.scale[...] = jnp.full((out,), 0.7)
    block.norm2.bias[...] = jnp.full((out,), 0.1)
    want = np.maximum(0.7 * convolution(inside, second) + 0.1 + around, 0)
    np.testing.assert_allclose(block(jnp.asarray(x)), want, atol=1e-4)


@pytest.mark.parametrize("norm", ["group", "batch", "layer", "none"])
def test_a_relu_stands_behind_every_other_norm(norm):
    layer = norm_of(norm, 8, nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 8), jnp.float32)
    np.testing.assert_allclose(activated(layer, x), jnp.maximum(layer(x), 0), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "mobilenet"])
def test_nothing_cuts_evonorm_in_other_models(name):
    """A model whose first convolution is answered by negative numbers alone still hears from its pixels."""
    task = getattr(t, name)(shape=(32, 32, 1), classes=3, norm="evo")
    module = task.module(task.init(jax.random.key(0)))
    first = (module.conv0, module.norm0) if name == "vgg11" else (module.stem, module.norm)
    first[0].kernel[...] = -jnp.ones_like(first[0].kernel[...])
    x = 1 + jax.random.uniform(jax.random.key(1), (2, 32, 32, 1))
    assert float(first[1](first[0](x)).max()) < 0
    assert float(jnp.abs(module(x)[0] - module(x)[1]).max()) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["group", "evo", "layer", "none"])
def test_an_example_is_answered_alike_in_every_batch(norm):
    task = t.resnet(8, (8, 8, 1), 3, norm=norm)
    params = task.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
    np.testing.assert_allclose(task.answer(params, {"x": x})[:1], task.answer(params, {"x": x[:1]}), atol=2e-5)


def test_sizes_are_those_of_the_data_and_misfits_are_named():
    data = dj.data.digits()
    assert parameters(t.resnet(8).build(data)) == parameters(t.resnet(8, (8, 8), 10))
    for make, words in (
        (lambda: t.resnet(19), r"resnet.depth is 19; give 6 n \+ 2, such as 8, 14 or 20, or 18"),
        (lambda: t.resnet(8, norm="batchnorm"), "resnet.norm is 'batchnorm'"),
        (
            lambda: t.vgg11((16, 16, 3), 10),
            "^Stack.shape is .*, which its windows and pools use up; give larger images",
        ),
        (lambda: t.transformer(30, 4), "heads is 4, which do not divide width 30"),
        (lambda: t.lstm().build(data), r"text is \[T\] symbols"),
        (lambda: t.transformer().build(data), r"text is \[T\] symbols"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.parametrize("name", ["cnn", "lenet", "lenet5", "fedavg_cnn", "vgg11", "resnet", "mobilenet"])
def test_models_of_images_refuse_vectors(name):
    make, says = getattr(t, name), r"an image is \(height, width\) or \(height, width, channels\)"
    with pytest.raises(dj.FieldError, match=rf"x has examples of shape \(16,\), but {says}; give images, or"):
        make().build(dj.data.letters())
    with pytest.raises(dj.FieldError, match=rf"shape is \(16,\), but {says}"):
        make(shape=(16,), classes=26)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_models_of_text_refuse_vectors_of_other_numbers(name):
    letters = dj.data.letters().partition(dj.data.iid(), nodes=2, seed=0)
    with pytest.raises(dj.FieldError, match="x holds float32, but symbols of a text are whole numbers"):
        problem = dj.Problem(getattr(t, name)(), letters, batch_size=2)
        dj.rollout(dj.methods.local_only(lr=0.1), problem, None, jax.random.key(0), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "lenet5",
        "lstm",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("resnet", "mobilenet", "transformer")),
    ],
)
def test_they_learn_under_a_node_axis(name):
    """Four nodes on a ring: the loss falls well below that of the start."""
    if name in ("lstm", "transformer"):
        x = np.arange(24 * 9).reshape(24, 9) * 5 % 13  # a text in which every symbol follows from the one before
        data = dj.data.from_arrays(x[:, :-1], x[:, -1], num_classes=13)
        task = t.lstm(4, 16, 1) if name == "lstm" else t.transformer(16, 2, 1)
    else:
        small = dj.data.digits().train
        x = np.pad(np.asarray(small["x"]).reshape(-1, 8, 8)[:60], ((0, 0), (2, 2), (2, 2)))
        data = dj.data.from_arrays(x, np.asarray(small["y"])[:60], num_classes=10)
        task = {"lenet5": t.lenet5, "resnet": lambda: t.resnet(8), "mobilenet": lambda: t.mobilenet(0.25)}[name]()
    problem = dj.Problem(task.build(data), data.partition(dj.data.iid(), nodes=4, seed=0), batch_size=6)
    method = dj.methods.local_sgd(optimizer=dj.optimizer(optax.adam, 1e-2))
    history = dj.simulate(
        method, problem, dj.Network(dj.topology.ring(4)), 40, every=20, metrics=["objective"], progress=False
    )
    start, end = (r["objective"] for r in (history.records[0], history.records[-1]))
    assert end < (0.8 if name == "mobilenet" else 0.6) * start  # fourteen layers take longer


HEAVY = pytest.mark.nightly
FITS = {  # a model, the side of its images, a rate of Adam, and steps
    "fedavg_cnn": (lambda: t.fedavg_cnn(), 8, 3e-3, 20),
    "resnet 8 evo": (lambda: t.resnet(8, norm="evo"), 8, 1e-2, 30),
    "resnet 8 batch": (lambda: t.resnet(8, norm="batch"), 8, 1e-2, 20),
    "resnet 20": (lambda: t.resnet(20), 8, 1e-2, 25),
    "resnet 18": (lambda: t.resnet(18), 8, 1e-3, 24),
    "vgg11": (lambda: t.vgg11(), 32, 3e-4, 24),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [*list(FITS)[:3], *(pytest.param(name, marks=HEAVY) for name in list(FITS)[3:])],
)
def test_they_fit_a_few_images(name):
    """Two nodes of six images each, whose models are averaged: the loss of their batches falls to a tenth."""
    make, side, lr, steps = FITS[name]
    small = dj.data.digits().train
    x = np.kron(np.asarray(small["x"])[:12].reshape(-1, 8, 8), np.ones((1, side // 8, side // 8)))
    data = dj.data.from_arrays(x.astype(np.float32), np.asarray(small["y"])[:12], num_classes=10)
    problem = dj.Problem(make().build(data), data.partition(dj.data.iid(), nodes=2, seed=0))
    method = dj.methods.dsgd(optimizer=dj.optimizer(optax.adam, lr))
    network = dj.Network(dj.topology.complete(2))
    history = dj.simulate(method, problem, network, steps, every=1, metrics=["consensus"], progress=False)
    losses = [rec["loss"] for rec in history.records if "loss" in rec]
    assert losses[-1] < 0.1 * losses[0], (losses[0], losses[-1])


@pytest.mark.slow
def test_dropout_is_off_where_models_are_measured():
    task = t.transformer(8, 2, 1, dropout=0.5, length=4, vocabulary=5)
    params, x = task.init(jax.random.key(0)), jnp.zeros((2, 4), jnp.int32)
    batch = {"x": x, "y": x}
    assert (
        float(jnp.abs(task.loss(params, batch, jax.random.key(1)) - task.loss(params, batch, jax.random.key(2))).max())
        > 1e-4
    )
    np.testing.assert_array_equal(task.metrics(params, batch)["loss"], task.metrics(params, batch)["loss"])
