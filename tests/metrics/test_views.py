"""What is evaluated beside one model per node: by group, by a predictor, all together; models without a mean."""

import dataclasses
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import softmax_toy as linear

import dejax as dj
from dejax import metrics
from dejax.population import Grouped, Joint, Stacks

m, KEY = dj.methods, jax.random.key(0)
N, G = 6, 3
IDS = np.array([2, 0, 0, 2, 1, 0], np.int32)
DIGITS = dj.data.digits(flat=True).partition(dj.data.shards(), nodes=N, seed=0)
MLP = dj.Problem(dj.tasks.mlp(hidden=[5]), DIGITS, batch_size=8)


def models(n, task=MLP.task):
    return jax.vmap(task.init)(jax.random.split(jax.random.key(7), n))


def beside(problem, view, network=None, **kw):
    """A further view of a run whose own models are others."""
    return metrics.View(models(N, problem.task), problem, network, others=lambda: {"it": view}, **kw).others["it"]


def close(got, want, tol=1e-6):
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=tol, atol=tol, err_msg=name)


MEASURES = (
    metrics.local_models,
    metrics.own_test,
    metrics.mean_model,
    metrics.consensus,
    metrics.ensemble,
    metrics.sharpness,
)


@pytest.mark.parametrize("some", [{}, {"nodes": 4, "width": 2}])
@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.slow
def test_models_by_group_are_those_of_their_nodes(hostile, some):
    by_group = models(G)
    by_node = jax.tree.map(lambda x: x[IDS], by_group)
    network = SimpleNamespace(attack=SimpleNamespace(is_adversary=lambda n: np.arange(n) == 4)) if hostile else None
    got, want = beside(MLP, Grouped(by_group, IDS), network, **some), beside(MLP, by_node, network, **some)
    assert jax.tree.leaves(got.rows)[0].shape[0] == G and not got.shared
    for measure in MEASURES:
        close(measure(got), measure(want), 1e-4)
    np.testing.assert_array_equal(got.params["layer0"]["kernel"], by_node["layer0"]["kernel"])


def test_a_group_that_is_none_is_refused():
    with pytest.raises(
        dj.FieldError, match="gives ids of shape .6,. from 0 to 3; give each of 6 nodes one of 3 groups"
    ):
        beside(MLP, Grouped(models(G), np.array([0, 1, 2, 3, 0, 0])))


def vote(tree, batch, task):
    """The mean of what all models answer."""
    return jax.vmap(lambda model: task.answer(model, batch))(tree).mean(0)


def test_an_ensemble_is_one_answer_of_all_nodes():
    view = beside(MLP, Joint(vote, models(N)))
    assert view.shared and not view.averageable
    own = metrics.View(models(N), MLP)
    found = metrics.local_models(view)
    want = metrics.ensemble(own)
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(found[f"{name}/local"], want[f"{name}/ensemble"], rtol=1e-5)
        np.testing.assert_allclose(found[f"{name}/local_std"], 0, atol=1e-6)
    x, y = DIGITS.test["x"], DIGITS.test["y"]
    logits = sum(np.asarray(MLP.task.module(jax.tree.map(lambda a: a[i], own.params))(x)) for i in range(N)) / N  # noqa: B023
    np.testing.assert_allclose(want["accuracy/ensemble"], (logits.argmax(1) == y).mean(), rtol=1e-6)
    with pytest.raises(
        dj.FieldError, match="has mean_model, which asks for a mean of models, but they answer together"
    ):
        metrics.mean_model(view)


def test_an_ensemble_leaves_adversaries_out():
    network = SimpleNamespace(attack=SimpleNamespace(is_adversary=lambda n: np.arange(n) == 4))
    honest = np.array([0, 1, 2, 3, 5])
    every = models(N)
    spoiled = jax.tree.map(lambda x: x.at[4].set(jnp.nan), every)
    got = metrics.ensemble(metrics.View(spoiled, MLP, network))
    view = beside(MLP, Joint(vote, jax.tree.map(lambda x: x[honest], every)))
    np.testing.assert_allclose(got["loss/ensemble"], metrics.local_models(view)["loss/local"], rtol=1e-5)


