"""Several architectures in one population: a reference by NumPy, one as none, churn, resume, numbers by architecture."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dejax as dj
from dejax.config import load
from dejax.config.yaml import parse
from dejax.core.stacks import Stacks, each
from dejax.core.tree import scale, where
from dejax.report.as_config import as_config

m = dj.methods
N, CLASSES, HIDDEN, INPUTS, PUBLIC = 5, 3, 4, 2, 6
SMALL, LARGE = (1, 4), (0, 2, 3)


def drawn(seed=0):
    """Points in the plane of three kinds, four at each node, and six that all have."""
    rng = np.random.default_rng(seed)
    draw = lambda rows: {"x": rng.standard_normal((rows, INPUTS)), "y": rng.integers(0, CLASSES, rows).astype(np.int32)}
    index = np.arange(4 * N, dtype=np.int32).reshape(N, 4)
    count = np.full(N, 4, np.int32)
    return dj.data.NodeData(draw(4 * N), index, count, test=draw(9), public=draw(PUBLIC), num_classes=CLASSES)


def linear(p, x):
    return x @ p["w"] + p["b"][None]


def hidden(p, x):
    return jnp.tanh(x @ p["u"]) @ p["w"] + p["b"][None]


def task(forward, **shapes):
    """A softmax classifier of plain arrays in float64."""

    def init(key):
        keys = jax.random.split(key, len(shapes))
        return {name: jax.random.normal(k, shape) for k, (name, shape) in zip(keys, shapes.items(), strict=True)}

    def loss(p, batch, key):
        logits = forward(p, batch["x"])
        return jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, batch["y"][:, None], 1)[:, 0]

    def metrics(p, batch):
        return {"accuracy": (forward(p, batch["x"]).argmax(1) == batch["y"]).astype(float)}

    return dj.tasks.from_functions(init, loss, metrics, answer=lambda p, batch: forward(p, batch["x"]))


TASKS = {
    "small": task(linear, w=(INPUTS, CLASSES), b=(CLASSES,)),
    "large": task(hidden, u=(INPUTS, HIDDEN), w=(HIDDEN, CLASSES), b=(CLASSES,)),
}
DATA = drawn()


def both(**kw):
    tasks = dj.tasks.architectures(TASKS, nodes={"small": list(SMALL), "large": len(LARGE)})
    return dj.Problem(tasks, DATA, **({"starts": "independent"} | kw))


def network(**kw):
    return dj.Network(dj.topology.ring(N), **kw)


METHOD = m.fedmd(lr=0.3, digest_lr=0.2, digest_steps=2, local_steps=2)


def by_hand(models, w, rounds):
    """FedMD by NumPy, node after node; models: node -> dict of arrays, with "u" where there is a hidden layer."""
    x, y = np.asarray(DATA.arrays["x"]).reshape(N, 4, INPUTS), np.asarray(DATA.arrays["y"]).reshape(N, 4)
    public = np.asarray(DATA.public["x"])

    def pull(p, x, slope):
        """Gradients of sum(slope * logits)."""
        z = np.tanh(x @ p["u"]) if "u" in p else x
        grads = {"w": z.T @ slope, "b": slope.sum(0)}
        return grads | ({"u": x.T @ (slope @ p["w"].T * (1 - z**2))} if "u" in p else {})

    def logits(p, x):
        return (np.tanh(x @ p["u"]) if "u" in p else x) @ p["w"] + p["b"]

    for _ in range(rounds):
        answers = np.stack([logits(p, public) for p in models])
        targets = np.einsum("ij,jpc->ipc", w, answers)
        for i, p in enumerate(models):
            for _ in range(METHOD.digest_steps):
                grads = pull(p, public, np.sign(logits(p, public) - targets[i]) / (PUBLIC * CLASSES))
                p = {k: v - METHOD.digest_lr * grads[k] for k, v in p.items()}
            for _ in range(METHOD.local_steps):
                e = np.exp(logits(p, x[i]))
                grads = pull(p, x[i], (e / e.sum(1, keepdims=True) - np.eye(CLASSES)[y[i]]) / 4)
                p = {k: v - METHOD.lr * grads[k] for k, v in p.items()}
            models[i] = p
    return models


def nodes_of(params):
    """The models by node, as dicts of NumPy arrays."""
    return [jax.tree.map(np.asarray, next(iter(params.node(i).values()))) for i in range(N)]


def test_two_architectures_follow_the_equations():
    start = m.local_only(lr=0.0)
    models = nodes_of(dj.rollout(start, both(), None, jax.random.key(0), 1)[0].params)
    assert [sorted(p) for p in models] == [["b", "u", "w"] if i in LARGE else ["b", "w"] for i in range(N)]
    state, meters = dj.rollout(METHOD, both(), network(), jax.random.key(0), 3)
    want = by_hand(models, np.asarray(network().topology.matrix()), 3)
    for got, p in zip(nodes_of(state.params), want, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), got, p)
    assert meters.totals()["wire/gossip"] == 3 * 2 * N * PUBLIC * CLASSES * 64
    totals = meters.totals()
    assert totals["gradients"] == totals["public_gradients"] == 3 * N * 2 and totals["forwards"] == 3 * N


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [METHOD, m.local_only(optimizer=dj.optimizer(optax.adam, learning_rate=0.1)), m.k_core()],
    ids=["fedmd", "adam", "k_core"],
)
def test_one_architecture_is_none(method):
    alone = dj.tasks.architectures({"all": TASKS["large"]}, nodes={"all": N})
    parts = {"starts": "independent", "batch_size": 2, "sampling": "epoch"}
    net = (
        None
        if isinstance(method, m.local_only)
        else network(faults=() if isinstance(method, m.k_core) else dj.faults.churn(p=0.3))
    )
    run = lambda task: dj.rollout(method, dj.Problem(task, DATA, **parts), net, jax.random.key(1), 4)
    (got, some), (want, all_) = run(alone), run(TASKS["large"])
    same(got, want)
    assert some.totals() == all_.totals()
    same(some.values, all_.values)


@pytest.mark.slow
def test_rows_of_a_node_do_not_depend_on_who_else_has_its_architecture():
    """Keys and batches are by the node's id: alone, a node learns what it learns where all have its model."""
    method = m.local_only(lr=0.2)
    run = lambda task: dj.rollout(
        method, dj.Problem(task, DATA, starts="independent", batch_size=2), None, jax.random.key(2), 3
    )
    mixed, meters = run(both().task)
    for name, ids in (("small", SMALL), ("large", LARGE)):
        plain, _ = run(TASKS[name])
        want = jax.tree.map(lambda x, ids=ids: x[np.asarray(ids)], plain.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), mixed.params[name], want)
    assert meters.totals()["gradients"] == 3 * N


