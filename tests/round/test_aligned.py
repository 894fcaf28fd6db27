"""Batches of the same places at all nodes, and what gradients count as."""

from typing import Any

import jax
import jax.numpy as jnp
import members
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits

N, S, B = 3, 12, 4
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((S, 2 * N)), RNG.standard_normal(S)
X0 = RNG.standard_normal((N, 2))
COMPLETE = dj.Network(dj.topology.complete(N).astype("float64"))


def problem(even=True, **kw):
    """Node i holds columns 2 i and 2 i + 1 of all samples, and the targets."""
    columns = np.concatenate([X[:, 2 * i : 2 * i + 2] for i in range(N)])
    rows = {"x": columns, "y": np.tile(Y, N), "id": np.tile(np.arange(S, dtype=np.int32), N)}
    index = np.arange(N * S, dtype=np.int32).reshape(N, S)
    data = dj.data.NodeData({k: jnp.asarray(v) for k, v in rows.items()}, index, np.full(N, S, np.int32), even=even)
    init = lambda key: {"x": jnp.zeros(2)}
    loss = lambda p, b, key: 0.5 * jnp.square(b["x"] @ p["x"] - b["y"])
    return dj.Problem(dj.tasks.from_functions(init, loss), data, **kw)


@dj.struct
class State:
    params: Any
    ids: Any


@dj.struct
class Vertical:
    """Least squares over columns: each node sends its part of every prediction."""

    lr: float = 0.1
    cohort: int = dj.static(default=0)

    traits = Traits()

    def init(self, params, key):
        return State(params, jnp.zeros((self.cohort or N, B), jnp.int32))

    def step(self, state, round):
        view = round.sample(self.cohort) if self.cohort else round
        batch = view.batch(aligned=True).data
        if self.cohort:
            return State(state.params, batch["id"])
        part = jnp.einsum("nbf,nf->nb", batch["x"], state.params["x"])
        gap = N * round.gossip(part) - batch["y"]
        slope = jnp.einsum("nbf,nb->nf", batch["x"], gap) / B
        return State({"x": state.params["x"] - self.lr * slope}, batch["id"])


def test_columns_of_the_same_samples_learn_as_one_table():
    """Each step is that of least squares on the whole rows, to rounding."""
    w, drawn = X0.reshape(-1), []
    for t in range(1, 4):
        state, _ = zoo.run(Vertical(), problem(batch_size=B), COMPLETE, t, X0)
        ids = np.asarray(state.ids)
        np.testing.assert_array_equal(ids, np.tile(ids[0], (N, 1)))
        w = w - 0.1 * X[ids[0]].T @ (X[ids[0]] @ w - Y[ids[0]]) / B
        np.testing.assert_allclose(np.asarray(state.params["x"]).reshape(-1), w, rtol=1e-12)
        drawn.append(ids[0])
    assert not (drawn[0] == drawn[1]).all() and not (drawn[1] == drawn[2]).all()


def test_a_cohort_is_aligned_too_and_all_samples_come_in_order():
    state, _ = zoo.run(Vertical(cohort=2), problem(batch_size=B), COMPLETE, 1, X0)
    np.testing.assert_array_equal(state.ids[0], state.ids[1])

    class Whole(Vertical):
        def init(self, params, key):
            return State(params, jnp.zeros((N, S), jnp.int32))

        def step(self, state, round):
            return State(state.params, round.batch(aligned=True).data["id"])

    state, _ = zoo.run(dj.struct(Whole)(), problem(), COMPLETE, 1, X0)
    np.testing.assert_array_equal(state.ids, np.tile(np.arange(S), (N, 1)))


@pytest.mark.parametrize(
    ("kw", "text"),
    [
        ({"batch_size": B, "even": False}, "unequal numbers of rows"),
        ({"batch_size": B, "sampling": "epoch"}, "sampling='epoch'; use sampling='replacement'"),
        ({"batch_size": B, "sampling": "poisson"}, "sampling='poisson'"),
        ({"batch_size": B, "augment": lambda key, x: x}, r"draws of its own with Problem\(augment="),
    ],
)
def test_what_has_no_common_places_is_refused(kw, text):
    with pytest.raises(dj.FieldError, match=r"round\.batch\.aligned is True.*" + text):
        zoo.run(Vertical(), problem(**kw), COMPLETE, 1, X0)


def test_public_rows_are_aligned_as_they_are():
    class Public(Vertical):
        def step(self, state, round):
            return State(state.params, round.batch(aligned=True, of="public").data["id"])

    with pytest.raises(dj.FieldError, match="public rows are the same for all"):
        zoo.run(dj.struct(Public)(), problem(batch_size=B), COMPLETE, 1, X0)


# ---- what a gradient counts as
@pytest.mark.slow
def test_products_count_besides_and_take_the_time_of_two_gradients():
    method, rounds = members.methods()["ma_dsbo"], 2
    network = members.network("ma_dsbo", clock=dj.faults.clock(gradient=1.0))
    _, meters = dj.rollout(method, members.problem(), network, jax.random.key(0), rounds)
    totals, lower, solve = meters.totals(), method.lower_steps, method.solve_steps
    assert totals["gradients"] == members.N * (lower + solve) * rounds
    assert totals["products"] == members.N * solve * rounds
    np.testing.assert_allclose(meters.seconds[-1], rounds * (lower + 3 * solve), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fedmd", "ma_dsbo"])
def test_accounts_see_private_gradients_alone(name):
    """Answers on public rows cost nothing; a product is clipped with its gradient, and is one mechanism with it."""
    method = members.methods()[name]
    want = method.local_steps if name == "fedmd" else method.lower_steps + method.solve_steps
    network = members.network(name, privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
    spent = dj.privacy_spent(method, members.problem(), network, rounds=5, delta=1e-5)
    assert spent.per_round == want
    _, meters = dj.rollout(method, members.problem(), network, jax.random.key(0), 1)
    assert meters.totals()["gradients"] == members.N * want
    if name == "fedmd":
        assert meters.totals()["public_gradients"] == members.N * method.digest_steps
