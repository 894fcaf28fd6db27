"""Augmentations: what each makes of a sample, who draws what, and that evaluation sees none of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import data
from dejax.config import load
from dejax.core.random import fold_in, seeded
from dejax.data.augmentations.augment import augmented
from dejax.problem.task_check import check_fit
from dejax.report.as_config import as_config

A = dj.augmentations
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(1, 2, (5, 6, 3)).astype(np.float32)
KEYS = fold_in(seeded(3), jnp.arange(400))
X, Y = RNG.uniform(1, 2, (48, 4, 4)).astype(np.float32), np.arange(48) % 4


def draws(member, x=IMAGE):
    return np.asarray(jax.jit(jax.vmap(member.apply, (0, None)))(KEYS, x))


def test_crops_are_all_windows_of_the_padded_image_equally_often():
    wide = np.pad(IMAGE, [(1, 1), (1, 1), (0, 0)])
    windows = np.stack([wide[i : i + 5, j : j + 6] for i in range(3) for j in range(3)])
    same = (draws(A.crop(padding=1))[:, None] == windows).all((2, 3, 4))
    assert (same.sum(1) == 1).all() and same.sum(0).min() > 400 / 9 / 2
    assert draws(A.crop(padding=2), IMAGE[..., 0]).shape == (400, 5, 6)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flips_come_with_their_probability(p):
    got = draws(A.flip(p=p))
    turned = (got == IMAGE[:, ::-1]).all((1, 2, 3))
    assert ((got == IMAGE).all((1, 2, 3)) ^ turned).all() and abs(turned.mean() - p) < 0.08


def test_cutouts_are_squares_around_every_pixel():
    got = draws(A.cutout(size=3))
    away = got == 0
    assert (away == away[..., :1]).all() and (got[~away] == np.broadcast_to(IMAGE, got.shape)[~away]).all()
    rows, columns = away[..., 0].any(2), away[..., 0].any(1)
    assert (away[..., 0] == rows[:, :, None] & columns[:, None]).all()  # rectangles
    assert set(rows.sum(1)) == {2, 3} and set(columns.sum(1)) == {2, 3}  # a side of 3, less at an edge
    assert len(np.unique(away[..., 0], axis=0)) == 5 * 6  # of every center
    assert (draws(A.cutout(size=100)) == 0).all()


@pytest.mark.slow
def test_mixup_is_the_loss_of_mixed_labels():
    x, y = RNG.standard_normal((6, 3)).astype(np.float32), np.arange(6) % 3
    batch = {"x": jnp.asarray(x), "y": jnp.asarray(y, jnp.int32)}
    mixed, weight = augmented((A.mixup(alpha=0.8),), seeded(1), batch, None)
    lam = float(weight[0])
    assert 0 < lam < 1 and mixed["x"].shape == (12, 3)
    np.testing.assert_allclose(weight, [lam] * 6 + [1 - lam] * 6, rtol=1e-6)
    np.testing.assert_array_equal(mixed["x"][:6], mixed["x"][6:])
    np.testing.assert_array_equal(mixed["y"][:6], y)
    other = np.array([np.abs(lam * x[i] + (1 - lam) * x - np.asarray(mixed["x"][i])).max(1).argmin() for i in range(6)])
    np.testing.assert_allclose(mixed["x"][:6], lam * x + (1 - lam) * x[other], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mixed["y"][6:], y[other])
    w = RNG.standard_normal((3, 3))
    logits = np.asarray(mixed["x"][:6], np.float64) @ w
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    soft = lam * np.eye(3)[y] + (1 - lam) * np.eye(3)[y[other]]
    from dejax.problem import Batch
    from dejax.tasks.objectives import cross_entropy

    ours = Batch(mixed, weight).mean(cross_entropy(jnp.asarray(mixed["x"] @ w.astype(np.float32)), mixed["y"]))
    np.testing.assert_allclose(float(ours), -(soft * log_p).sum(1).mean(), rtol=1e-5)


def test_mixup_pairs_no_padding():
    batch = {"x": jnp.arange(6.0)[:, None].astype(jnp.float32) * 100, "y": jnp.zeros(6, jnp.int32)}
    real = jnp.array([1.0, 1, 1, 0, 0, 0], jnp.float32)
    for key in fold_in(seeded(0), jnp.arange(20)):
        mixed, weight = augmented((A.mixup(),), key, batch, real)
        assert float(mixed["x"][:3].max()) <= 200 and float(weight.sum()) == pytest.approx(3.0)
        assert (np.asarray(weight)[[3, 4, 5, 9, 10, 11]] == 0).all()


def problem(augment=(), **options):
    nodes = data.from_arrays(X, Y, (X[:8], Y[:8])).partition(data.iid(), nodes=4)
    return dj.Problem(dj.tasks.mlp(hidden=[4]), nodes, augment=augment, **({"batch_size": 5} | options))


def drawn(problem, index=0, name="b"):
    """The batch of one round, computed under jit."""
    from dejax.round import Round
    from dejax.round.store import Store

    network = dj.Network(dj.topology.ring(problem.n))

    def one(index):
        round = Round(problem, network, Store({}, record=True), seeded(0), index)
        batch = round.batch(name)
        return batch.data, batch.weight

    return jax.jit(one)(jnp.int32(index))


@pytest.mark.slow
def test_draws_are_by_name_node_and_round():
    noise = lambda key, x: jnp.full_like(x, jax.random.uniform(key, dtype=x.dtype))
    made = [np.asarray(drawn(problem([noise]), *at)[0]["x"]) for at in ((0, "b"), (1, "b"), (0, "c"))]
    first = np.concatenate([m[..., 0, 0].reshape(-1) for m in made])
    assert len(np.unique(first)) == 3 * 4 * 5  # another number for every round, name, node and sample
    np.testing.assert_array_equal(made[0], drawn(problem([noise]))[0]["x"])
    both = np.asarray(drawn(problem([noise, noise]))[0]["x"])
    assert not np.isin(both, made[0]).any()  # the second of two equal ones draws anew


@pytest.mark.slow
@pytest.mark.parametrize("block", [None, 1])
def test_training_sees_augmented_samples_and_evaluation_does_not(block):
    def run(augment):
        net, made = dj.Network(dj.topology.ring(4)), problem(augment, block=block)
        return dj.simulate(
            dj.methods.dsgd(lr=0.0), made, net, rounds=1, metrics=["local_models", "objective"], progress=False
        )

    plain, same, blank = run(()), run([lambda key, x: x]), run([lambda key, x: x * 0])
    for h in (same, blank):
        for name in ("loss/local", "accuracy/local", "objective"):
            assert h.last(name) == plain.last(name)
    assert same.last("loss") == plain.last("loss")
    assert abs(blank.last("loss") - np.log(4)) < 0.2 and abs(blank.last("loss") - plain.last("loss")) > 1e-3


@pytest.mark.slow
def test_all_together_learn_and_do_not_depend_on_the_block():
    augment = [A.crop(padding=1), A.flip(), A.cutout(size=2), A.mixup(alpha=0.4)]
    net = dj.Network(dj.topology.ring(4))
    one, other = (
        dj.simulate(
            dj.methods.dsgd(lr=0.05), problem(augment, block=block, sampling="epoch"), net, rounds=3, progress=False
        )
        for block in (None, 1)
    )
    np.testing.assert_allclose(one.last("loss"), other.last("loss"), rtol=1e-5)
    assert np.isfinite(one.last("loss"))
    batch, weight = drawn(problem(augment, sampling="epoch"))
    assert batch["x"].shape == (4, 10, 4, 4) and weight.shape == (4, 10)


@pytest.mark.parametrize(
    "augment, options, text",
    [
        (A.crop, {}, "augment is crop, which was not called; give crop"),
        (3, {}, "which is no augmentation; give e.g."),
        ([lambda x: x], {}, r"cannot be called with \(key, x\)"),
        (A.flip(), {"source": dj.experience.acting(), "batch_size": None}, "the source of experience"),
    ],
)
def test_what_is_no_augmentation_is_refused(augment, options, text):
    with pytest.raises(ValueError, match=text):
        problem(augment, **options)


def test_what_does_not_fit_the_samples_is_refused_before_a_run():
    for augment, text in (
        (lambda key, x: x[1:], r"<lambda> makes float32\[3, 4\] of a sample float32\[4, 4\]"),
        (lambda key, x: x.astype(jnp.int32), r"makes int32\[4, 4\] of a sample"),
    ):
        with pytest.raises(ValueError, match=text):
            check_fit(problem(augment))
    flat = data.from_arrays(X.reshape(48, 16), Y).partition(data.iid(), nodes=4)
    with pytest.raises(ValueError, match=r"Problem\.augment holds crop, which changes images .*but a sample is \[16\]"):
        check_fit(dj.Problem(dj.tasks.mlp(hidden=[4]), flat, augment=A.crop()))


@pytest.mark.slow
def test_gradients_of_single_examples_have_no_mixup():
    net = dj.Network(dj.topology.ring(4), privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
    with pytest.raises(ValueError, match="augment mixes samples; leave mixup out"):
        dj.simulate(dj.methods.dsgd(lr=0.1), problem([A.mixup()]), net, rounds=1, progress=False)
    dj.simulate(dj.methods.dsgd(lr=0.1), problem([A.flip()]), net, rounds=1, progress=False)


def test_a_config_names_them(tmp_path):
    values = {"rounds": 2, "data": {"source": "digits", "nodes": 4, "partition": "iid"}, "batch_size": 8}
    values |= {"task": {"mlp": {"hidden": [4]}}, "network": {"topology": "ring"}, "method": {"dsgd": {"lr": 0.1}}}
    values["augment"] = [{"crop": {"padding": 1}}, "flip"]
    made = load(values).runs[0].objects()
    assert made[1].augment == (A.crop(padding=1), A.flip())
    (tmp_path / "again.yaml").write_text(as_config({"dsgd": made}, {"dsgd": 2}))
    assert load(tmp_path / "again.yaml").runs[0].objects()[1].augment == made[1].augment