def test_an_ensemble_needs_answers():
    with pytest.raises(dj.FieldError, match="has no answer.params, batch. and measure"):
        metrics.ensemble(metrics.View(linear.population(), linear.problem()))


class Prototyped(NamedTuple):
    params: Any
    means: Any


def nearest(tree, batch, task):
    """Minus the squared distance of features to the mean of each class."""
    found = task.features(tree["model"], batch)
    return -jnp.square(found[:, None] - tree["means"][None]).sum(-1)


@dj.struct
class Prototypes:
    """Every node learns alone, and keeps the mean features of each class on the batches that it saw."""

    lr: Any = dj.number()

    traits = dj.Traits(channel="none", raw_losses=True)

    def init(self, params, key):
        n = dj.population.size(params)
        return Prototyped(params, jnp.zeros((n, 10, 5), jnp.float32))

    def views(self, state):
        return {"nearest": (nearest, {"model": state.params, "means": state.means})}

    def step(self, state, round):
        batch = round.batch("own")
        params = jax.tree.map(lambda x, g: x - self.lr * g, state.params, round.gradient(state.params, batch))

        def means(model, batch, key):
            here = jax.nn.one_hot(batch["y"], 10)
            sums = here.T @ round.of_task("features")(model, batch)
            return sums / jnp.maximum(here.sum(0), 1)[:, None]

        return Prototyped(params, round.keep(round.forward(means, params, batch=batch), state.means))


def test_prototypes_are_measured_by_their_distances():
    problem = dataclasses.replace(MLP, batch_size=None)
    state, _ = dj.rollout(Prototypes(lr=0.1), problem, None, KEY, 1)
    view = metrics.View(state.params, problem, others=lambda: Prototypes(lr=0.1).views(state)).others["nearest"]
    assert not view.shared
    x, y = np.asarray(DIGITS.test["x"]), np.asarray(DIGITS.test["y"])
    rights = []
    for i in range(N):
        net = jax.tree.map(lambda a: np.asarray(a[i], np.float64), state.params)  # noqa: B023
        hidden = lambda z: np.maximum(z @ net["layer0"]["kernel"] + net["layer0"]["bias"], 0)  # noqa: B023
        rows = DIGITS.index[i][: DIGITS.count[i]]
        inside, labels = (
            hidden(np.asarray(DIGITS.seen(jax.tree.map(lambda a: a[rows], DIGITS.arrays))["x"])),  # noqa: B023
            DIGITS.arrays["y"][rows],
        )
        mean = np.stack([inside[labels == c].mean(0) if (labels == c).any() else np.zeros(5) for c in range(10)])
        gaps = ((hidden(x)[:, None] - mean[None]) ** 2).sum(-1)
        rights.append((gaps.argmin(1) == y).mean())
    got = metrics.local_models(view)
    np.testing.assert_allclose(got["accuracy/local"], np.mean(rights), atol=2e-3)
    assert got["accuracy/local_std"] > 0


