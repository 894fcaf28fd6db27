"""The rules l2_penalty and clip_gradient against loops in NumPy, under methods that use directions in other ways."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from references import LR, PROBLEM, RING, X0, N, W, close, grad, mix, run, same

import dejax as dj

m, r = dj.methods, dj.learning_rules
ROUNDS = 4
MEAN = np.full((N, N), 1 / N)
START = X0.mean(0)


def shortened(g, norm):
    """g, or what is as long as `norm` along it."""
    return g * min(1, norm / np.sqrt((g**2).sum()))


RULES = {  # a rule, and its direction at node i from the gradient there and the model
    "l2": (r.l2_penalty(0.3), lambda i, g, x: g + 0.3 * x),
    "norm": (r.clip_gradient(norm=0.4), lambda i, g, x: shortened(g, 0.4)),
    "value": (r.clip_gradient(value=0.2), lambda i, g, x: np.clip(g, -0.2, 0.2)),
    "value, then norm": (r.clip_gradient(norm=0.3, value=0.2), lambda i, g, x: shortened(np.clip(g, -0.2, 0.2), 0.3)),
    "penalty on what was clipped": (
        r.l2_penalty(0.3, rule=r.clip_gradient(norm=0.4)),
        lambda i, g, x: shortened(g, 0.4) + 0.3 * x,
    ),
    "penalty that is clipped, too": (
        r.clip_gradient(norm=0.4, rule=r.l2_penalty(0.3)),
        lambda i, g, x: shortened(g + 0.3 * x, 0.4),
    ),
    "one number per node": (
        r.l2_penalty([0.1, 0.2, 0.3, 0.4, 0.5], rule=r.clip_gradient(norm=[0.5, 0.4, 0.3, 0.2, 0.1])),
        lambda i, g, x: shortened(g, 0.5 - 0.1 * i) + 0.1 * (i + 1) * x,
    ),
}
SLOW = [p if p in ("l2", "norm") else pytest.param(p, marks=pytest.mark.slow) for p in RULES]


def gossip(d, steps=1, start=X0):
    """Steps at each node, then the average with its neighbors."""
    x = start.copy()
    for _ in range(ROUNDS):
        for _ in range(steps):
            x = np.stack([x[i] - LR * d(i, x[i]) for i in range(N)])
        x = mix(W, x)
    return x


def fedavg(d):
    x = START
    for _ in range(ROUNDS):
        ends = [x] * N
        for _ in range(2):
            ends = [y - LR * d(i, y) for i, y in enumerate(ends)]
        x = np.mean(ends, 0)
    return x


def fednova(d, work=(1, 2, 3, 4, 5)):
    x = START
    for _ in range(ROUNDS):
        units = []
        for i, steps in enumerate(work):
            y = x
            for _ in range(steps):
                y = y - 0.1 * d(i, y)
            units.append((y - x) / steps)
        x = x + np.mean(work) * np.mean(units, 0)
    return x


def scaffold(d):
    x, c, controls = START, np.zeros_like(START), np.zeros_like(X0)
    for _ in range(ROUNDS):
        moved, new = [], []
        for i in range(N):
            y = x
            for _ in range(2):
                y = y - LR * (d(i, y) - controls[i] + c)
            moved.append(y - x)
            new.append(controls[i] - c + (x - y) / (2 * LR))
        x, controls = x + np.mean(moved, 0), np.stack(new)
        c = controls.mean(0)
    return x


def tracking(d):
    x, y, last = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for _ in range(ROUNDS):
        g = np.stack([d(i, x[i]) for i in range(N)])
        y = mix(W, y) + g - last
        x, last = mix(W, x - LR * y), g
    return x


METHODS = {
    "dsgd": (m.dsgd(lr=LR), RING, gossip),
    "local_sgd": (m.local_sgd(lr=LR, local_steps=2), RING, lambda d: gossip(d, 2)),
    "fedavg": (m.fedavg(lr=LR, local_steps=2), None, fedavg),
    "fednova": (m.fednova(lr=0.1, local_steps=[1, 2, 3, 4, 5]), None, fednova),
    "scaffold": (m.scaffold(lr=LR, local_steps=2), None, scaffold),
    "gradient_tracking": (m.gradient_tracking(lr=LR), RING, tracking),
}


@pytest.mark.parametrize("rule", SLOW)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_descends_along_the_rule(method, rule):
    made, network, loop = METHODS[method]
    given, direction = RULES[rule]
    network = network if network is None else dj.Network(network)
    start = X0 if made.__class__.__name__ in ("Dsgd", "LocalSgd", "GradientTracking") else START
    got = run(made, network, ROUNDS, dataclasses.replace(PROBLEM, rule=given), start)[1]
    want = loop(lambda i, x: direction(i, grad(i, x), x))
    close(got, want, 1e-6 if rule == "one number per node" else 1e-12)
    plain = loop(grad)
    assert np.abs(want - plain).max() > 1e-3


@pytest.mark.parametrize("method", ["fedavg", "dsgd"])
def test_it_is_what_an_optimizer_does(method):
    """The rules and the options around an optimizer are the same numbers, for methods that take both."""
    sgd = dj.optimizer(optax.sgd, learning_rate=LR, clip_value=0.3, clip_norm=0.4, l2=0.3)
    rule = r.l2_penalty(0.3, rule=r.clip_gradient(norm=0.4, value=0.3))
    network = dj.Network(RING) if method == "dsgd" else None
    options = {} if method == "dsgd" else {"local_steps": 2}
    make = getattr(m, method)
    ruled = run(make(lr=LR, **options), network, ROUNDS, dataclasses.replace(PROBLEM, rule=rule))[1]
    close(ruled, run(make(optimizer=sgd, **options), network, ROUNDS)[1], 1e-10)


def test_the_loss_that_is_recorded_is_the_tasks():
    heavy = dataclasses.replace(PROBLEM, rule=r.l2_penalty(1e3))
    still = lambda problem: dj.simulate(
        m.dsgd(lr=0.0), problem, dj.Network(RING), 1, params={"x": X0}, progress=False
    ).last("loss")
    assert still(heavy) == still(PROBLEM) > 0


def test_numbers_are_swept_as_one_program():
    build = lambda weight: (m.dsgd(lr=LR), dataclasses.replace(PROBLEM, rule=r.l2_penalty(weight)), dj.Network(RING))
    history = dj.sweep(build, {"weight": [0.0, 0.3]}, rounds=ROUNDS, metrics=["objective"], progress=False)
    for label, weight in zip(history.runs, (0.0, 0.3), strict=True):
        x = gossip(lambda i, x, weight=weight: grad(i, x) + weight * x, start=np.zeros_like(X0)).mean(0)
        rows, targets = (np.asarray(PROBLEM.data.arrays[name]) for name in ("x", "y"))
        got = next(rec["objective"] for rec in reversed(history.records) if rec["run"] == label)
        np.testing.assert_allclose(got, 0.5 * np.square(rows @ x - targets).mean(), rtol=1e-5)


def test_the_norm_is_that_of_shared_and_personal_leaves():
    """One vector in two halves, of which one is personal: both are scaled by one share; frozen leaves have no part."""
    a = 5 * np.random.default_rng(0).standard_normal((N, 6))
    task = dj.tasks.from_functions(
        lambda key: {"a": jnp.zeros(3), "b": jnp.ones(3), "c": 9 * jnp.ones(3)},
        lambda p, b, key: 0.5 * ((jnp.concatenate([p["a"], p["b"]])[None] - b["x"]) ** 2).sum(-1) + p["c"].sum(),
    )
    data = dj.data.from_clients([(a[i : i + 1], np.zeros(1, int)) for i in range(N)])
    rule = r.l2_penalty(0.1, rule=r.clip_gradient(norm=1.0))
    problem = dj.Problem(task, data, roles={"b": "personal", "c": "frozen"}, personal_lr=0.2, rule=rule)
    end = dj.simulate(m.local_only(lr=0.5), problem, None, 1, progress=False).params()
    x = np.concatenate([np.zeros((N, 3)), np.ones((N, 3))], 1)
    d = np.stack([shortened(g, 1.0) for g in x - a]) + 0.1 * x
    np.testing.assert_allclose(end["a"], -0.5 * d[:, :3], atol=1e-6)
    np.testing.assert_allclose(end["b"], 1 - 0.2 * d[:, 3:], atol=1e-6)


def test_a_rule_with_finish_inside_still_ends_steps():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    inside = r.max_norm(limit=0.3)
    ends = {}
    for name, rule in (("around", r.l2_penalty(0.1, rule=inside)), ("inside", r.max_norm(0.3, rule=r.l2_penalty(0.1)))):
        problem = dj.Problem(dj.tasks.mlp(hidden=[6]), data, rule=rule)
        ends[name] = dj.rollout(m.dsgd(lr=0.5), problem, dj.Network(dj.topology.ring(4)), jax.random.key(0), 2)[0]
    jax.tree.map(same, ends["around"].params, ends["inside"].params)
    assert np.linalg.norm(ends["around"].params["layer0"]["kernel"], axis=1).max() <= 0.3 + 1e-6


@pytest.mark.slow
def test_around_other_rules_with_augmentation_and_small_floats():
    data = dj.data.digits().partition(dj.data.iid(), nodes=4, seed=0)
    rule = r.clip_gradient(norm=0.1, rule=r.evolution(pairs=2))
    problem = dj.Problem(
        dj.tasks.lenet(), data, batch_size=4, rule=rule, augment=dj.augmentations.flip(), starts="independent"
    )
    network = dj.Network(dj.topology.isolated(4))
    start, end = (dj.rollout(m.dsgd(lr=lr), problem, network, jax.random.key(0), 1)[0].params for lr in (0.0, 1.0))
    moved = [
        sum(float(((a[i] - b[i]) ** 2).sum()) for a, b in zip(*map(jax.tree.leaves, (start, end)))) for i in range(4)
    ]
    np.testing.assert_allclose(np.sqrt(moved), 0.1, rtol=1e-3)
    task = dj.tasks.from_functions(
        lambda key: {"x": jnp.full(3, 300.0, jnp.bfloat16)},
        lambda p, b, key: (p["x"][None] * b["x"].astype(p["x"].dtype)).sum(-1) * 300,
    )
    low = dj.data.from_clients([(np.ones((1, 3)), np.zeros(1, int))] * 4)
    end = dj.rollout(
        m.dsgd(lr=1.0), dj.Problem(task, low, rule=r.clip_gradient(norm=30.0)), network, jax.random.key(0), 1
    )
    np.testing.assert_allclose(np.asarray(end[0].params["x"], np.float32), 300 - 30 / 3**0.5, rtol=1e-2)


@pytest.mark.slow
def test_architectures_take_them_one_by_one():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    tasks = {"small": dj.tasks.mlp(64, 10), "large": dj.tasks.mlp(64, 8, 10)}
    both = dj.tasks.architectures(tasks, nodes={"small": [0, 2], "large": [1, 3]})
    rule = r.l2_penalty([0.1, 0.2, 0.3, 0.4], rule=r.clip_gradient(norm=0.2))
    run = lambda task: (
        dj.rollout(
            m.local_only(lr=0.5), dj.Problem(task, data, starts="independent", rule=rule), None, jax.random.key(0), 2
        )[0].params
    )
    mixed = run(both)
    for name, ids in (("small", [0, 2]), ("large", [1, 3])):
        alone = jax.tree.map(lambda x, ids=ids: x[np.asarray(ids)], run(tasks[name]))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), mixed[name], alone)


RULES_OF_BATCHES = [r.l2_penalty(0.1), r.clip_gradient(norm=1.0), r.max_norm(rule=r.l2_penalty(0.1))]


@pytest.mark.parametrize("rule", RULES_OF_BATCHES, ids=lambda x: type(x).__name__)
def test_clipping_per_example_is_refused(rule):
    """There each example would be clipped, or carry the penalty, before the mechanism bounds it."""
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    problem = dj.Problem(dj.tasks.mlp(hidden=[6]), data, batch_size=4, rule=rule)
    private = dj.Network(dj.topology.ring(4), privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
    with pytest.raises(dj.RefusedError, match="gives one of whole batches alone"):
        private.check(m.dsgd(lr=0.1), problem)
    with pytest.raises(dj.RefusedError, match="takes whole batches, or keeps memory"):
        dj.Network(dj.topology.ring(4)).check(m.gt_saga(lr=0.1), problem)


def test_losses_of_a_method_are_refused(key):
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    problem = dj.Problem(dj.tasks.mlp(hidden=[6]), data, batch_size=4, rule=r.l2_penalty(0.1))
    with pytest.raises(dj.FieldError, match="the learning rule L2Penalty is for the task's own loss alone"):
        dj.rollout(m.savic(lr=0.1, scaling="oasis"), problem, None, key, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: r.l2_penalty(-1e-4), r"L2Penalty\.weight is -0\.0001; give a finite number >= 0"),
        (lambda: r.l2_penalty("5e-4"), r"L2Penalty\.weight is '5e-4'"),
        (lambda: r.clip_gradient(), r"ClipGradient got neither norm nor value; give norm=1\.0"),
        (lambda: r.clip_gradient(norm=0), r"ClipGradient\.norm is 0; give a finite number > 0"),
        (lambda: r.clip_gradient(value=-1.0), r"ClipGradient\.value is -1\.0; give a finite number > 0"),
        (lambda: r.clip_gradient(norm=1.0, rule=dj.aggregation.coordinate_median()), "a combination rule, which says how a node combines"),
        (lambda: run(m.dsgd(lr=LR), dj.Network(RING), 1, dataclasses.replace(PROBLEM, rule=r.l2_penalty(jnp.ones(3)))), r"weight has shape \(3,\)"),
    ],
)  # fmt: skip
def test_other_numbers_are_refused_in_words(make, words):
    with pytest.raises((dj.FieldError, TypeError, ValueError), match=words):
        make()


CONFIG = """
rounds: 2
data: {source: {digits: {flat: true}}, nodes: 4, partition: iid}
task: {mlp: {hidden: [6]}}
batch_size: 4
method: {scaffold: {lr: 0.1, local_steps: 2}}
"""


def loaded(*lines):
    from dejax.config import load
    from dejax.config.yaml import parse

    return load(parse(CONFIG + "\n".join(lines), "recipe.yaml")[0]).runs[0].objects()[1]


def test_configs_name_them():
    problem = loaded("rule: {l2_penalty: {weight: 5.0e-4, rule: {clip_gradient: {norm: 1.0}}}}")
    assert problem.rule == r.l2_penalty(5e-4, rule=r.clip_gradient(norm=1.0))
    each = loaded(
        "rule: {l2_penalty: {weight: [0.1, 0.2, 0.3, 0.4], rule: {max_norm: {rule: {evolution: {sigma: 0.3}}}}}}"
    )
    np.testing.assert_allclose(each.rule.weight, [0.1, 0.2, 0.3, 0.4])
    assert each.rule.rule == r.max_norm(rule=r.evolution(sigma=0.3))
    with pytest.raises(dj.ConfigError, match=r"rule\.l2_penalty\.rule: no learning_rule named 'krum'"):
        loaded("rule: {l2_penalty: {weight: 0.1, rule: krum}}")


def test_configs_take_an_optimizer_of_personal_leaves():
    step = {"learning_rate": 0.1, "momentum": 0.9}
    problem = loaded("roles: {layer1: personal}", "personal_optimizer: {sgd: {learning_rate: 0.1, momentum: 0.9}}")
    assert problem.personal_optimizer == dj.optimizer(optax.sgd, **step) and problem.personal_lr is None
    with pytest.raises(dj.ConfigError, match=r"personal_optimizer\.sgd\.lr: sgd takes no 'lr'"):
        loaded("roles: {layer1: personal}", "personal_optimizer: {sgd: {lr: 0.1}}")
    with pytest.raises(dj.ConfigError, match="got both personal_lr and personal_optimizer"):
        loaded("roles: {layer1: personal}", "personal_lr: 0.1", "personal_optimizer: {sgd: {learning_rate: 0.1}}")
