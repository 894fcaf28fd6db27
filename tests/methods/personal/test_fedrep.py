"""FedRep against NumPy on a linear representation; what its parts become where one of them stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import LR, N, close, run, same, sampled

import dejax as dj
from dejax.population import part

m = dj.methods
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((N, 6, 4)), RNG.standard_normal((N, 6))
B0, H0 = RNG.standard_normal((4, 2)) / 2, RNG.standard_normal(2)


def init(key):
    return {"body": jnp.asarray(B0), "head": jnp.asarray(H0)}


def loss(params, batch, key):
    return jnp.square(batch["x"] @ params["body"] @ params["head"] - batch["y"]) / 2


TASK = dj.tasks.from_functions(init, loss)


def problem(**kw):
    data = dj.data.from_clients([(X[i], Y[i]) for i in range(N)])
    return dj.Problem(TASK, data, **kw)


def slopes(i, body, head):
    """Of node i: (by body, by head)."""
    x, y = X[i], Y[i]
    error = (x @ body @ head - y) / len(y)
    return np.outer(x.T @ error, head), body.T @ x.T @ error


def end(method, rounds=3, **kw):
    return dj.rollout(method, problem(**kw), None, jax.random.key(0), rounds)[0]


def test_rounds_follow_the_paper():
    body, heads = B0, np.tile(H0, (N, 1))
    for t in range(3):
        ends = []
        for i in sampled(t, 3):
            for _ in range(3):
                heads[i] = heads[i] - 0.125 * slopes(i, body, heads[i])[1]
            b = body
            for _ in range(2):
                b = b - LR * slopes(i, b, heads[i])[0]
            ends.append(b)
        body = np.mean(ends, 0)
    state = end(m.fedrep(lr=LR, head="head", head_lr=0.125, head_steps=3, local_steps=2, clients=3))
    close(state.body["body"], body, 1e-9)
    close(state.head["head"], heads, 1e-9)
    assert state.body["head"] is None and state.head["body"] is None


def test_a_head_that_stays_is_frozen():
    kw = {"lr": LR, "local_steps": 2}
    state = end(m.fedrep(head_lr=0.0, **kw))
    frozen = end(m.fedavg(**kw), roles={"head": "frozen"})
    close(state.body["body"], frozen.state.params["body"])
    same(state.head["head"], np.tile(H0, (N, 1)))


def test_without_a_head_it_is_fedavg():
    """A model of one leaf has no last part."""
    same(run(m.fedrep(lr=LR, clients=3, local_steps=2))[1], run(m.fedavg(lr=LR, clients=3, local_steps=2))[1])


def test_rotated_bodies_and_heads_answer_alike():
    """Body by R and heads by its transpose: the same predictions after any number of rounds."""
    turn = np.linalg.qr(RNG.standard_normal((2, 2)))[0]
    go = lambda params: dj.rollout(m.fedrep(lr=LR, head_lr=0.1), problem(), None, jax.random.key(0), 3, params=params)[
        0
    ]
    one = go({"body": jnp.asarray(B0), "head": jnp.asarray(H0)})
    two = go({"body": jnp.asarray(B0 @ turn), "head": jnp.asarray(turn.T @ H0)})
    answers = [np.asarray(s.body["body"]) @ np.asarray(s.head["head"]).T for s in (one, two)]
    close(answers[0], answers[1], 1e-9)


def test_bodies_travel_alone():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    whole = dj.Problem(dj.tasks.mlp(64, 8, 10), data, batch_size=8)
    state, meters = dj.rollout(m.fedrep(lr=0.1, head_steps=2, clients=3), whole, None, jax.random.key(0), 2)
    assert set(state.head["layer1"]) == {"bias", "kernel"} and state.head["layer0"]["kernel"] is None
    assert meters.totals()["gradients"] == 2 * 3 * (2 + 1)
    sent = {k: v for k, v in meters.totals().items() if k.startswith(("up/", "down/"))}
    assert sum(sent.values()) == 2 * 3 * 2 * 32 * (64 * 8 + 8), sent


def test_parts_by_path():
    params = {"a": {"kernel": 1, "bias": 2}, "b": {"kernel": 3}}
    assert part(None, params) == (
        {"a": {"kernel": None, "bias": None}, "b": {"kernel": 3}},
        {"a": {"kernel": 1, "bias": 2}, "b": {"kernel": None}},
    )
    assert part(("a/bias", "b"), params)[0] == {"a": {"kernel": None, "bias": 2}, "b": {"kernel": 3}}
    assert part(None, {"x": {"y": 1}}) == ({"x": {"y": None}}, {"x": {"y": 1}})
    for paths, says in (("c", "names no leaf"), (("a", "b"), "names all leaves")):
        with pytest.raises(dj.FieldError, match=says):
            part(paths, params)


@dj.struct
class Halves:
    """Hands over parts that are no whole."""

    def init(self, params, key):
        return m.dsgd(lr=0.1).init(params, key)

    def step(self, state, round):
        round.gradient(state.params, fixed=state.params)
        return state


def test_parts_that_are_no_whole_are_refused():
    with pytest.raises(dj.FieldError, match="fixed and params do not make one model"):
        dj.rollout(Halves(), problem(), dj.Network(dj.topology.ring(N)), jax.random.key(0), 1)


def test_frozen_leaves_are_joined_to_every_model():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    deep = dj.Problem(dj.tasks.mlp(64, 8, 6, 10), data, batch_size=8, roles={"layer0": "frozen"})
    method = m.fedrep(lr=0.1, head="layer2", head_steps=2)
    end, _ = dj.rollout(method, deep, None, jax.random.key(0), 2)
    from dejax import engine

    model = engine.model(method, end)
    assert jax.tree.map(jnp.shape, model) == jax.tree.map(
        lambda x: (4, *x.shape), jax.eval_shape(deep.task.init, jax.random.key(0))
    )
    kernels = [np.asarray(model[f"layer{i}"]["kernel"]) for i in range(3)]
    assert [np.ptp(k, 0).max() > 0 for k in kernels] == [False, False, True]
