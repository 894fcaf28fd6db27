"""A run that was made by calls writes the config that makes the same run."""

import json
import pickle
from functools import partial

import jax
import members
import numpy as np
import optax
import pytest
import toy

import dejax as dj
from dejax import compare, engine, simulate
from dejax.cli.parser import main
from dejax.config import load
from dejax.config.calls import read
from dejax.config.registry import KINDS, Registry
from dejax.core.made import made
from dejax.report.as_config import as_config, spelled
from dejax.report.setup import setup
from dejax.runs.fingerprint import fingerprint


def parts(lr=0.1, **problem):
    data = dj.data.digits(flat=True).partition(dj.data.dirichlet(alpha=0.5), nodes=4, seed=3, holdout=0.1)
    problem = dj.Problem(dj.tasks.logistic(), data, batch_size=2, **problem)
    topology = dj.topology.random_regular(4, degree=2, seed=5, weights=dj.topology.lazy(dj.topology.metropolis()))
    options = {"codec": dj.compression.direct(dj.compression.top_k(k=3)), "faults": [dj.faults.link_loss(p=0.2)]}
    return dj.methods.dsgd(lr=lr), problem, dj.Network(topology, **options)


def same(mine, theirs):
    """Method, network, samples and task are equal, number by number."""
    (method, problem, network), (other, found, net) = mine, theirs
    for a, b in ((method, other), (problem, found), (network, net)):
        assert fingerprint(engine.typed(a)) == fingerprint(engine.typed(b))
    assert problem.task == found.task


@pytest.mark.slow
def test_the_config_makes_equal_objects_and_equal_records(tmp_path):
    runs = {"a": parts(dj.Cosine(0.1, 10)), "b": parts(0.2, roles={"layer0/bias": "frozen"})}
    joules = partial(dj.metrics.energy, device="a100", link=(1e-9, 2e-9))
    how = {
        "seed": [2, 7],
        "every": 2,
        "at": [1],
        "metrics": ["consensus", dj.metrics.local_models, joules],
        "progress": False,
    }
    history = compare(runs, {"a": 2, "b": 3}, out=tmp_path / "run", **how)
    config = load(tmp_path / "run" / "config.yaml")
    assert [(run.label, run.rounds) for run in config.runs] == [("a", 2), ("b", 3)]
    *plain, priced = config.eval.pop("metrics")
    assert plain == [dj.metrics.consensus, dj.metrics.local_models] and priced.func is dj.metrics.energy
    assert priced.keywords == joules.keywords and config.seeds == (2, 7)
    assert {k: v for k, v in config.eval.items() if k != "metrics"} == {"every": 2, "at": (1,)}
    for run in config.runs:
        same(runs[run.label], run.objects())
    again = compare(
        {run.label: run.objects() for run in config.runs},
        {"a": 2, "b": 3},
        seed=list(config.seeds),
        progress=False,
        **config.eval,
    )
    assert toy.plain(again.records) == toy.plain(history.records)
    assert "config" not in json.loads((tmp_path / "run" / "run.json").read_text())
    assert "random_regular" in (tmp_path / "run" / "report.html").read_text()


def test_the_config_makes_equal_objects():
    runs = {"a": parts(dj.Cosine(0.1, 10)), "b": parts(1, roles={"layer0/bias": "frozen"})}
    config = load_text(as_config(runs, {"a": 2, "b": 3}, [0, 1], {"every": 4}, {"nodes": 1}))
    assert [run.rounds for run in config.runs] == [2, 3] and config.seeds == (0, 1) and config.mesh["nodes"] == 1
    for run in config.runs:
        same(runs[run.label], run.objects())
    kept = setup(*runs["a"])
    assert kept["data"]["partition"] == {"dirichlet": {"alpha": 0.5}} and kept["data"]["source"] == {
        "digits": {"flat": True}
    }
    assert kept["data"]["seed"] == 3 and kept["data"]["holdout"] == 0.1 and kept["task"] == "logistic"
    assert kept["network"]["topology"]["random_regular"]["degree"] == 2


def test_learning_rules_sources_and_personal_steps_are_written():
    rule = dj.learning_rules.l2_penalty(5e-4, rule=dj.learning_rules.clip_gradient(norm=1.0))
    step = dj.optimizer(optax.sgd, learning_rate=0.1, momentum=0.9)
    cells = dj.data.cells(3).partition(dj.data.iid(), nodes=4, seed=0)
    walk = dj.Problem(
        dj.tasks.grid_walk(size=3, objective="ppo"), cells, source=dj.experience.acting(steps=3, copies=2)
    )
    runs = {
        "rule": parts(rule=rule),
        "personal": parts(roles={"layer0/bias": "personal"}, personal_optimizer=step),
        "walk": (dj.methods.dsgd(lr=0.1), walk, dj.Network(dj.topology.ring(4))),
    }
    for label, given in runs.items():
        config = load_text(as_config({label: given}, {label: 2}))
        same(given, config.runs[0].objects())
        assert setup(*given) == setup(*config.runs[0].objects())