@pytest.mark.slow
def test_a_run_measures_every_form_by_name_and_the_same_on_a_mesh():
    class State(NamedTuple):
        params: Any
        ids: Any

    @dj.struct
    class Seen(m.dsgd):
        def init(self, params, key):
            return State(m.dsgd.init(self, params, key), jnp.arange(dj.population.size(params)) % G)

        def model(self, state):
            return state.params.params

        def views(self, state):
            x = state.params.params
            firsts = jax.tree.map(lambda a: a[:G], x)
            return {
                "groups": Grouped(firsts, state.ids),
                "all": Joint(weighed, x),
                "first": jax.tree.map(lambda a: a[0], x),
            }

        def step(self, state, round):
            return State(m.dsgd.step(self, state.params, round), state.ids)

    problem = dataclasses.replace(MLP, data=dj.data.digits(flat=True).partition(dj.data.shards(), nodes=8, seed=0))
    network = dj.Network(dj.topology.erdos_renyi(8, p=0.5, seed=1))
    run = lambda **kw: dj.simulate(Seen(lr=0.1), problem, network, rounds=2, every=2, progress=False, **kw).records[-1]
    alone, spread = run(), run(mesh=4)
    names = {
        "accuracy/local/groups",
        "accuracy/local/all",
        "accuracy/local/first",
        "consensus/groups",
        "accuracy/mean_model/first",
    }
    assert names <= set(alone) and "accuracy/mean_model/all" not in alone
    for name, value in alone.items():
        if name != "wall" and isinstance(value, float):
            np.testing.assert_allclose(spread[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def weighed(tree, batch, task):
    """Node i's answer counts i + 1 times: the order of nodes matters."""
    each = jax.vmap(lambda model: task.answer(model, batch))(tree)
    return jnp.einsum("n,nbc->bc", jnp.arange(1.0, len(each) + 1, dtype=each.dtype), each)


BOTH = dj.tasks.architectures(
    {"small": dj.tasks.logistic(64, 10), "large": dj.tasks.mlp(64, 4, 10)}, nodes={"small": [0, 2, 5], "large": 3}
)


def negative(tree, batch, task):
    """The least likely class."""
    ((name, model),) = tree.items() if isinstance(tree, Stacks) else [("", tree)]
    assert name in ("small", "large")
    return -task.answer(model, batch)


@pytest.mark.slow
def test_stacks_are_views_and_have_predictors_and_an_ensemble():
    problem = dj.Problem(BOTH, DIGITS, batch_size=8, starts="independent")
    state, _ = dj.rollout(m.local_only(lr=0.5), problem, None, KEY, 3)
    both = lambda: {"same": state.params, "turned": (negative, state.params)}
    view = metrics.View(state.params, problem, others=both)
    close(metrics.local_models(view.others["same"]), metrics.local_models(view))
    turned = metrics.local_models(view.others["turned"])
    x, y = np.asarray(DIGITS.test["x"]), np.asarray(DIGITS.test["y"])
    logits = []
    for name, ids, task in problem.task.items():
        for row, _ in enumerate(ids):
            logits.append(np.asarray(task.module(jax.tree.map(lambda a: a[row], state.params[name]))(x)))  # noqa: B023
    np.testing.assert_allclose(
        turned["accuracy/local"], np.mean([(z.argmin(1) == y).mean() for z in logits]), atol=1e-6
    )
    found = metrics.ensemble(view)
    np.testing.assert_allclose(found["accuracy/ensemble"], (sum(logits).argmax(1) == y).mean(), atol=1e-6)
    record = dj.simulate(m.local_only(lr=0.5), problem, None, rounds=2, metrics=["ensemble"], progress=False).records[
        -1
    ]
    assert 0 < record["accuracy/ensemble"] <= 1


def drawn(params, batch, key):
    return {"luck": jax.random.uniform(key, batch["y"].shape)}


def test_a_metric_with_a_key_sees_the_same_draws_all_along():
    def loss(params, batch, key):
        return params["w"].sum() * jnp.ones_like(batch["y"], float)

    task = dj.tasks.from_functions(lambda key: {"w": jnp.ones(2)}, loss, drawn)
    problem = dj.Problem(task, DIGITS, batch_size=8)
    records = dj.simulate(m.local_only(lr=0.1), problem, None, rounds=2, every=1, progress=False).records
    luck = [record["luck/local"] for record in records]
    assert len(luck) == 3 and len(set(luck)) == 1 and 0.3 < luck[0] < 0.7
    other = dj.simulate(m.local_only(lr=0.1), problem, None, rounds=1, progress=False, seeds=[1]).records
    assert other[-1]["luck/local"] != luck[0]


class Table:
    """A task of two leaves, of which a table of entries has no mean."""

    averageable = {"table": False}  # noqa: RUF012

    def __init__(self, **said):
        if said:
            self.averageable = said["averageable"]

    def init(self, key):
        return {"w": jnp.ones(3, jnp.float32), "table": jnp.ones(4, jnp.float32)}

    def loss(self, params, batch, key):
        return (params["w"].sum() * params["table"].sum()) * jnp.ones(batch["y"].shape, jnp.float32)

    def metrics(self, params, batch):
        return {}


RING = dj.Network(dj.topology.ring(N))


def test_a_leaf_without_a_mean_refuses_those_who_average_it():
    problem = dj.Problem(Table(), DIGITS, batch_size=8)
    for method, network in ((m.dsgd(lr=0.1), RING), (m.fedavg(lr=0.1), None)):
        with pytest.raises(
            dj.RefusedError,
            match="averageable = False of the leaf 'table', but .* averages models; .*personal or frozen",
        ):
            dj.rollout(method, problem, network, KEY, 1)
    for name in ("mean_model", "consensus", "objective"):
        with pytest.raises(dj.FieldError, match=f"holds '{name}', but the task says averageable = False of the leaf"):
            dj.simulate(m.local_only(lr=0.1), problem, None, rounds=1, metrics=[name], progress=False)
    assert "consensus" not in dj.simulate(m.local_only(lr=0.1), problem, None, rounds=1, progress=False).records[-1]


def test_a_leaf_without_a_mean_may_stay_at_its_node():
    problem = dj.Problem(Table(), DIGITS, batch_size=8, roles={"table": "personal"}, personal_lr=0.01)
    record = dj.simulate(m.dsgd(lr=0.01), problem, RING, rounds=1, progress=False).records[-1]
    assert "consensus" in record and "loss/mean_model" not in record
    with pytest.raises(dj.FieldError, match="holds 'mean_model', but the task says averageable = False of some leaves"):
        dj.simulate(m.dsgd(lr=0.01), problem, RING, rounds=1, metrics=["mean_model"], progress=False)


@pytest.mark.parametrize(
    ("said", "says"), [("no", "task.averageable is 'no'"), ({"tabel": False}, "names 'tabel', but the leaves are")]
)
def test_what_says_nothing_is_refused(said, says):
    with pytest.raises(dj.FieldError, match=says):
        dj.rollout(m.local_only(lr=0.1), dj.Problem(Table(averageable=said), DIGITS, batch_size=8), None, KEY, 1)


def test_a_task_without_a_mean_has_no_consensus():
    problem = dj.Problem(Table(averageable=False), DIGITS, batch_size=8)
    view = metrics.View(jax.vmap(problem.task.init)(jax.random.split(KEY, N)), problem)
    for measure in (metrics.mean_model, metrics.consensus, metrics.objective):
        with pytest.raises(dj.FieldError, match="asks for a mean of models, but the task says that they have none"):
            measure(view)


@pytest.mark.slow
def test_features_are_what_the_head_reads():
    x = {"x": np.asarray(DIGITS.test["x"][:5], np.float32)}
    images = {"x": x["x"].reshape(5, 8, 8)}
    tasks = dj.tasks
    text = {"x": np.arange(12, dtype=np.int32).reshape(2, 6) % 5}
    for task, batch in (
        (tasks.lenet5(shape=(28, 28), classes=10), {"x": np.ones((2, 28, 28), np.float32)}),
        (tasks.resnet(8, shape=(8, 8), classes=10), images),
        (tasks.lstm(vocabulary=5, length=6, hidden=4, layers=1), text),
        (tasks.transformer(8, heads=2, layers=1, vocabulary=5, length=6), text),
        (tasks.mlp(64, 7, 10), x), (tasks.logistic(64, 10), x), (tasks.cnn((4,), shape=(8, 8), classes=10, kernel=3), images),
    ):  # fmt: skip
        params = task.init(KEY)
        found = task.features(params, batch)
        np.testing.assert_allclose(task.module(params).head(found), task.answer(params, batch), rtol=1e-6)
    with pytest.raises(TypeError, match="has no method features"):
        from flax import nnx

        odd = tasks.classifier(lambda rngs: nnx.Linear(64, 10, rngs=rngs))
        odd.features(odd.init(KEY), x)
