"""Rows set aside for validation: disjoint, drawn from, measured, and what runs are chosen by."""

import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import data
from dejax.config import load
from dejax.core import tree
from dejax.core.random import seeded
from dejax.metrics import View, validation as measure
from dejax.report.as_config import as_config

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 3)), np.arange(60) % 4
WHOLE = data.from_arrays(X, Y, name="mine")


def own(nodes, part, i):
    """The rows of one node in a part, on the host."""
    rows = np.asarray(getattr(nodes, f"{part}_index")[i])[: int(getattr(nodes, f"{part}_count")[i])]
    return np.asarray(getattr(nodes, part)["x"])[rows]


def test_a_data_set_is_split_for_all_nodes():
    d = WHOLE.split(validation=0.2, test=0.1)
    sizes = [len(part["x"]) for part in (d.train, d.validation, d.test)]
    assert sizes == [42, 12, 6] and "12 validation samples; 6 test samples" in repr(d)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([p["x"] for p in (d.train, d.validation, d.test)])[:, 0]), np.sort(X[:, 0])
    )
    nodes = d.partition(data.iid(), nodes=4)
    assert nodes.validation["x"].shape == (12, 3) and nodes.validation_index is None
    assert "validation samples: 12" in str(nodes)
    again, other = WHOLE.split(validation=0.2, test=0.1), WHOLE.split(validation=0.2, test=0.1, seed=1)
    np.testing.assert_array_equal(again.validation["x"], d.validation["x"])
    assert not np.array_equal(other.validation["x"], d.validation["x"])


def test_every_node_gives_rows_of_its_own():
    before = WHOLE.partition(data.dirichlet(alpha=0.5), nodes=7, seed=2)
    nodes = before.split(validation=0.2, test=0.3)
    for i in range(7):
        held = [nodes.node(i)["x"], own(nodes, "validation", i), own(nodes, "test", i)]
        assert [len(h) for h in held[1:]] == [round(len(before.rows(i)) * share) for share in (0.2, 0.3)]
        np.testing.assert_array_equal(np.sort(np.concatenate(held)[:, 0]), np.sort(before.node(i)["x"][:, 0]))
    assert nodes.count.sum() + nodes.validation_count.sum() + nodes.test_count.sum() == 60
    assert "own rows per node: 2 to 2" in str(nodes)
    rows = [int(part.sum()) for part in (nodes.count, nodes.validation_count, nodes.test_count)]
    assert nodes.size == rows[0]  # what is set aside is kept there alone
    assert f"7 nodes, {rows[0]} training samples" in str(nodes) and f"validation samples: {rows[1]}" in str(nodes)
    assert f"test samples: {rows[2]}" in str(nodes) and "in all, of" not in str(nodes)
    tested = data.from_arrays(X, Y, (X[:8], Y[:8])).partition(data.iid(), nodes=4).split(validation=0.1)
    assert (
        tested.test["x"].shape == (8, 3) and tested.test_index is None and tested.validation_count.tolist() == [2] * 4
    )
    held = WHOLE.partition(data.iid(), nodes=4, holdout=0.2).split(validation=0.25)
    assert (
        held.test_count.tolist() == [3] * 4
        and held.validation_count.tolist() == [3] * 4
        and held.count.tolist() == [9] * 4
    )