@pytest.mark.slow
def test_a_sleeping_node_keeps_its_model_and_rates_are_by_id():
    net = network(faults=dj.faults.vanish(nodes=(1, 2), at=0))
    start = nodes_of(dj.rollout(m.local_only(lr=0.0), both(), None, jax.random.key(0), 1)[0].params)
    rates = np.asarray([0.3, 0.3, 0.3, 0.0, 0.0])
    end, meters = dj.rollout(m.fedmd(lr=rates, digest_lr=0.0), both(), net, jax.random.key(0), 2)
    for i, (a, b) in enumerate(zip(nodes_of(end.params), start, strict=True)):
        moved = any((a[k] != b[k]).any() for k in a)
        assert moved == (i == 0), i
    assert meters.totals()["gradients"] == meters.totals()["public_gradients"] == 2 * (N - 2)


@pytest.mark.slow
def test_optimizers_noise_and_losses_see_each_stack():
    clipped = network(privacy=dj.privacy.gaussian_gradient(clip=1e-9, noise_multiplier=0.0))
    held, _ = dj.rollout(m.fedmd(lr=1.0, digest_lr=0.0), both(), clipped, jax.random.key(0), 2)
    free, meters = dj.rollout(m.fedmd(lr=0.0, digest_lr=0.0), both(), network(), jax.random.key(0), 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-8), held.params, free.params)
    one = lambda p, i: TASKS["small" if i in SMALL else "large"].loss(p, DATA.node(i), None).mean()
    want = np.mean([one(p, i) for i, p in enumerate(nodes_of(free.params))])
    np.testing.assert_allclose(meters.values["loss"][-1], want, rtol=1e-6)


