"""DIMAT and weight matching against NumPy with SciPy's assignment, and on planted orders of hidden units."""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import programs
import pytest
from references import RING, N, W, close
from scipy.optimize import linear_sum_assignment

import dejax as dj
from dejax.data import NodeData
from dejax.methods.merging import units
from dejax.methods.merging._weight_matching import matched

SIZES, ROWS, LR = (3, 6, 5, 2), 12, 0.1
GROUPS = ((("a/w", 1), ("a/b", 0), ("b/w", 0)), (("b/w", 1), ("b/b", 0), ("c/w", 0)))
m = dj.methods


@dataclass(frozen=True)
class Net:
    """Least squares with two hidden layers of tanh, in float64."""

    def init(self, key):
        keys = jax.random.split(key, 6)
        return {
            name: {
                "w": jax.random.normal(keys[i], (SIZES[i], SIZES[i + 1]), jnp.float64),
                "b": jax.random.normal(keys[i + 3], (SIZES[i + 1],), jnp.float64),
            }
            for i, name in enumerate("abc")
        }

    def hidden(self, params, batch):
        first = jnp.tanh(batch["x"] @ params["a"]["w"] + params["a"]["b"][None])
        return [first, jnp.tanh(first @ params["b"]["w"] + params["b"]["b"][None])]

    def answer(self, params, batch):
        return self.hidden(params, batch)[-1] @ params["c"]["w"] + params["c"]["b"][None]

    def loss(self, params, batch, key):
        del key
        return 0.5 * jnp.square(self.answer(params, batch) - batch["y"]).sum(-1)

    def metrics(self, params, batch):
        return {"loss": self.loss(params, batch, None)}


def problem():
    """ROWS samples at each node, of one law."""
    rng = np.random.default_rng(4)
    rows = {"x": rng.standard_normal((N * ROWS, SIZES[0])), "y": rng.standard_normal((N * ROWS, SIZES[-1]))}
    index = jnp.arange(N * ROWS, dtype=jnp.int32).reshape(N, ROWS)
    return dj.Problem(Net(), NodeData(jax.tree.map(jnp.asarray, rows), index, jnp.full((N,), ROWS, jnp.int32)))


PROBLEM = problem()
BATCHES = [jax.tree.map(lambda x, i=i: x[i * ROWS : (i + 1) * ROWS], PROBLEM.data.arrays) for i in range(N)]
STARTS = jax.vmap(Net().init)(jax.random.split(jax.random.key(1), N))


def run(method, rounds, params, network=RING):
    """The models after some rounds, a list of trees of NumPy."""
    state = programs.run(method, PROBLEM, dj.Network(network), rounds, jax.random.key(0), params)[0]
    return nodes(state.params)


def nodes(stacked):
    """One tree per node."""
    return [jax.tree.map(lambda x, i=i: np.asarray(x)[i], stacked) for i in range(N)]


def permuted(model, first, second):
    """The model whose hidden units stand in another order."""
    a, b, c = model["a"], model["b"], model["c"]
    return {
        "a": {"w": a["w"][:, first], "b": a["b"][first]},
        "b": {"w": b["w"][first][:, second], "b": b["b"][second]},
        "c": {"w": c["w"][second], "b": c["b"]},
    }


def best(gain):
    """SciPy's assignment."""
    return linear_sum_assignment(gain, maximize=True)[1]


def by_activations(own, theirs, batch):
    """Correlations of what hidden units answer on the receiver's samples."""
    orders = []
    for f, g in zip(Net().hidden(own, batch), Net().hidden(theirs, batch), strict=True):
        w = f.shape[1]
        orders.append(best(np.corrcoef(np.asarray(f).T, np.asarray(g).T)[:w, w:]))
    return permuted(theirs, *orders)


def by_weights(own, theirs, batch=None):
    """Coordinate ascent on the sum of products of weights."""
    for _ in range(10):
        a, b = own, theirs
        gain = a["a"]["w"].T @ b["a"]["w"] + np.outer(a["a"]["b"], b["a"]["b"]) + a["b"]["w"] @ b["b"]["w"].T
        b = permuted(b, best(gain), np.arange(SIZES[2]))
        gain = a["b"]["w"].T @ b["b"]["w"] + np.outer(a["b"]["b"], b["b"]["b"]) + a["c"]["w"] @ b["c"]["w"].T
        b = permuted(b, np.arange(SIZES[1]), best(gain))
        assert product(own, b) >= product(own, theirs) - 1e-12
        if product(own, b) == product(own, theirs):
            return b
        theirs = b
    return theirs


