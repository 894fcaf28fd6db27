"""Several architectures on meshes, at a server, under learning rules and sources, and beside other kinds of batches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_architectures import (
    DATA,
    INPUTS,
    LARGE,
    METHOD,
    SMALL,
    TASKS,
    N,
    both,
    hidden,
    linear,
    nodes_of,
    same,
)

import dejax as dj

m, KEY = dj.methods, jax.random.key(0)
LOCAL = m.local_only(lr=0.3)
DIGITS = dj.data.digits(flat=True).partition(dj.data.shards(), nodes=8, seed=0, public=20)
NODES = {"even": {"small": 4, "large": 4}, "uneven": {"small": [0, 3, 5], "large": 5}}
GRAPH = dj.topology.erdos_renyi(8, p=0.5, seed=1)


def two(nodes, **kw):
    tasks = {"small": dj.tasks.logistic(), "large": dj.tasks.mlp(hidden=[6])}
    kw = {"batch_size": 8, "starts": "independent"} | kw
    return dj.Problem(dj.tasks.architectures(tasks, nodes=NODES[nodes]), DIGITS, **kw)


def near(got, want, tol=2e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


# ---- meshes
@pytest.mark.slow
@pytest.mark.parametrize("nodes", NODES)
def test_a_mesh_changes_no_number(nodes):
    problem = two(nodes)
    net = dj.Network(GRAPH, faults=dj.faults.churn(p=0.2))
    method = m.fedmd(lr=0.3, digest_lr=0.5, digest_steps=2)
    (one, alone), (many, meters) = (dj.rollout(method, problem, net, KEY, 3, **kw) for kw in ({}, {"mesh": 4}))
    near(many, one)
    assert meters.totals() == alone.totals()
    for name, stack in many.params.items():
        whole = len(problem.task.ids[problem.task.names.index(name)]) % 4
        spec = stack["layer0"]["kernel"].sharding.spec
        assert ("nodes" not in spec) if whole else (spec[0] == "nodes"), (name, spec)


@pytest.mark.slow
@pytest.mark.parametrize("nodes", NODES)
def test_a_run_on_a_mesh_measures_resumes_and_takes_starts(nodes, tmp_path):
    problem, net = two(nodes), dj.Network(GRAPH)
    start = dj.rollout(m.local_only(lr=0.0), problem, None, jax.random.key(5), 1)[0].params
    method = m.fedmd(lr=0.3, digest_lr=0.5)
    run = lambda rounds, **kw: dj.simulate(
        method, problem, net, rounds=rounds, every=2, metrics=["local_models", "own_test", "ensemble"], progress=False,
        **({"params": dict(start)} | kw),
    )  # fmt: skip
    alone, spread = run(4).records[-1], run(4, mesh=4).records[-1]
    for name, value in alone.items():
        if isinstance(value, float) and name != "wall":
            np.testing.assert_allclose(spread[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    run(2, mesh=4, out=tmp_path / "run", checkpoint_every=2)
    resumed = run(4, resume=tmp_path / "run", mesh=4)
    np.testing.assert_allclose(resumed.records[-1]["loss/local"], spread["loss/local"], rtol=1e-6)


# ---- servers
def mean_answers(models, rounds, lr, digest_lr):
    """FedMD at a server by NumPy: one step towards the mean answer, one on the own samples."""
    public = np.asarray(DATA.public["x"])
    x, y = np.asarray(DATA.arrays["x"]).reshape(N, 4, INPUTS), np.asarray(DATA.arrays["y"]).reshape(N, 4)
    said = lambda p, x: np.asarray((hidden if "u" in p else linear)(p, jnp.asarray(x)))

    def pull(p, x, slope):
        z = np.tanh(x @ p["u"]) if "u" in p else x
        back = {"w": z.T @ slope, "b": slope.sum(0)}
        return back | ({"u": x.T @ (slope @ p["w"].T * (1 - z**2))} if "u" in p else {})

    for _ in range(rounds):
        target = np.mean([said(p, public) for p in models], 0)
        for i, p in enumerate(models):
            grads = pull(p, public, np.sign(said(p, public) - target) / target.size)
            p = {k: v - digest_lr * grads[k] for k, v in p.items()}
            e = np.exp(said(p, x[i]))
            grads = pull(p, x[i], (e / e.sum(1, keepdims=True) - np.eye(3)[y[i]]) / 4)
            models[i] = {k: v - lr * grads[k] for k, v in p.items()}
    return models


def test_answers_are_averaged_at_a_server():
    method = m.fedmd(lr=0.3, digest_lr=0.2, server=True)
    start = nodes_of(dj.rollout(m.local_only(lr=0.0), both(), None, KEY, 1)[0].params)
    state, meters = dj.rollout(method, both(), dj.Network(), KEY, 3)
    for got, want in zip(nodes_of(state.params), mean_answers(start, 3, 0.3, 0.2), strict=True):
        near(got, want, 1e-9)
    totals = meters.totals()
    assert totals["up/merge"] == totals["down/merge"] == 3 * N * 6 * 3 * 64


@pytest.mark.slow
def test_a_server_is_a_complete_graph_and_one_architecture_none():
    plain = dj.Problem(TASKS["large"], DATA, starts="independent")
    at_server, net = dataclasses.replace(METHOD, server=True), dj.Network(dj.topology.complete(N).astype("float64"))
    near(dj.rollout(at_server, plain, None, KEY, 3)[0], dj.rollout(METHOD, plain, net, KEY, 3)[0], 1e-9)
    alone = dataclasses.replace(plain, task=dj.tasks.architectures({"all": TASKS["large"]}, nodes={"all": N}))
    lossy = dj.Network(faults=dj.faults.link_loss(p=0.3), rule=dj.aggregation.coordinate_median())
    same(dj.rollout(at_server, alone, lossy, KEY, 3)[0], dj.rollout(at_server, plain, lossy, KEY, 3)[0])


@pytest.mark.slow
def test_who_is_not_heard_digests_its_own_answers():
    gone = dj.Network(faults=dj.faults.link_loss(p=1.0 - 1e-7))
    method = m.fedmd(lr=0.0, digest_lr=0.5, server=True)
    apart = lambda net: np.asarray(dj.rollout(method, both(), net, KEY, 1)[1].values["loss/answers"])
    assert apart(gone) < 1e-9 < 0.1 < apart(dj.Network())


@dj.struct
class Listed(m.fedmd):
    """A server that sees every answer, and sends each node the mean of the others'."""

    traits = dj.Traits(channel="server", averages=False, heads=True, gathers=True)

    def step(self, state, round):
        public, answer = round.batch("public", of="public"), round.answer
        rows, _ = round.gather(round.forward(lambda p, b, k: answer(p, b), state.params, batch=public))
        others = (rows.sum(0)[None] - rows) / (round.n - 1)
        target = round.scatter(others)

        def apart(params, batch, key, target):
            return jnp.abs(answer(params, batch) - target).mean(1)

        slope = round.gradient(state.params, public, loss=apart, extra=(target,))
        return type(state)(jax.tree.map(lambda x, g: x - self.digest_lr * g, state.params, slope))