@pytest.mark.slow
def test_numbers_stand_by_architecture_and_a_killed_run_goes_on(tmp_path):
    run = lambda rounds, **kw: dj.simulate(METHOD, both(), network(), rounds=rounds, every=2, progress=False, **kw)
    history = run(6)
    test, models = DATA.test, nodes_of(history.state().params)
    right = [
        float(TASKS["small" if i in SMALL else "large"].metrics(p, test)["accuracy"].mean())
        for i, p in enumerate(models)
    ]
    last = history.records[-1]
    np.testing.assert_allclose(last["accuracy/local"], np.mean(right), rtol=1e-6)
    for name, ids in (("small", SMALL), ("large", LARGE)):
        np.testing.assert_allclose(last[f"accuracy/local/{name}"], np.mean([right[i] for i in ids]), rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, history.model(4), models[4])
    run(4, out=tmp_path / "run", checkpoint_every=2)
    resumed = run(6, resume=tmp_path / "run")
    same(resumed.state().params, history.state().params)
    plain = lambda records: [{k: v for k, v in r.items() if k != "wall"} for r in records]
    assert plain(resumed.records) == plain(history.records)


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_each_architecture_is_measured_on_validation_rows(own):
    """Every node's own row, or those that all have: the mean over nodes of both architectures."""
    rows = DATA.split(validation=0.25) if own else dataclasses.replace(DATA, validation=DATA.test)
    problem = dataclasses.replace(both(), data=rows)
    history = dj.simulate(METHOD, problem, network(), rounds=2, every=2, metrics=["validation"], progress=False)
    right = []
    for i, p in enumerate(nodes_of(history.state().params)):
        at = np.asarray(rows.validation_index[i])[: int(rows.validation_count[i])] if own else slice(None)
        part = {k: np.asarray(v)[at] for k, v in rows.validation.items()}
        right.append(float(TASKS["small" if i in SMALL else "large"].loss(p, part, None).mean()))
    last = history.records[-1]
    np.testing.assert_allclose(last["loss/validation"], np.mean(right), rtol=1e-6)
    np.testing.assert_allclose(last["loss/validation_worst"], max(right), rtol=1e-6)


@pytest.mark.slow
def test_seeds_run_together_and_a_few_nodes_may_be_measured():
    history = dj.simulate(METHOD, both(), network(), rounds=2, every=1, seeds=[0, 1], nodes=2, progress=False)
    alone = dj.simulate(METHOD, both(), network(), rounds=2, every=1, seed=1, nodes=2, progress=False)
    theirs = [r for r in history.records if r["seed"] == 1]
    for a, b in zip(theirs, alone.records, strict=True):
        np.testing.assert_allclose(a["loss/local"], b["loss/local"], rtol=1e-9)
    assert history.records[0]["evaluated"] == 2 and history.records[-1]["evaluated"] == N


@pytest.mark.slow
def test_starts_may_be_given_by_architecture():
    given = {"small": jax.tree.map(lambda x: x[0], both_models()["small"]), "large": both_models()["large"]}
    state, _ = dj.rollout(m.local_only(lr=0.0), both(), None, jax.random.key(0), 1, params=given)
    for i, row in enumerate(SMALL):
        same(state.params.node(row)["small"], given["small"]), i
    same(state.params["large"], given["large"])
    with pytest.raises(dj.FieldError, match="give starts by the names of the architectures: small, large"):
        dj.rollout(m.local_only(lr=0.0), both(), None, jax.random.key(0), 1, params={"small": given["small"]})
    with pytest.raises(dj.FieldError, match=r"a leaf of params\['large'\] has shape"):
        wrong = jax.tree.map(lambda x: x[:2], given["large"])
        dj.rollout(m.local_only(lr=0.0), both(), None, jax.random.key(0), 1, params=given | {"large": wrong})


def both_models():
    return dj.rollout(m.local_only(lr=0.0), both(), None, jax.random.key(3), 1)[0].params