def product(a, b):
    """The sum of products of all weights."""
    return sum((x * y).sum() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def loop(rounds, bring, steps):
    """Gradient steps at each node, then the mean of models in the receiver's order."""
    x = nodes(STARTS)
    slope = jax.jit(jax.grad(lambda p, batch: Net().loss(p, batch, None).mean()))
    for _ in range(rounds):
        for _ in range(steps):
            x = [jax.tree.map(lambda v, g: v - LR * np.asarray(g), x[i], slope(x[i], BATCHES[i])) for i in range(N)]
        moved = []
        for i in range(N):
            heard = [bring(x[i], x[j], BATCHES[i]) if j != i else x[i] for j in range(N)]
            moved.append(jax.tree.map(lambda *v, i=i: sum(w * u for w, u in zip(W[i], v, strict=True)), *heard))
        x = moved
    return x


def near(got, want, tol=1e-10):
    """All leaves of all nodes."""
    for a, b in zip(got, want, strict=True):
        jax.tree.map(lambda x, y: close(x, np.asarray(y), tol), a, b)


MEMBERS = {"dimat": (m.dimat, by_activations), "weight_matching": (m.weight_matching, by_weights)}
names = pytest.mark.parametrize("name", MEMBERS)


@pytest.mark.parametrize("name", [pytest.param("dimat", marks=pytest.mark.slow), "weight_matching"])
def test_against_numpy(name):
    make, bring = MEMBERS[name]
    for rounds in (1, 3):
        near(run(make(lr=LR, local_steps=2), rounds, STARTS), loop(rounds, bring, 2))
    plain = run(m.local_sgd(lr=LR, local_steps=2), 3, STARTS)
    assert (
        max(
            np.abs(a - b).max() for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(loop(3, bring, 2)), strict=True)
        )
        > 0.1
    )


@names
def test_planted_orders_merge_into_the_own_model(name):
    rng = np.random.default_rng(7)
    first = nodes(STARTS)[0]
    if name == "weight_matching":  # weak weights between the layers: else a first group may fit better in another order
        first["b"]["w"] = 0.01 * first["b"]["w"]
    still = [np.arange(SIZES[1]) if name == "weight_matching" else rng.permutation(SIZES[1]) for _ in range(N)]
    models = [permuted(first, still[i], rng.permutation(SIZES[2])) for i in range(N)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *models)
    near(run(MEMBERS[name][0](lr=0.0), 1, stacked), models, 1e-12)
    equal = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), STARTS)
    near(run(MEMBERS[name][0](lr=0.0), 1, equal), nodes(equal), 1e-12)


def test_weights_find_planted_orders_of_two_layers_of_a_wide_model():
    """One group is always found, as a vector has no larger product than with itself; two are where inputs are many."""
    rng = np.random.default_rng(0)
    sizes = (40, 10, 8, 6)
    layer = lambda a, b: {"w": jnp.asarray(rng.standard_normal((a, b))), "b": jnp.asarray(rng.standard_normal(b))}
    model = {name: layer(a, b) for name, a, b in zip("abc", sizes, sizes[1:], strict=False)}
    moved = permuted(model, rng.permutation(10), rng.permutation(8))
    got = jax.jit(lambda a, b: matched(a, b, GROUPS, 10))(model, moved)
    jax.tree.map(lambda x, y: close(np.asarray(x), np.asarray(y)), got, model)
    close(np.asarray(moved["c"]["b"]), np.asarray(model["c"]["b"]))


def test_a_reordered_model_computes_the_same():
    rng, model = np.random.default_rng(3), nodes(STARTS)[1]
    assert units.units_of(m.dimat(lr=0.1), STARTS) == GROUPS
    moved = model
    for group, w in zip(GROUPS, SIZES[1:3], strict=True):
        moved = units.reordered(moved, group, jnp.asarray(rng.permutation(w), jnp.int32))
    close(np.asarray(Net().answer(moved, BATCHES[0])), np.asarray(Net().answer(model, BATCHES[0])))
    assert np.abs(moved["a"]["w"] - model["a"]["w"]).max() > 0.1


def test_flattened_channels_move_together():
    kernel = jnp.arange(12.0).reshape(6, 2)  # three places of two channels
    moved = units.reordered({"w": kernel, "b": jnp.arange(2.0)}, (("b", 0), ("w", 0)), jnp.asarray([1, 0]))
    np.testing.assert_array_equal(moved["w"], np.asarray(kernel).reshape(3, 2, 2)[:, ::-1].reshape(6, 2))
    np.testing.assert_array_equal(
        units.rows({"w": kernel, "b": jnp.arange(2.0)}, (("b", 0), ("w", 0)))[1][1], [2, 3, 6, 7, 10, 11]
    )


@pytest.mark.slow
def test_tasks_of_perceptrons_say_what_hidden_units_answer():
    task = dj.tasks.mlp(3, 6, 5, 2)
    params = task.init(jax.random.key(0))
    first, second = task.hidden(params, {"x": jnp.ones((4, 3), jnp.float32)})
    assert first.shape == (4, 6) and second.shape == (4, 5)
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), params)
    groups = units.units_of(m.weight_matching(lr=0.1), stacked)
    assert [units.width(g, params) for g in groups] == [6, 5]
    close(
        np.asarray(task.module(params).head(second)),
        np.asarray(task.answer(params, {"x": jnp.ones((4, 3), jnp.float32)})),
    )


def test_units_are_checked():
    for wrong in ("layer0", [["a/w", 1]], [[("a/w", -1)]], [[]]):
        with pytest.raises(ValueError, match=r"units.* give groups"):
            m.dimat(lr=0.1, units=wrong)
    refused = [[("z/w", 0)]], [[("a/w", 2)]], [[("a/w", 1), ("b/w", 1)]], [[("a/w", 0), ("a/w", 1)]]
    for wrong, key in itertools.product(refused, [jax.random.key(0)]):
        with pytest.raises(ValueError, match="units"):
            m.dimat(lr=0.1, units=wrong).init(STARTS, key)
    with pytest.raises(ValueError, match="no chain of dense layers"):
        m.dimat(lr=0.1).init(
            {"k": jnp.ones((2, 3, 3, 1, 4)), "w": jnp.ones((2, 4, 3)), "v": jnp.ones((2, 3, 2))}, jax.random.key(0)
        )