@pytest.mark.slow
def test_single_answers_go_up_and_come_down():
    start = nodes_of(dj.rollout(m.local_only(lr=0.0), both(), None, KEY, 1)[0].params)
    state, meters = dj.rollout(Listed(lr=0.0, digest_lr=0.2), both(), dj.Network(), KEY, 1)
    public = DATA.public
    answers = [np.asarray(TASKS["large" if "u" in p else "small"].answer(p, public)) for p in start]
    for i, (got, p) in enumerate(zip(nodes_of(state.params), start, strict=True)):
        task = TASKS["large" if "u" in p else "small"]
        target = np.mean([a for j, a in enumerate(answers) if j != i], 0)
        slope = jax.grad(lambda p: jnp.abs(task.answer(p, public) - target).mean())(p)  # noqa: B023
        near(got, jax.tree.map(lambda a, g: a - 0.2 * g, p, slope), 1e-9)
    assert meters.totals()["up/gather"] == N * 6 * 3 * 64


# ---- learning rules and sources of experience
@pytest.mark.slow
@pytest.mark.parametrize(
    "rule", [dj.learning_rules.evolution(sigma=0.1, pairs=2, shared=True), dj.learning_rules.max_norm(limit=0.5)]
)
def test_a_learning_rule_sees_each_architecture_alone(rule):
    """Rows of a node are those of a run in which all nodes have its architecture; one for all is none, bit for bit."""
    run = lambda task: dj.rollout(LOCAL, dj.Problem(task, DATA, starts="independent", rule=rule), None, KEY, 3)[0]
    mixed = run(both().task)
    for name, ids in (("small", SMALL), ("large", LARGE)):
        near(mixed.params[name], jax.tree.map(lambda x, ids=ids: x[np.asarray(ids)], run(TASKS[name]).params), 1e-12)
    alone = run(dj.tasks.architectures({"all": TASKS["large"]}, nodes={"all": N}))
    same(alone.params, run(TASKS["large"]).params)
    plain = dj.rollout(LOCAL, both(), None, KEY, 3)[0]
    assert all(
        (a != b).any() for a, b in zip(jax.tree.leaves(mixed), jax.tree.leaves(plain), strict=True) if a.ndim == 3
    )


@dj.struct
class Heavy(dj.LearningRule):
    """Heavy ball, whose steps end at a number of decimals: memory and finish."""

    def init(self, params, key):
        return jax.tree.map(jnp.zeros_like, params)

    def direction(self, task, params, batch, key, memory):
        assert task.task in TASKS.values()
        loss, grad = jax.value_and_grad(task.loss)(params, batch, key)
        new = jax.tree.map(lambda g, v: g + 0.5 * v, grad, memory)
        return loss, new, new

    def finish(self, params, memory, key):
        return jax.tree.map(lambda x: jnp.round(x, 2), params), memory


