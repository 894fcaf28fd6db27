"""Roles of leaves: FedPer is D-PSGD with a personal head; statistics at nodes and at a server against loops in NumPy."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import members
import numpy as np
import optax
import pytest
from flax import nnx
from probes import METHODS

import dejax as dj
from dejax import engine
from dejax.core.method import traits
from dejax.core.random import fold_name
from dejax.problem import roles
from dejax.round.cohort import floyd

LR, N = 0.1, 5
RING = dj.topology.ring(N).astype("float64")


def init(key):
    a, b = jax.random.split(key)
    return {
        "body": {"w": jax.random.normal(a, (6, 4), jnp.float64)},
        "head": {"w": jax.random.normal(b, (4,), jnp.float64)},
    }


def loss(params, batch, key):
    del key
    return jnp.square(jnp.tanh(batch["x"] @ params["body"]["w"]) @ params["head"]["w"] - batch["y"])


def problem(task=None, batch_size=None, **kw):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((N * 8, 6)), rng.standard_normal(N * 8)
    data = dj.data.from_arrays(x, y, test=(x, y)).partition(dj.data.iid(), nodes=N, seed=0)
    return dj.Problem(task or dj.tasks.from_functions(init, loss), data, batch_size=batch_size, **kw)


class PersonalState(NamedTuple):
    params: Any


@dj.struct
class FedPer:
    """Written out by hand: the whole model trains, the body alone is mixed."""

    lr: Any
    traits = dj.Traits()

    def init(self, params, key):
        del key
        return PersonalState(params)

    def step(self, state, round):
        moved = jax.tree.map(
            lambda x, g: x - jnp.asarray(self.lr, x.dtype) * g, state.params, round.gradient(state.params)
        )
        return PersonalState({"body": round.gossip(moved["body"]), "head": moved["head"]})


def final(method, problem, network, rounds=6, **kw):
    end, meters = dj.rollout(method, problem, network, jax.random.key(0), rounds, **kw)
    return engine.model(method, end), meters


@pytest.mark.slow
@pytest.mark.parametrize("churn", [0.0, 0.5])
def test_fedper_is_dsgd_with_a_personal_head(churn):
    network = dj.Network(RING, faults=dj.faults.churn(p=churn) if churn else ())
    by_hand, paid = final(FedPer(lr=LR), problem(batch_size=3, starts="independent"), network)
    given = problem(batch_size=3, starts="independent", roles={"head": "personal"}, personal_lr=LR)
    by_roles, meters = final(dj.methods.dsgd(lr=LR), given, network)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-14), by_roles, by_hand)
    assert meters.totals() == paid.totals()
    assert np.ptp(np.asarray(by_roles["head"]["w"]), axis=0).max() > 0.1  # heads differ


@pytest.mark.slow
def test_frozen_leaves_keep_their_start_and_one_copy():
    given = problem(roles={"body": "frozen"})
    method, prepared, network = engine.prepare(dj.methods.dsgd(lr=LR), given, dj.Network(RING))
    carry = engine.start(method, prepared, network, jax.random.key(0))
    assert carry.slots["role/frozen"]["body"]["w"].shape == (1, 6, 4)
    assert carry.state.params["body"]["w"] is None
    got, meters = final(dj.methods.dsgd(lr=LR), given, network)
    start = engine.starts(method, prepared, jax.random.key(0))
    np.testing.assert_allclose(got["body"]["w"], start["body"]["w"], rtol=0, atol=1e-15)  # drawn in another program
    assert (np.asarray(got["head"]["w"]) != np.asarray(start["head"]["w"])).any()
    assert meters.totals()["wire/gossip"] == 6 * 2 * N * 4 * 64  # the head alone


@pytest.mark.slow
def test_personal_heads_of_sampled_clients():
    """FedAvg over 2 of 5: heads of nodes that never took part keep their start, and the evaluated models are per node."""
    given = problem(roles={"head": "personal"}, personal_optimizer=dj.optimizer(optax.adam, learning_rate=0.05))
    got, _ = final(dj.methods.fedavg(lr=LR, clients=2), given, None, rounds=1)
    heads = np.asarray(got["head"]["w"])
    start = np.asarray(engine.starts(None, given, jax.random.key(0))["head"]["w"])
    assert (heads != start).any(1).sum() == 2
    assert np.ptp(np.asarray(got["body"]["w"]), axis=0).max() == 0


class Net(nnx.Module):
    """Batch normalization between two layers."""

    def __init__(self, rngs):
        self.inp = nnx.Linear(6, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.out = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(jnp.tanh(self.norm(self.inp(x))))


def square(module, batch):
    return jnp.square(module(batch["x"]).sum(-1) - batch["y"])


def net_task():
    return dj.tasks.from_module(Net, square, lambda module, batch: {"mse": square(module, batch)})


def float32(given):
    arrays = jax.tree.map(lambda x: x.astype(jnp.float32), given.data.arrays)
    return dataclasses.replace(given, data=dataclasses.replace(given.data, arrays=arrays))


def running(task, params, batches):
    """Running mean after a list of batches: one flax module, stepped by hand."""
    module = task.module(params)
    module.train()
    for batch in batches:
        module(batch)
    return np.asarray(module.norm.mean[...])


@pytest.mark.slow
def test_statistics_stay_at_their_node_and_follow_its_data():
    task = net_task()
    given = float32(problem(task))
    end, meters = dj.rollout(dj.methods.dsgd(lr=0.0), given, dj.Network(RING), jax.random.key(0), 3)
    assert end.state.params["norm"]["mean"] is None
    numbers = sum(x.size for x in jax.tree.leaves(task.init(jax.random.key(0)))) - 2 * 4
    assert meters.totals()["wire/gossip"] == 3 * 2 * N * numbers * 32
    start = jax.tree.map(lambda x: x[0], engine.starts(None, given, jax.random.key(0)))
    for i in range(N):
        x = given.data.arrays["x"][given.data.index[i]]
        np.testing.assert_allclose(end.statistics["norm"]["mean"][i], running(task, start, [x] * 3), atol=1e-6)


@pytest.mark.slow
def test_a_server_averages_statistics_with_the_models():
    task = net_task()
    given = float32(problem(task))
    method = dj.methods.fedavg(lr=0.0, clients=3, local_steps=2)
    end, meters = dj.rollout(method, given, None, jax.random.key(0), 2)
    params = jax.tree.map(lambda x: x[0], engine.starts(None, given, jax.random.key(0)))
    mean = np.zeros(4)
    for t in range(2):
        rows = []
        for i in np.asarray(floyd(fold_name(jax.random.fold_in(jax.random.key(0), t), "sample"), N, 3)):
            x = given.data.arrays["x"][given.data.index[i]]
            rows.append(
                running(task, params | {"norm": params["norm"] | {"mean": jnp.asarray(mean, jnp.float32)}}, [x] * 2)
            )
        mean = np.mean(rows, 0)
    model = engine.model(method, end)
    np.testing.assert_allclose(model["norm"]["mean"], mean, atol=1e-6)
    assert meters.totals()["up/sample/average/statistics"] == 2 * 3 * 8 * 32


@pytest.mark.slow
def test_a_run_with_batch_norm_evaluates_resumes_and_gives_its_module_back(tmp_path):
    given = float32(problem(net_task(), roles={"out": "personal"}, personal_lr=0.05))
    args = dj.methods.dsgd(lr=0.05), given, dj.Network(dj.topology.ring(N))
    run = lambda rounds, **kw: dj.simulate(*args, rounds=rounds, progress=False, every=2, **kw)
    whole = run(6)
    run(4, out=tmp_path / "run")
    again = run(6, resume=tmp_path / "run")
    assert whole.last("mse/local") == again.last("mse/local") > 0
    module = again.model(node=2)
    assert isinstance(module, Net)
    np.testing.assert_array_equal(module.norm.mean[...], again.params()["norm"]["mean"][2])
    assert isinstance(again.model(), Net)


def test_roles_that_cannot_work_are_refused():
    dsgd, ring = dj.methods.dsgd(lr=LR), dj.Network(RING)
    go = lambda given, method=dsgd, network=ring: dj.rollout(method, given, network, jax.random.key(0), 1)
    for kw, text in (
        ({"roles": {"hed": "personal"}, "personal_lr": 0.1}, "names 'hed'.*did you mean 'head'"),
        ({"roles": {"head": "personal"}}, "give personal_lr"),
        ({"personal_lr": 0.1}, "no leaf has role personal"),
        ({"roles": {"*": "frozen"}}, "nothing to share"),
        ({"roles": {"head": "statistics"}}, "does not say how"),
    ):
        with pytest.raises(ValueError, match=text):
            go(problem(**kw))
    with pytest.raises(ValueError, match="did you mean 'personal'"):
        problem(roles={"head": "personel"})
    given = problem(roles={"head": "personal"}, personal_lr=0.1)
    with pytest.raises(dj.RefusedError, match="keeps one model for all"):
        go(given, dj.methods.centralized(lr=LR), None)
    private = dj.Network(RING, privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
    with pytest.raises(dj.RefusedError, match="clips per example, which batch statistics tie"):
        go(float32(problem(net_task())), dsgd, private)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in METHODS else pytest.mark.nightly) for name in members.methods()]
)
def test_every_method_takes_a_personal_layer(name):
    """Each method trains, keeps personal leaves apart, and gives whole models; or refuses with its reason."""
    base = members.problem()
    given = dataclasses.replace(base, roles={"layer0/bias": "personal"}, personal_lr=0.05)
    method = members.methods()[name]
    try:
        end, _ = dj.rollout(method, given, members.network(name), jax.random.key(0), 3)
    except dj.RefusedError as error:
        assert traits(method).pooled or traits(method).groups, error
        return
    models = engine.model(method, end)
    shapes = jax.tree.map(lambda x: (members.N, *x.shape), jax.eval_shape(base.task.init, jax.random.key(0)))
    assert jax.tree.map(jnp.shape, models) == shapes
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(models))
    moved = np.ptp(np.asarray(models["layer0"]["bias"], np.float64), axis=0)
    assert moved.max() > 0
    assert isinstance(end, roles.WithRoles)