def test_small_nodes_keep_a_row_and_give_one_to_each_part():
    nodes = WHOLE.partition(data.iid(), nodes=20).split(validation=0.6, test=0.3)
    assert (nodes.count >= 1).all() and (nodes.validation_count >= 1).all() and (nodes.test_count >= 1).all()


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: WHOLE.split(), r"split.validation is 0\.0 beside test = 0\.0"),
        (lambda: WHOLE.split(validation=0.6, test=0.4), "leave rows to train on"),
        (lambda: WHOLE.split(validation=1), r"split.validation is 1; give a share in \[0, 1\)"),
        (lambda: WHOLE.split(validation=0.1).split(validation=0.1), "mine has a validation part already"),
        (lambda: data.digits().split(test=0.1), "digits has a test part already"),
        (lambda: data.from_arrays(X[:2], Y[:2]).split(validation=0.1, test=0.1), "too few to set 2 aside"),
        (lambda: WHOLE.partition(data.iid(), nodes=60).split(validation=0.1), "validation is 0.1, but node 0 has one sample"),
        (lambda: WHOLE.partition(data.iid(), nodes=30).split(validation=0.1, test=0.1), "node 0 has 2 samples"),
        (lambda: WHOLE.partition(data.overlapping(samples=30), nodes=6).split(validation=0.1), "nodes share samples"),
        (lambda: WHOLE.partition(data.iid(), nodes=4, holdout=0.2).split(test=0.1), "own test rows already"),
        (lambda: WHOLE.split(validation=0.2).partition(data.iid(), nodes=4).split(validation=0.1), "a validation part already"),
        (lambda: data.from_arrays(X, Y, validation=(X[:, :2], Y)), "validation x is"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_said(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_parts_that_are_published(tmp_path):
    d = data.from_arrays(X[:40], Y[:40], (X[40:50], Y[40:50]), validation=(X[50:], Y[50:]))
    np.testing.assert_array_equal(d.validation["x"], X[50:])
    np.savez(tmp_path / "m.npz", x=X[:40], y=Y[:40], x_validation=X[50:], y_validation=Y[50:])
    np.testing.assert_array_equal(data.from_npz(tmp_path / "m.npz").validation["x"], X[50:])
    image = pytest.importorskip("PIL.Image")
    for part, value in (("train", 1), ("val", 2), ("test", 3)):
        (tmp_path / part / "cat").mkdir(parents=True)
        image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(tmp_path / part / "cat" / "0.png")
    d = data.from_folder(tmp_path)
    assert [int(p["x"].mean()) for p in (d.train, d.validation, d.test)] == [1, 2, 3]


def test_own_rows_follow_turns_and_owners():
    turned = data.digits().split(validation=0.1).partition(data.rotation(turns=4, test_rows=20), nodes=8)
    plain = data.digits().split(validation=0.1).validation["x"]
    rows = len(plain)
    for i, turn in enumerate(np.asarray(turned.facts["turn"])):
        at = np.asarray(turned.validation_index[i])
        assert (at // rows == turn).all()
        np.testing.assert_array_equal(np.rot90(own(turned, "validation", i), -turn, axes=(1, 2)), plain[at % rows])
    groups = np.arange(60) % 3 + 5
    nodes = data.from_arrays(X, Y, groups=groups).split(validation=0.3).partition(data.by_group(), nodes=3)
    for i in range(3):
        assert len(own(nodes, "validation", i)) and set(own(nodes, "validation", i)[:, 0].astype(np.float32)) <= set(
            X[groups == 5 + i, 0].astype(np.float32)
        )


def test_a_node_without_validation_rows_of_its_own_is_refused():
    groups = np.repeat(np.arange(12), 5)
    few = data.from_arrays(X, Y, groups=groups).split(validation=0.1)
    with pytest.raises(
        ValueError, match=r"validation_groups gives node \d+ no validation sample.*split\(validation=0\.1\)"
    ):
        few.partition(data.by_group(), nodes=12)
    nodes = data.from_arrays(X, Y, groups=groups).partition(data.by_group(), nodes=12).split(validation=0.1)
    assert nodes.validation_count.tolist() == [1] * 12


def test_groups_of_a_published_validation_part(tmp_path):
    groups = np.arange(60) % 3 + 5
    np.savez(
        tmp_path / "m.npz", x=X, y=Y, x_validation=X, y_validation=Y, groups=groups, validation_groups=groups[::-1]
    )
    for d in (
        data.from_arrays(X, Y, groups=groups, validation=(X, Y), validation_groups=groups[::-1]),
        data.from_npz(tmp_path / "m.npz"),
    ):
        nodes = d.partition(data.by_group(), nodes=3)
        for i in range(3):
            np.testing.assert_allclose(np.sort(own(nodes, "validation", i)[:, 0]), np.sort(X[groups[::-1] == 5 + i, 0]))
    common = data.from_arrays(X, Y, groups=groups, validation=(X, Y)).partition(data.by_group(), nodes=3)
    assert common.validation_index is None


def test_a_holdout_leaves_validation_rows_to_their_nodes():
    groups = np.arange(60) % 3
    d = data.from_arrays(X, Y, groups=groups, validation=(X, Y), validation_groups=groups)
    nodes = d.partition(data.by_group(), nodes=3, holdout=0.2)
    for i in range(3):
        np.testing.assert_allclose(np.sort(own(nodes, "validation", i)[:, 0]), np.sort(X[groups == i, 0]))
    image = data.digits().train["x"][:40]
    d = data.from_arrays(image, np.arange(40) % 2, validation=(image[:5], np.zeros(5, int)))
    nodes = d.partition(data.rotation(turns=4), nodes=4, holdout=0.2)
    for i, turn in enumerate(np.asarray(nodes.facts["turn"])):
        np.testing.assert_array_equal(np.rot90(own(nodes, "validation", i), -turn, axes=(1, 2)), image[:5])


# ---- drawn from
def probe(nodes, batch_size=3, **asked):
    """What `round.batch(of="validation")` draws."""
    from dejax.round import Round
    from dejax.round.store import Store

    problem = dj.Problem(dj.tasks.mlp(hidden=[4]), nodes, batch_size=batch_size)
    network = dj.Network(dj.topology.ring(nodes.n))
    round = Round(problem, network, Store({}, record=True), seeded(0), jnp.int32(0))
    return round.batch("v", of="validation", **asked)


@pytest.mark.slow
def test_batches_of_validation_rows():
    nodes = WHOLE.partition(data.dirichlet(alpha=0.5), nodes=5).split(validation=0.3)
    batch = probe(nodes)
    assert batch.data["x"].shape == (5, 3, 3) and batch.weight is None
    for i in range(5):
        mine = own(nodes, "validation", i).astype(np.float32)
        assert all((np.abs(mine - row).sum(1) == 0).any() for row in np.asarray(batch.data["x"][i]))
    everything = probe(nodes, batch_size=None)
    for i in range(5):
        real = np.asarray(everything.data["x"][i])[np.asarray(everything.weight[i]) == 1]
        np.testing.assert_array_equal(real, own(nodes, "validation", i).astype(np.float32))
    common = WHOLE.split(validation=0.2).partition(data.iid(), nodes=5)
    batch = np.asarray(probe(common, size=7).data["x"])
    assert batch.shape == (5, 7, 3) and not np.array_equal(batch[0], batch[1])
    assert np.isin(batch[..., 0], np.asarray(common.validation["x"])[:, 0].astype(np.float32)).all()
    with pytest.raises(ValueError, match="no validation part; set rows aside"):
        probe(WHOLE.partition(data.iid(), nodes=5))


# ---- measured
@pytest.mark.slow
def test_the_metric_is_the_mean_over_own_rows():
    nodes = WHOLE.partition(data.dirichlet(alpha=0.5), nodes=5).split(validation=0.3)
    task = dj.tasks.logistic(features=3, classes=4)
    problem = dj.Problem(task, nodes)
    params = tree.map(lambda p: RNG.standard_normal((5, *p.shape)).astype(p.dtype), task.init(seeded(0)))
    got = measure(View(params, problem))
    one = lambda i: tree.map(lambda p: jnp.asarray(p[i]), params)
    right = []
    for i in range(5):
        rows = np.asarray(nodes.validation_index[i])[: int(nodes.validation_count[i])]
        batch = {k: jnp.asarray(v)[rows] for k, v in nodes.validation.items()}
        right.append(float(task.metrics(one(i), batch)["accuracy"].mean()))
    np.testing.assert_allclose(got["accuracy/validation"], np.mean(right), rtol=1e-6)
    np.testing.assert_allclose(got["accuracy/validation_worst"], min(right), rtol=1e-6)
    assert {"loss/validation", "accuracy/validation_std", "accuracy/validation_p10"} <= got.keys()
    assert not any(name.endswith("/local") for name in got)
    common = dj.Problem(task, WHOLE.split(validation=0.2).partition(data.iid(), nodes=5))
    got = measure(View(params, common))
    part = {k: jnp.asarray(v) for k, v in common.data.validation.items()}
    right = [float(task.metrics(one(i), part)["accuracy"].mean()) for i in range(5)]
    np.testing.assert_allclose(got["accuracy/validation"], np.mean(right), rtol=1e-6)
    with pytest.raises(ValueError, match="has no validation part"):
        measure(View(params, dj.Problem(task, WHOLE.partition(data.iid(), nodes=5))))


# ---- chosen by
def records(**runs):
    return dj.History(
        [
            {"run": run, "seed": 0, "round": 5, **{k.replace("_", "/"): v for k, v in given.items()}}
            for run, given in runs.items()
        ]
    )


def test_the_best_run_is_that_of_the_validation_part():
    h = records(
        a={"accuracy_local": 0.9, "accuracy_validation": 0.5}, b={"accuracy_local": 0.6, "accuracy_validation": 0.8}
    )
    assert h.measure() == "accuracy/validation" and h.best() == "b" and h.best("accuracy/local") == "a"
    text = str(h.table())
    assert "validation" in text.splitlines()[0]
    assert (
        "chosen by accuracy/validation, on rows set aside for validation: best is b; all other columns are of the test part"
        in text
    )
    from dejax.cli.sweep import _winner

    assert _winner(h) == {"run": "b", "by": "accuracy/validation", "value": 0.8, "test": {"accuracy/local": 0.6}}
    plain = records(a={"accuracy_local": 0.9}, b={"accuracy_local": 0.6})
    assert plain.best() == "a" and "chosen by" not in str(plain.table())
    assert _winner(plain) == {"run": "a", "by": "accuracy/local", "value": 0.9, "test": {}}


@pytest.mark.parametrize("status", ["nonfinite from round 5: loss", "diverged at round 3", "failed: disk"])
def test_a_run_that_ended_badly_is_never_best(status):
    h = records(a={"accuracy_local": 0.9}, b={"accuracy_local": 0.6})
    h.facts["a"] = {"status": status}
    assert h.best() == "b"
    h.facts["b"] = {"status": status}
    assert h.best() is None


def described(of):
    split = {"validation": 0.1, "of": of}
    data = {"source": "digits", "nodes": 4, "partition": "iid", "split": split}
    rest = {"task": {"mlp": {"hidden": [4]}}, "network": {"topology": "ring"}, "method": {"dsgd": {"lr": 0.1}}}
    return {"rounds": 2, "data": data, "batch_size": 8, **rest}


@pytest.mark.parametrize("of", ["nodes", "all"])
def test_a_config_splits_and_is_written_again(tmp_path, of):
    read = load(described(of))
    method, problem, network = read.runs[0].objects()
    assert problem.data.validation["x"].shape[1:] == (8, 8) and (problem.data.validation_index is None) == (of == "all")
    text = as_config({"dsgd": (method, problem, network)}, {"dsgd": 2})
    assert text is not None
    (tmp_path / "again.yaml").write_text(text)
    again = load(tmp_path / "again.yaml").runs[0].objects()[1].data
    np.testing.assert_array_equal(again.validation["x"], problem.data.validation["x"])
    np.testing.assert_array_equal(again.index, problem.data.index)


@pytest.mark.slow
def test_a_run_measures_validation_and_leaves_it_out_of_training():
    d = data.digits().partition(data.dirichlet(alpha=0.5), nodes=4).split(validation=0.2)
    problem = dj.Problem(dj.tasks.mlp(hidden=[8]), d, batch_size=8)
    net = dj.Network(dj.topology.ring(4))
    runs = {"slow": (dj.methods.dsgd(lr=1e-4), problem, net), "fast": (dj.methods.dsgd(lr=0.3), problem, net)}
    h = dj.compare(runs, 40, progress=False)
    assert h.best() == "fast" and {"accuracy/validation", "accuracy/local"} <= set(h.names)
    assert abs(h.last("accuracy/validation", "fast") - h.last("accuracy/local", "fast")) < 0.3
    with pytest.raises(ValueError, match="metrics holds 'validation', but digits has no validation part"):
        bare = dj.Problem(dj.tasks.mlp(hidden=[8]), data.digits().partition(data.iid(), nodes=4), batch_size=8)
        dj.simulate(dj.methods.dsgd(lr=0.1), bare, net, rounds=2, metrics=["validation"], progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["nodes", "all"])
def test_images_and_validation_on_a_mesh_are_those_of_one_device(of):
    """Bytes, common and own validation rows, drawn from and measured, where nodes change places."""
    images, labels = RNG.integers(0, 256, (96, 4, 4, 3), np.uint8), np.arange(96) % 4

    @dj.struct
    class Chooser(dj.methods.dsgd):
        traits = dj.Traits(weights=("doubly", "row"), raw_losses=True)

        def step(self, state, round):
            loss = round.loss(state.params, round.batch("v", of="validation"))
            round.report("own", loss)
            return super().step(state, round)

    whole = data.from_arrays(images, labels, (images[:8], labels[:8]), pixels=True, normalize=True)
    if of == "all":
        nodes = whole.split(validation=0.2).partition(data.iid(), nodes=16)
    else:
        nodes = whole.partition(data.iid(), nodes=16).split(validation=0.2)
    problem = dj.Problem(dj.tasks.logistic(features=48, classes=4), nodes, batch_size=3)
    network = dj.Network(dj.topology.geometric(16, seed=0))
    one, many = (
        dj.simulate(Chooser(lr=0.1), problem, network, rounds=4, every=4, progress=False, mesh=mesh)
        for mesh in (None, 4)
    )
    assert "accuracy/validation" in one.names and "own" in one.names
    for name in one.names:
        if name != "wall":
            np.testing.assert_allclose(one.last(name), many.last(name), rtol=1e-4, atol=1e-7, err_msg=name)