# ---- what cannot work
@pytest.mark.parametrize(
    ("method", "net", "more", "text"),
    [
        (
            m.dsgd(lr=0.1),
            network(),
            {},
            "Dsgd makes one model of those of several nodes, and models of several forms have no mean",
        ),
        (m.fedavg(lr=0.1), dj.Network(), {}, "FedAvg makes one model of those of several nodes"),
        (m.centralized(lr=0.1), None, {}, "Centralized makes one model of those of several nodes"),
        (m.fedes(lr=0.1), dj.Network(), {}, "keeps one model at its server"),
        (
            METHOD,
            network(),
            {"roles": {"small/w": "personal"}, "personal_lr": 0.1},
            "roles are of the leaves of one model",
        ),
    ],
)
def test_what_needs_one_form_is_refused_with_the_reason(method, net, more, text):
    with pytest.raises(dj.RefusedError, match=text):
        dj.rollout(method, both(**more), net, jax.random.key(0), 1)


def test_models_of_several_architectures_cannot_be_sent_or_meaned():
    @dj.struct
    class Careless(type(METHOD)):
        def step(self, state, round):
            return type(state)(round.gossip(state.params))

    with pytest.raises(dj.FieldError, match=r"holds models of several architectures \(small, large\)"):
        dj.rollout(Careless(lr=0.1), both(), network(), jax.random.key(0), 1)
    with pytest.raises(ValueError, match="have no common form; give one of them"):
        dj.population.mean(both_models())
    with pytest.raises(ValueError, match="the mean of its models is no model"):
        dj.simulate(METHOD, both(), network(), rounds=1, metrics="consensus", progress=False)


def test_answers_of_other_forms_are_named_by_architecture():
    @dj.struct
    class Raw(type(METHOD)):
        def step(self, state, round):
            round.forward(lambda p, batch, key: next(iter(p.values()))["w"], state.params)
            return state

    with pytest.raises(dj.FieldError, match=r"small: float64\[n, 2, 3\], large: float64\[n, 4, 3\]"):
        dj.rollout(Raw(lr=0.1), both(), network(), jax.random.key(0), 1)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ({"small": 2, "large": 2}, "speaks of 4 nodes, but the data are split over 5"),
        ({"small": [0, 1], "large": [1, 2, 3]}, "lists node 1 twice"),
        ({"small": [5], "large": 4}, "lists node 5, but there are 5 nodes"),
        ({"small": 5}, "names small, but tasks names small, large"),
        ({"small": 0, "large": 5}, "give a whole number >= 1"),
    ],
)
def test_each_node_has_one_architecture(nodes, text):
    with pytest.raises(dj.FieldError, match=text):
        dj.Problem(dj.tasks.architectures(TASKS, nodes=nodes), DATA)


def test_a_config_names_the_architectures():
    config = load("configs/two_models.yaml", ["task.architectures.tasks.hidden.mlp.hidden=[8]"])
    again = load(config.plain())
    assert again.plain() == config.plain()
    method, problem, _ = config.runs[0].objects()
    assert problem.task.ids == (tuple(range(24)), tuple(range(24, 32)))
    assert jax.tree.leaves(problem.task.init(jax.random.key(0))["hidden"])[0].shape == (8,)
    assert type(method) is type(METHOD)
    written = as_config({"fedmd": (method, problem, dj.Network(dj.topology.ring(32)))}, {"fedmd": 3})
    call = load(parse(written)[0]).plain()["task"]["architectures"]  # of objects made by calls, the same
    assert call["tasks"]["hidden"]["mlp"]["hidden"] == [8] and call["nodes"] == {"linear": 24, "hidden": 8}


# ---- the trees themselves
def test_masks_and_rates_reach_the_rows_of_a_stack():
    params = Stacks({"a": jnp.ones((2, 3)), "b": jnp.ones((1, 2))}, ((0, 2), (1,)))
    mask, rate = jnp.asarray([True, False, False]), jnp.asarray([1.0, 2.0, 3.0])
    new = where(mask, scale(rate, params), params)
    assert new["a"].tolist() == [[1.0] * 3] * 2 and new["b"].tolist() == [[1.0, 1.0]]
    assert scale(rate, params)["a"][:, 0].tolist() == [1.0, 3.0] and scale(rate, params)["b"][0, 0] == 2.0
    joined = each(lambda ids, part, rows: rows + 10 * len(part), params, rate)
    assert joined.tolist() == [11.0, 12.0, 13.0]
    assert dj.population.size(params) == 3 and dataclasses.is_dataclass(both().task)