@pytest.mark.slow
def test_memory_of_a_rule_is_kept_by_architecture_and_by_checkpoints(tmp_path):
    problem = both(rule=Heavy())
    net = dj.Network(dj.topology.ring(N), faults=dj.faults.churn(p=0.3))
    method = m.fedmd(lr=0.3, digest_lr=0.0)
    with pytest.raises(dj.RefusedError, match="does not say when 1 of its gradients"):
        dj.rollout(method, problem, net, KEY, 1)
    run = lambda rounds, **kw: dj.simulate(LOCAL, problem, None, rounds=rounds, every=2, progress=False, **kw)
    whole = run(6)
    run(4, out=tmp_path / "run", checkpoint_every=2)
    same(run(6, resume=tmp_path / "run").state().params, whole.state().params)
    models = nodes_of(dj.rollout(m.local_only(lr=0.0), both(), None, KEY, 1)[0].params)
    for i, p in enumerate(models):
        task, v = TASKS["large" if "u" in p else "small"], jax.tree.map(np.zeros_like, p)
        for _ in range(6):
            grad = jax.grad(lambda p: task.loss(p, DATA.node(i), None).mean())(p)  # noqa: B023
            v = jax.tree.map(lambda g, v: np.asarray(g) + 0.5 * v, grad, v)
            p = jax.tree.map(lambda x, v: np.round(x - 0.3 * v, 2), p, v)
        near(whole.state().params.node(i)["large" if "u" in p else "small"], p, 1e-9)


@pytest.mark.slow
def test_a_wrong_rule_for_one_architecture_is_refused():
    with pytest.raises(dj.FieldError, match="needs the goodness of a label in every layer"):
        dj.rollout(LOCAL, both(rule=dj.learning_rules.forward_forward()), None, KEY, 1)


@pytest.mark.slow
def test_every_architecture_acts_in_its_own_worlds():
    cells = dj.data.cells(4).partition(dj.data.iid(), nodes=4, seed=0)
    walk = {"small": dj.tasks.grid_walk(size=4, hidden=4), "large": dj.tasks.grid_walk(size=4, hidden=8)}
    source = dj.experience.acting(steps=6, copies=2)
    run = lambda task: dj.rollout(LOCAL, dj.Problem(task, cells, source=source, starts="independent"), None, KEY, 3)
    mixed, meters = run(dj.tasks.architectures(walk, nodes={"small": [1, 3], "large": 2}))
    for name, ids in (("small", [1, 3]), ("large", [0, 2])):
        near(mixed.params[name], jax.tree.map(lambda x, ids=ids: x[np.asarray(ids)], run(walk[name])[0].params), 1e-6)
    assert np.isfinite(meters.values["reward"]).all()
    other = {"small": walk["small"], "large": dj.tasks.grid_walk(size=5)}
    with pytest.raises(dj.FieldError, match="have worlds that differ; give them worlds of one form"):
        dj.Problem(dj.tasks.architectures(other, nodes={"small": 2, "large": 2}), cells, source=source)


# ---- batches of other kinds
@dj.struct
class Reads(m.local_only):
    """Learns from batches of one kind, and looks at them forwards."""

    kind: str = dj.static(default="train")

    def step(self, state, round):
        aligned = {"aligned": True} if self.kind == "aligned" else {}
        of = "train" if aligned else self.kind
        batch = round.batch("some", of=of, size=3 if of != "train" else None, **aligned)
        inner = m.local_only.init(self, state.params, KEY)
        grads = round.gradient(inner.params, batch)
        round.report("seen", round.loss(inner.params, batch))
        round.report("told", round.forward(round.mean_loss, inner.params, batch=batch))
        several = round.losses(jax.tree.map(lambda x: jnp.stack([x, 2 * x], 1), inner.params), batch)
        round.report("first", several[:, 0])
        params = jax.tree.map(lambda x, g: x - 0.1 * g, inner.params, grads)
        return (
            dataclasses.replace(state, params=params)
            if dataclasses.is_dataclass(state)
            else state._replace(params=params)
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "validation", "public", "aligned"])
def test_batches_of_every_kind_are_those_of_one_architecture(kind):
    """Draws are by node, whatever its model; one for all nodes is the task alone, bit for bit."""
    data = DATA.split(validation=0.25) if kind == "validation" else dataclasses.replace(DATA, even=True)
    size = {"batch_size": 2} if kind in ("train", "aligned", "validation") else {}
    run = lambda task: dj.rollout(
        Reads(lr=0.0, kind=kind), dj.Problem(task, data, starts="independent", **size), None, KEY, 3
    )
    mixed, meters = run(both().task)
    for name, ids in (("small", SMALL), ("large", LARGE)):
        near(mixed.params[name], jax.tree.map(lambda x, ids=ids: x[np.asarray(ids)], run(TASKS[name])[0].params), 1e-12)
    np.testing.assert_allclose(meters.values["seen"], meters.values["told"], rtol=1e-9)
    np.testing.assert_allclose(meters.values["seen"], meters.values["first"], rtol=1e-9)
    alone = run(dj.tasks.architectures({"all": TASKS["large"]}, nodes={"all": N}))
    same(alone[0].params, run(TASKS["large"])[0].params)
