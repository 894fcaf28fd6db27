"""x as a dict of arrays: the same samples, split over several inputs, learn the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax.problem.task_check import check_fit

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 5)).astype(np.float32), RNG.integers(0, 3, 40)
N = 4


def parted(x):
    """Two inputs, one of them in a dict of its own."""
    return {"left": x[:, :2], "more": {"right": x[:, 2:]}}


def init(key):
    return {"w": jax.random.normal(key, (5, 3), jnp.float32)}


def loss_of(joined):
    def loss(params, batch, key):
        del key
        scores = joined(batch["x"]) @ params["w"]
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), batch["y"][:, None], 1)[:, 0]

    return loss


whole = loss_of(lambda x: x)
several = loss_of(lambda x: jnp.concatenate([x["left"], x["more"]["right"]], 1))


def answer_whole(params, batch):
    return batch["x"] @ params["w"]


def answer_several(params, batch):
    return jnp.concatenate([batch["x"]["left"], batch["x"]["more"]["right"]], 1) @ params["w"]


def problem(x, loss, answer, **split):
    data = dj.data.from_arrays(x(X[:30]), Y[:30], test=(x(X[30:]), Y[30:]))
    data = data.partition(dj.data.iid(), nodes=N, seed=0, **split)
    return dj.Problem(dj.tasks.from_functions(init, loss, answer=answer), data, batch_size=3)


@pytest.mark.slow
@pytest.mark.parametrize("method", [dj.methods.dsgd(lr=0.3), dj.methods.fedmd(lr=0.3, rows=4)], ids=["dsgd", "fedmd"])
def test_several_inputs_learn_as_one(method):
    """Batches, public rows, own test rows and records are the same to rounding of the products."""
    run = lambda *made: dj.simulate(
        method,
        problem(*made, public=6, holdout=0.2),
        dj.Network(dj.topology.ring(N)),
        rounds=6,
        every=3,
        progress=False,
    )
    one, two = run(lambda x: x, whole, answer_whole), run(parted, several, answer_several)
    np.testing.assert_allclose(one.final.params["w"], two.final.params["w"], rtol=1e-6)
    for a, b in zip(one.records, two.records, strict=True):
        assert a.keys() == b.keys()
        numbers = [k for k, v in a.items() if isinstance(v, (int, float)) and k != "wall"]
        assert "bytes" in numbers and any("loss" in k for k in numbers)
        np.testing.assert_allclose([a[k] for k in numbers], [b[k] for k in numbers], rtol=1e-5)


def test_what_is_said_of_them():
    data = dj.data.from_arrays(parted(X), Y)
    assert "x/left float32[40, 2], x/more/right float32[40, 3], y int32[40]" in repr(data)
    split = data.partition(dj.data.iid(), nodes=N, seed=0, public=8)
    assert split.size == 32 and split.public["x"]["left"].shape == (8, 2)
    assert "x/more/right" in repr(split)
    one = split.node(1)
    rows = [np.flatnonzero((X[:, :2] == row).all(1))[0] for row in one["x"]["left"]]
    np.testing.assert_array_equal(X[rows][:, 2:], one["x"]["more"]["right"])
    np.testing.assert_array_equal(Y[rows], one["y"])


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    made, network = problem(parted, several, answer_several), dj.Network(dj.topology.ring(N))
    run = lambda rounds, **kw: dj.simulate(
        dj.methods.dsgd(lr=0.3), made, network, rounds=rounds, every=2, checkpoint_every=2, progress=False, **kw
    )
    straight = run(4)
    run(2, out=tmp_path / "run")
    again = run(4, out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.final.params["w"], straight.final.params["w"])


def test_clients_hold_dicts_too():
    pairs = [(parted(X[i::N]), Y[i::N]) for i in range(N)]
    data = dj.data.from_clients(pairs, tests=pairs)
    np.testing.assert_array_equal(data.node(2)["x"]["more"]["right"], X[2::N, 2:])
    assert data.test["x"]["left"].shape == (40, 2)
    with pytest.raises(dj.FieldError, match=r"x of client 1 has one array, but x of client 0 has left, more/right"):
        dj.data.from_clients([pairs[0], (X[1::N], Y[1::N])])
    odd = {"left": X[1::N, :1], "more": {"right": X[1::N, 2:]}}
    with pytest.raises(dj.FieldError, match=r"left of x of client 1 is float32\[10, 1\], but left of x of client 0"):
        dj.data.from_clients([pairs[0], (odd, Y[1::N])])


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ({"left": X[:, :2], "right": X[:39, 2:]}, r"x\.right is \[39, 3\] and y is \[40\]"),
        ({"left": X[:, :2], "right": np.where(X[:, 2:] > 9, X[:, 2:], np.nan)}, r"x\.right is not finite in row 0"),
        ({"left": X[:, :2], "right": X[:, 2:].astype(np.uint8)}, r"x\.right is uint8"),
        ({}, r"x has the keys \[\]"),
        ({1: X}, r"x has the keys \[1\]"),
    ],
)
def test_what_cannot_be_an_input_is_named(x, text):
    with pytest.raises(dj.FieldError, match=text):
        dj.data.from_arrays(x, Y)


def test_who_needs_one_array_says_so():
    data = dj.data.from_arrays(parted(X), Y)
    with pytest.raises(
        dj.FieldError, match="turns square images but x is a dict of left, more|x is a dict of left, more"
    ):
        data.partition(dj.data.rotation(), nodes=N, seed=0)
    split = data.partition(dj.data.iid(), nodes=N, seed=0)
    with pytest.raises(dj.FieldError, match=r"x of 'data' is a dict of left, more, which this task cannot join"):
        dj.Problem(dj.tasks.mlp(hidden=[4]), split)
    with pytest.raises(dj.FieldError, match="changes one array x, but x is a dict of left, more"):
        check_fit(dj.Problem(dj.tasks.from_functions(init, several), split, augment=lambda key, x: x))
    with pytest.raises(dj.FieldError, match="give both parts the same shapes and kinds"):
        dj.data.from_arrays(parted(X), Y, test=(X, Y))


@pytest.mark.parametrize("of", ["all", "nodes"])
def test_rows_set_aside_keep_their_inputs_together(of):
    whole = dj.data.from_arrays(parted(X), Y)
    if of == "all":
        split = whole.split(validation=0.2, test=0.1).partition(dj.data.iid(), nodes=N, seed=0)
    else:
        split = whole.partition(dj.data.iid(), nodes=N, seed=0).split(validation=0.2, test=0.1)
    assert split.summary().endswith(f"validation samples: 8{'' if of == 'all' else '; own rows per node: 2 to 2'}")
    parts = split.arrays, split.validation, split.test
    seen = []
    for part, size in zip(parts, (28, 8, 4), strict=True):
        joined = np.concatenate([part["x"]["left"], part["x"]["more"]["right"]], 1)
        rows = [np.flatnonzero((row == X).all(1)) for row in joined]
        assert [len(at) for at in rows] == [1] * size
        rows = np.concatenate(rows)
        np.testing.assert_array_equal(Y[rows], part["y"])
        seen.append(rows)
    trained = seen[0][np.concatenate([split.rows(i) for i in range(N)])]
    np.testing.assert_array_equal(np.sort(np.concatenate([trained, *seen[1:]])), np.arange(40))


def test_pixels_are_one_array():
    images = RNG.integers(0, 256, (6, 4, 4), np.uint8)
    with pytest.raises(dj.FieldError, match=r"x\.left is uint8\[6, 4, 4\], but pixels is True; give .* one array"):
        dj.data.from_arrays({"left": images, "right": images}, np.arange(6) % 2, pixels=True)
