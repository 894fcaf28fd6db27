"""Images stay bytes on the device until a batch is drawn; tasks see floats."""

import jax
import numpy as np
import pytest

import dejax as dj
from dejax import data

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6, 3), np.uint8)
Y = np.arange(40) % 4


def problem(**options):
    nodes = data.from_arrays(X, Y, (X[:8], Y[:8]), pixels=True, **options).partition(data.iid(), nodes=4)
    return dj.Problem(dj.tasks.mlp(hidden=[8]), nodes, batch_size=5)


def test_images_stay_bytes_until_a_batch_is_drawn():
    made = problem()
    assert made.data.arrays["x"].dtype == made.data.test["x"].dtype == np.uint8
    assert made.data.arrays["x"].nbytes == X.nbytes  # 60,000 of 32 x 32 x 3: 184 MB
    assert made.data.like(5)["x"].dtype == np.float32
    rows = np.array([[3, 1], [0, 39]])
    np.testing.assert_allclose(made.fetch(rows)["x"], X[rows].astype(np.float32) / 255, rtol=1e-6)
    assert "tasks see x / 255" in str(made.data)


def test_no_program_holds_all_images_as_floats():
    """What is drawn is converted, not what is stored, also within a loop over rounds."""
    images = np.zeros((3000, 32, 32, 3), np.uint8)
    made = data.from_arrays(images, np.arange(3000) % 4, pixels=True).partition(data.iid(), nodes=4)

    def rounds(data, rows):
        batch = lambda at: jax.tree.map(lambda a: a[at], data.arrays)
        total = lambda t, s: s + data.seen(batch((rows + t) % 3000))["x"].sum()
        return jax.lax.fori_loop(0, 10, total, 0.0)

    held = jax.jit(rounds).lower(made, np.arange(20)).compile().memory_analysis().temp_size_in_bytes
    assert held < images.nbytes / 2  # of all as floats 4 times as much


def test_normalized_by_the_training_part_or_by_given_numbers():
    seen = np.asarray(problem(normalize=True).fetch(np.arange(40))["x"], np.float64)
    np.testing.assert_allclose(seen.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std((0, 1, 2)), 1, atol=1e-5)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    seen = problem(normalize=(mean, std)).fetch(np.arange(3))["x"]
    np.testing.assert_allclose(seen, (X[:3] / 255 - np.array(mean)) / np.array(std), atol=1e-5)
    gray = data.from_arrays(X[..., 0], Y, pixels=True, normalize=True).pixels
    np.testing.assert_allclose([gray.mean, gray.std], [(X[..., 0] / 255).mean(), (X[..., 0] / 255).std()], rtol=1e-6)
    for wrong in ((0.5, 0.2), ([0.5] * 3, [0.2, 0.0, 0.2]), "yes", ([0.5], [0.2])):
        with pytest.raises(ValueError, match=r"normalize is .*\[mean, std\] with 3 numbers each"):
            problem(normalize=wrong)
    with pytest.raises(ValueError, match="all pixels of channel 0 are equal"):
        data.from_arrays(X * 0, Y, pixels=True, normalize=True)
    with pytest.raises(ValueError, match="x is no pixels"):
        data.from_arrays(X / 255, Y, normalize=True)
    with pytest.raises(ValueError, match="but pixels is True"):
        data.from_arrays(X / 255, Y, pixels=True)


@pytest.mark.slow
def test_a_run_on_bytes_is_the_run_on_floats():
    def run(nodes):
        made = dj.Problem(dj.tasks.mlp(hidden=[8]), nodes, batch_size=5)
        metrics = ["local_models", "own_test", "mean_model", "objective", "consensus"]
        net = dj.Network(dj.topology.ring(4))
        return dj.simulate(dj.methods.dsgd(lr=0.1), made, net, rounds=3, every=3, metrics=metrics, progress=False)

    floats = data.from_arrays(
        (X / np.float32(255)).astype(np.float32), Y, ((X[:8] / np.float32(255)).astype(np.float32), Y[:8])
    )
    bytes_ = data.from_arrays(X, Y, (X[:8], Y[:8]), pixels=True)
    one, other = (run(d.partition(data.iid(), nodes=4)) for d in (floats, bytes_))
    for name in one.names:
        if name not in ("wall",):
            np.testing.assert_allclose(one.last(name), other.last(name), rtol=2e-5, err_msg=name)