@pytest.mark.slow
def test_the_command_goes_on_with_a_run_from_python(tmp_path):
    with jax.enable_x64(False):
        simulate(*parts(), 2, progress=False, out=tmp_path / "run")
        config = load(tmp_path / "run" / "config.yaml")
        assert [run.label for run in config.runs] == ["dsgd"] and "methods" not in config.values
        assert main(["resume", str(tmp_path / "run"), "--rounds", "3", "--quiet"]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["runs"]["dsgd"]["saved"] == 3


@pytest.mark.slow
def test_the_command_goes_on_with_a_sweep_from_python(tmp_path):
    """In the groups that it was run in; its records keep the numbers that were swept."""

    problem = parts()[1]

    def build(lr, graph):
        return dj.methods.dsgd(lr=lr), problem, dj.Network(graph)

    over = {"lr": [0.1, 0.2], "graph": {"ring": dj.topology.ring(4), "all": dj.topology.complete(4)}}
    kw = {"seeds": [0, 3], "metrics": ["consensus", "per_node"], "every": 1, "progress": False}
    with jax.enable_x64(False):
        dj.sweep(build, over, 2, out=tmp_path / "run", at_once=2, **kw)
        groups = json.loads((tmp_path / "run" / "run.json").read_text())["groups"]
        assert main(["resume", str(tmp_path / "run"), "--rounds", "3", "--quiet"]) == 0
        whole = dj.sweep(build, over, 3, **kw)
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert found["groups"] == groups and {facts["saved"] for facts in found["runs"].values()} == {3}
    loaded = dj.report.load(tmp_path / "run")
    key = lambda r: (r["run"], r["seed"], r["round"])
    for one, other in zip(sorted(loaded.records, key=key), sorted(whole.records, key=key), strict=True):
        assert {*one} == {*other} and one["lr"] == other["lr"]
        assert one["consensus"] == pytest.approx(other["consensus"], rel=1e-3, abs=1e-9)
    assert loaded.arrays("loss/local_nodes", "lr=0.2, graph=ring")[1].shape == (2, 4, 4)
    own = lambda lr: (dj.methods.dsgd(lr=lr), toy.problem(), dj.Network(dj.topology.ring(6)))
    dj.sweep(own, {"lr": [0.1]}, 1, progress=False, out=tmp_path / "own")
    assert not (tmp_path / "own" / "config.yaml").exists()


def test_a_synthetic_source_brings_its_task():
    problem = dj.data.quadratics(nodes=3, dim=2, seed=1)
    mine = dj.methods.dsgd(lr=0.1), dj.Problem(problem.task, problem.data), dj.Network(dj.topology.ring(3))
    config = load_text(as_config({"dsgd": mine}, {"dsgd": 4}))
    assert "task" not in config.values and config.values["data"] == {
        "source": {"quadratics": {"nodes": 3, "dim": 2, "seed": 1}}
    }
    same(mine, config.runs[0].objects())


def load_text(text):
    from dejax.config.yaml import parse

    return load(parse(text)[0])


@pytest.mark.slow
def test_what_no_config_can_name_leaves_no_config(tmp_path):
    method, problem, network = parts()
    whole = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4)
    other = dj.data.quadratics(nodes=4, dim=2)
    wrong = {
        "own arrays": (method, toy.problem(), network),
        "changed data": (method, dj.Problem(problem.task, whole.matched_test(3)), network),
        "another dtype": (method, problem, dj.Network(network.topology.astype("float64"))),
        "sizes that have no names": (method, dj.Problem(dj.tasks.mlp(64, 4, 10), problem.data), network),
        "own module": (method, dj.Problem(dj.tasks.classifier(problem.task._factory), problem.data), network),
        "another's task": (method, dj.Problem(other.task, dj.data.quadratics(nodes=4, dim=2, seed=1).data), network),
        "own class": (type("Mine", (dj.methods.dsgd,), {})(lr=0.1), problem, network),
        "remat": (method, dj.Problem(problem.task, problem.data, remat=True), network),
        "function of the round": (dj.methods.dsgd(lr=lambda t: 0.1), problem, network),
    }
    assert as_config({"x": (method, problem, network)}, {"x": 1}) is not None
    for what, given in wrong.items():
        assert as_config({"x": given}, {"x": 1}) is None, what
    simulate(method, toy.problem(), dj.Network(dj.topology.ring(6)), 1, progress=False, out=tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"].startswith(
        "none: made by a call from Python"
    )


def test_optimizers_are_spelled_by_their_factories():
    import optax

    given = dj.optimizer(optax.adam, learning_rate=dj.Cosine(0.1, 10), b1=0.8)
    call = spelled(given)
    assert call == {
        "adam": {
            "learning_rate": {"cosine": {"peak": 0.1, "length": 10, "end": 0.0, "warmup": 0, "unit": "rounds"}},
            "b1": 0.8,
        }
    }
    assert fingerprint(engine.typed(read(call, "optimizer", (), Registry()).build())) == fingerprint(
        engine.typed(given)
    )


@pytest.mark.parametrize("kind", [k for k, v in KINDS.items() if v.folder and k != "metric"])
def test_functions_that_make_members_keep_their_call(kind):
    for name, member in Registry().members(kind).items():
        if not isinstance(member, type):
            assert hasattr(member, "__wrapped__"), f"{kind} {name} is a function that is not @recorded()"


def test_methods_read_back_as_they_were():
    for name, method in members.methods().items():
        call = spelled(method)
        assert fingerprint(engine.typed(read(call, "method", (), Registry()).build())) == fingerprint(
            engine.typed(method)
        ), name


def test_the_mark_is_no_part_of_the_value():
    ring, other = dj.topology.ring(4), dj.topology.ring(n=4)
    assert made(ring).args == {"n": 4} and made(pickle.loads(pickle.dumps(ring))).maker is dj.topology.ring
    assert jax.tree.structure(ring) == jax.tree.structure(other)
    assert dj.tasks.mlp(hidden=[2], features=3, classes=2) == dj.tasks.mlp(3, 2, 2) and hash(
        dj.topology.ring()
    ) == hash(dj.topology.ring())
    big = dj.topology.from_matrix(np.eye(4) / 2 + 0.125)
    assert ... in made(big).args.values()
    assert made(jax.tree.map(lambda x: x, ring)) is None
