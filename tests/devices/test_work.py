"""Each device works on its own nodes: local steps, cohorts and evaluations, whatever a loss closes over."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from shared import compiled

import dejax as dj
from dejax import metrics
from dejax.devices import placement
from dejax.devices.node_blocks import block_map, sum_nodes
from dejax.metrics import _models
from dejax.planning.compiled import collectives

N, D = 16, 8
PROBLEM = dataclasses.replace(zoo.squares(n=N)[0], batch_size=2, starts="independent")
RING = dj.Network(dj.topology.ring(N).astype("float64"))


@dj.struct
class Proximal:
    """A method whose losses close over its numbers, its state with a key of its own, and results of gossip and of `round.map`."""

    lr: Any
    pull: Any

    def init(self, params, key):
        """The models, and their mean, which is another one for each seed."""
        return {"params": params, "center": jax.tree.map(lambda x: x.mean(0), params), "key": key}

    def step(self, state, round):
        """A gradient step with a noisy pull to the mean of round 0, gossip, and a step with a pull to the mean of now."""
        x, center = state["params"], state["center"]["x"]

        def first(params, batch, key):
            table = jnp.zeros_like(self.pull) + self.pull * jnp.arange(3.0)
            noise = table[jax.random.randint(key, (4,), 0, 3)] * jax.random.normal(state["key"], (4,))
            far = params["x"] - center
            return round.problem.task.loss(params, batch, key) + 0.5 * self.pull * jnp.sum(far * (far + noise))

        x = round.map(lambda x, g: x - self.lr * g, x["x"], round.gradient(x, loss=first)["x"])
        now, mixed = x.mean(0), round.gossip({"x": x})
        also = mixed["x"].mean(0)

        def second(params, batch, key):
            to = jnp.where(jnp.ones_like(now) > jnp.zeros_like(also), now, also)
            return round.problem.task.loss(params, batch, key) + 0.5 * self.pull * jnp.sum(jnp.square(params["x"] - to))

        grads = round.gradient(mixed, loss=second, name="second")
        return {**state, "params": jax.tree.map(lambda x, g: x - self.lr * g, mixed, grads)}

    def model(self, state):
        """What is evaluated."""
        return state["params"]


def test_a_device_takes_its_own_rows_in_blocks_of_the_size_given():
    place = placement.Place(None, placement.layout(D).mesh)
    f = block_map(jnp.sin, D * 127, 64, place)
    x = jnp.linspace(0.0, 1.0, D * 127 * 3).reshape(D * 127, 3)
    np.testing.assert_allclose(f(x), jnp.sin(x), rtol=0, atol=1e-15)
    assert re.findall(r"\blength=(\d+)", str(jax.make_jaxpr(f)(x))) == [
        "1"
    ]  # one whole block; the other 63 rows after it


@pytest.mark.parametrize("rows", [*(pytest.param(r, marks=pytest.mark.slow) for r in (1, 8)), 3, 10])
def test_rows_that_devices_do_not_divide_are_filled_up_and_cut_off(rows):
    place = placement.Place(None, placement.layout(D).mesh)
    x, keys = jnp.arange(rows * 2.0).reshape(rows, 2), jax.random.split(jax.random.key(0), rows)
    one = lambda x, key: (x * 2, jax.random.normal(key))
    got, want = (jax.jit(block_map(one, rows, None, p))(x, keys) for p in (place, None))
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_what_a_function_closes_over_may_be_split_over_runs():
    place = placement.Place(None, placement.layout(nodes=4, runs=2).mesh)
    x, w = jnp.arange(16.0).reshape(2, 8), jnp.array([2.0, 3.0])
    both = lambda x, w: block_map(lambda row: row * w, 8, None, place)(x)
    got = jax.jit(jax.vmap(both, spmd_axis_name="runs"))(x, w)
    np.testing.assert_array_equal(got, x * w[:, None])


@pytest.mark.slow
def test_a_loss_may_close_over_numbers_states_and_keys_of_its_run():
    method = Proximal(lr=0.1, pull=0.3)
    kw = {"rounds": 2, "seeds": [0, 1], "progress": False, "metrics": []}
    one = dj.simulate(method, PROBLEM, RING, **kw)
    many = dj.simulate(method, PROBLEM, RING, mesh={"runs": 2, "nodes": 4}, **kw)
    for seed in (0, 1):
        np.testing.assert_allclose(one.params(seed=seed)["x"], many.params(seed=seed)["x"], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_run_on_a_mesh_is_differentiable():
    def end(lr, mesh):
        final, _ = dj.rollout(Proximal(lr=lr, pull=0.3), PROBLEM, RING, jax.random.key(0), 3, mesh=mesh)
        return jnp.square(final["params"]["x"]).mean()

    one, many = (jax.grad(end)(jnp.float64(0.1), mesh) for mesh in (None, D))
    np.testing.assert_allclose(one, many, rtol=1e-10)
    assert abs(one) > 1e-3


@pytest.mark.slow
def test_running_statistics_are_those_of_one_device():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(64, rngs=rngs)
            self.out = nnx.Linear(64, 10, rngs=rngs)

        def __call__(self, x):
            return self.out(self.norm(x.reshape(-1, 64)))

    data = dj.data.digits().partition(dj.data.iid(), nodes=N, seed=0)
    task = dj.tasks.classifier(lambda rngs: Net(rngs))
    problem = dj.Problem(task, data, batch_size=4)
    one, many = (
        dj.rollout(dj.methods.dsgd(lr=0.1), problem, dj.Network(dj.topology.ring(N)), jax.random.key(0), 2, mesh=mesh)[
            0
        ]
        for mesh in (None, D)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), one, many)


@pytest.mark.slow
def test_a_cohort_is_computed_by_all_devices_together():
    data = dj.data.digits().partition(dj.data.iid(), nodes=32, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 24, 10), data, batch_size=3)
    text, _ = compiled(dj.methods.fedavg(lr=0.1, clients=16), problem, dj.Network(), D)
    hidden = set(re.findall(r"f32\[(\d+),3,24\]", text))  # activations [clients, batch, units]
    assert hidden == {"2"}


# ---- evaluations
@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow), 21])
def test_a_sum_over_nodes_is_split_over_devices(count):
    place = placement.Place(None, placement.layout(D).mesh)
    x = jnp.arange(1.0, count + 1)
    total = lambda place: jax.jit(lambda x: sum_nodes(lambda v: {"a": v * v}, x, 2, place)["a"])
    assert float(total(place)(x)) == float(total(None)(x)) == float((x * x).sum())
    sent = collectives(total(place).lower(x).compile().as_text(), D)
    assert (sum(sent.values()) > 0) == (count >= D)  # a sum of parts crosses


LINEAR = dj.tasks.mlp(64, 10)


def digits(n):
    """A linear model on digits; n nodes."""
    return dj.Problem(LINEAR, dj.data.digits().partition(dj.data.iid(), nodes=n, seed=0), batch_size=4)


def evaluation_bytes(monkeypatch, n, **kw):
    """Bytes between devices in the program that evaluates node models."""
    calls, real = [], _models._nodes
    monkeypatch.setattr(_models, "_nodes", lambda *args: calls.append(args) or real(*args))
    network = dj.Network(dj.topology.geometric(n, seed=0))
    dj.simulate(
        dj.methods.dsgd(lr=0.1), digits(n), network, 1, mesh=D, progress=False, metrics=[metrics.local_models], **kw
    )
    monkeypatch.undo()
    return sum(collectives(real.lower(*calls[-1]).compile().as_text(), D).values())


@pytest.mark.slow
def test_an_evaluation_of_all_nodes_moves_no_model(monkeypatch):
    assert evaluation_bytes(monkeypatch, 32) == 0  # each device's numbers are read from it by the host


@pytest.mark.slow
def test_an_evaluation_of_a_sample_moves_as_much_whatever_the_number_of_nodes(monkeypatch):
    small, large = (evaluation_bytes(monkeypatch, n, nodes=4, final_nodes=4) for n in (32, 64))
    assert 0 < small == large


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [None, 5])
def test_metrics_are_those_of_one_device(nodes):
    """Nodes have changed places, some are adversaries, and shards differ in size."""
    data = dj.data.digits().partition(dj.data.dirichlet(alpha=1.0), nodes=N, seed=0)
    attack = dj.attacks.sign_flip(adversaries=3)
    network = dj.Network(dj.topology.geometric(N, seed=0), attack=attack)
    moved = set()

    def whose(view):
        """By node id, and as rows lie."""
        moved.add(bool((view.ids != np.arange(N)).any()))
        kernel = lambda params: np.asarray(params["layer0"]["kernel"])
        np.testing.assert_array_equal(kernel(view.params)[view.ids], kernel(view.rows))
        return {"first": kernel(view.params)[0].sum(), "second": kernel(view.state.params)[1].sum()}

    measures = [
        metrics.local_models, metrics.own_test, metrics.mean_model, metrics.consensus, metrics.objective, metrics.heterogeneity,
        metrics.sharpness, metrics.hessian_trace, metrics.per_node, metrics.fairness, metrics.per_class, metrics.confusion, metrics.flops, whose,
    ]  # fmt: skip
    one, many = (
        dj.simulate(
            dj.methods.dsgd(lr=0.1), dj.Problem(LINEAR, data, batch_size=4, starts="independent"), network, 2,
            mesh=mesh, progress=False, metrics=measures, nodes=nodes, final_nodes=nodes,
        )
        for mesh in (None, D)
    )  # fmt: skip
    assert len(moved) == 2 and any(moved)
    for name in one.held.names("dsgd"):
        np.testing.assert_allclose(one.arrays(name)[1], many.arrays(name)[1], rtol=1e-4, atol=1e-6)
    for a, b in zip(one.records, many.records, strict=True):  # sums over 13 honest nodes on 8 devices, too
        a, b = ({k: v for k, v in r.items() if k not in ("run", "wall")} for r in (a, b))
        assert a["evaluated"] == (nodes or N - 3)
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
