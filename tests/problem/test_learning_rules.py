"""Learning rules: evolution strategies and forward-forward against loops in NumPy, and what a wrong rule is told."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import LR, MADE, PROBLEM, X0, N, close, grads, run

import dejax as dj
from dejax.core.noise import normal
from dejax.core.random import fold_in, fold_name

r = dj.learning_rules
LOCAL = dj.methods.local_only(lr=LR)


def directions(rule, rounds=1, problem=PROBLEM, x0=X0):
    """x0 minus the models after one round of local steps, over the rate."""
    return (x0 - run(LOCAL, rounds=rounds, problem=dataclasses.replace(problem, rule=rule), x0=x0)[1]) / LR


def noises(pairs, shared, n=N, dim=X0.shape[1], t=0):
    """e_k of each node in round t: [n, pairs, dim], by the names of their keys."""
    key = fold_in(jax.random.key(0), t)
    common = fold_name(key, "gradient.rule")
    own = fold_name(fold_in(fold_name(key, "gradient.loss"), jnp.arange(n)), "noise")
    like = {"x": jnp.zeros(dim, jnp.float64)}
    seed = lambda i: common if shared else own[i]
    draw = lambda i, k: np.asarray(normal(jax.random.fold_in(seed(i), k), like)["x"])
    return np.array([[draw(i, k) for k in range(pairs)] for i in range(n)])


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_evolution_follows_the_formula(shared):
    """On a quadratic (f(x + s e) - f(x - s e)) / (2 s) is exactly the slope along e."""
    got = directions(r.evolution(sigma=0.3, pairs=4, shared=shared))
    e = noises(4, shared)
    want = np.stack([np.mean([(g @ k) * k for k in e[i]], 0) for i, g in enumerate(grads(X0))])
    close(got, want, 1e-9)
    assert shared == bool((e[0] == e[1]).all())


def test_on_quadratics_the_width_does_not_matter():
    close(directions(r.evolution(sigma=2.0)), directions(r.evolution(sigma=0.01)), 1e-8)


def test_evolution_is_unbiased_on_a_linear_loss(key):
    """Mean of K n directions (g e) e: g, with covariance |g|^2 I + g g^T of one."""
    n, pairs, g = 64, 32, np.array([1.0, -2.0, 0.5])
    data = dj.data.from_clients([(np.ones((1, 1)), np.zeros(1)) for _ in range(n)])
    task = dj.tasks.from_functions(
        lambda key: {"w": jnp.zeros(3)}, lambda p, b, key: (p["w"] @ g) * jnp.ones_like(b["y"])
    )
    problem = dj.Problem(task, data, rule=r.evolution(sigma=0.5, pairs=pairs))
    state, _ = dj.rollout(dj.methods.local_only(lr=1.0), problem, None, key, 1)
    found = -np.asarray(state.params["w"], np.float64)
    spread = np.sqrt((g @ g + g**2) / pairs)
    np.testing.assert_array_less(np.abs(found.mean(0) - g), 5 * spread / np.sqrt(n))
    np.testing.assert_allclose(found.std(0), spread, rtol=0.4)


@pytest.mark.slow
def test_blocks_change_no_number():
    one = dataclasses.replace(PROBLEM, rule=r.evolution(pairs=3), block=None)
    close(run(LOCAL, rounds=3, problem=dataclasses.replace(one, block=2))[1], run(LOCAL, rounds=3, problem=one)[1])


@pytest.mark.slow
def test_common_keys_in_events_are_by_the_number_of_the_event():
    """Two pairs that meet in one packed round: nodes whose first event this is share e_k, and the next event has others."""
    events = dj.Network(dj.topology.ring(N).astype("float64"), events=dj.events.poisson(width=1))
    problem = dataclasses.replace(PROBLEM, rule=r.evolution(pairs=1, shared=True))
    x = run(dj.methods.ad_psgd(lr=LR), events, rounds=12, problem=problem)[1]
    alone = run(
        dj.methods.ad_psgd(lr=LR), events, rounds=12, problem=dataclasses.replace(problem, rule=r.evolution(pairs=1))
    )[1]
    assert np.linalg.matrix_rank(x - X0.mean(0)) > 2 and not np.allclose(x, alone)


@pytest.mark.slow
def test_personal_leaves_move_by_the_rule():
    """The rule sees both parts as one tree: with a step of its own for the head, the model moves as a whole."""
    like = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    data = dj.data.from_clients([(np.ones((1, 1)), np.zeros(1)) for _ in range(3)])
    task = dj.tasks.from_functions(
        lambda key: like, lambda p, b, key: (p["a"].sum() - p["b"].sum()) * jnp.ones_like(b["y"])
    )
    problem = dj.Problem(task, data, rule=r.evolution(pairs=2, shared=True), roles={"b": "personal"}, personal_lr=0.5)
    end, _ = dj.rollout(dj.methods.local_only(lr=1.0), problem, None, jax.random.key(0), 1)
    seed = fold_name(fold_in(jax.random.key(0), 0), "gradient.rule")
    trained = ({"a": like["a"], "b": None}, {"a": None, "b": like["b"]})
    e = [jax.tree.leaves(normal(jax.random.fold_in(seed, k), trained)) for k in range(2)]
    slope = [a.sum() - b.sum() for a, b in e]
    for got, part, lr in ((end.state.params["a"], 0, 1.0), (end.personal["b"], 1, 0.5)):
        want = -lr * np.mean([s * np.asarray(k[part]) for s, k in zip(slope, e, strict=True)], 0)
        np.testing.assert_allclose(got, np.tile(want, (3, 1)), rtol=2e-4, atol=1e-5)


@dj.struct
class HeavyBall(dj.LearningRule):
    """The gradient and a share of the last direction: a rule with memory."""

    beta: float = dj.number(default=0.5)

    def init(self, params, key):
        return jax.tree.map(jnp.zeros_like, params)

    def direction(self, task, params, batch, key, memory):
        loss, grad = jax.value_and_grad(task.loss)(params, batch, key)
        new = jax.tree.map(lambda g, m: g + jnp.asarray(self.beta, g.dtype) * m, grad, memory)
        return loss, new, new


@pytest.mark.slow
def test_memory_goes_from_round_to_round_and_stays_where_a_node_sleeps():
    x, v = X0.copy(), np.zeros_like(X0)
    for _ in range(4):
        v = grads(x) + 0.5 * v
        x = x - LR * v
    problem = dataclasses.replace(PROBLEM, rule=HeavyBall())
    close(run(LOCAL, rounds=4, problem=problem)[1], x)
    churn = dj.Network(dj.topology.isolated(N).astype("float64"), faults=dj.faults.churn(p=0.5))
    ends = run(dj.methods.dsgd(lr=LR), churn, rounds=6, problem=problem)[1]
    behind = [_steps(i, ends[i]) for i in range(N)]
    assert len(set(behind)) > 1, "nodes slept in different rounds"


def _steps(i, end):
    """After how many steps of its own path node i is at `end`: asleep it keeps model and memory."""
    x, v = X0[i], np.zeros_like(X0[i])
    for t in range(7):
        if np.allclose(x, end, atol=1e-9):
            return t
        v = MADE.gradients(x)[i] + 0.5 * v
        x = x - LR * v
    raise AssertionError(f"node {i} left its path")


def goodness(layers, x, y, classes):
    """[layers, B] in NumPy."""
    unit = lambda h: h / np.sqrt((h**2).mean(1, keepdims=True) + 1e-6)
    h, out = np.concatenate([unit(x), np.eye(classes)[y]], 1), []
    for kernel, bias in layers:
        h = np.maximum(h @ kernel + bias, 0)
        out.append((h**2).mean(1))
        h = unit(h)
    return np.stack(out)


@pytest.mark.slow
def test_forward_forward_is_local():
    """The direction of a layer is the slope of its own loss, by differences in NumPy, whatever lies above it."""
    task = dj.tasks.goodness_mlp([5, 4], features=6, classes=3)
    rng, key = np.random.default_rng(0), jax.random.key(3)
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), task.init(jax.random.key(0)))
    x, y = rng.standard_normal((7, 6)), rng.integers(0, 3, 7).astype(np.int32)
    data = dj.data.from_clients([(x, y)], num_classes=3)
    problem = dj.Problem(task, data, rule=r.forward_forward(threshold=1.5))
    from dejax.problem import Batch
    from dejax.problem.lesson import Lesson

    lesson = Lesson(problem, task.loss, (), lambda p: p, key)
    loss, direction, _ = problem.rule.direction(
        lesson, params, Batch({"x": jnp.asarray(x), "y": jnp.asarray(y)}), key, ()
    )
    other = np.asarray(jax.random.randint(fold_name(key, "wrong"), y.shape, 1, 3, y.dtype))
    assert set(other) <= {1, 2}

    def losses(layers):
        soft = lambda z: np.logaddexp(0, z)
        return (soft(1.5 - goodness(layers, x, y, 3)) + soft(goodness(layers, x, (y + other) % 3, 3) - 1.5)).mean(1)

    layers = [(np.array(params[f"layer{i}"]["kernel"]), np.array(params[f"layer{i}"]["bias"])) for i in range(2)]
    close(float(loss), losses(layers).sum(), 1e-6)
    for i in range(2):
        slope = np.zeros_like(layers[i][0])
        for at in np.ndindex(slope.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [(k.copy(), b) for k, b in layers]
                moved[i][0][at] += step
                ends.append(losses(moved)[i])
            slope[at] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(direction[f"layer{i}"]["kernel"], slope, atol=1e-6)


def accuracy(task, rule, lr, rounds):
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    problem = dj.Problem(task, data, batch_size=32, rule=rule)
    history = dj.simulate(
        dj.methods.dsgd(lr=lr),
        problem,
        dj.Network(dj.topology.complete(4)),
        rounds=rounds,
        every=rounds,
        progress=False,
    )
    return history.records[-1]["accuracy/mean_model"]


@pytest.mark.slow
def test_both_learn_digits():
    assert accuracy(dj.tasks.goodness_mlp([64, 64]), r.forward_forward(), 0.5, 300) > 0.6
    assert accuracy(dj.tasks.logistic(), r.evolution(sigma=0.05, pairs=16), 0.05, 300) > 0.6


@dj.struct
class Old(dj.LearningRule):
    def direction(self, loss, params, memory):
        raise NotImplementedError


@dj.struct
class Scalar(dj.LearningRule):
    def direction(self, task, params, batch, key, memory):
        return task.loss(params, batch, key), jnp.zeros(3), memory


@dj.struct
class Forgetful(HeavyBall):
    def direction(self, task, params, batch, key, memory):
        return (*HeavyBall.direction(self, task, params, batch, key, memory)[:2], ())


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Old(), r"Old.direction cannot be called with \(task, params, batch, key, memory\)"),
        (Scalar(), r"Scalar.direction gives a direction of .*\[3\]; give one like the parameters: "),
        (Forgetful(), "Forgetful.direction gives a memory of nothing; give one like that of init"),
        (r.forward_forward(), "needs the goodness of a label in every layer"),
    ],
)
def test_a_wrong_rule_is_refused_before_a_run(rule, says):
    with pytest.raises(dj.FieldError, match=says):
        run(LOCAL, problem=dataclasses.replace(PROBLEM, rule=rule))


def test_other_objects_are_no_rules():
    with pytest.raises(dj.FieldError, match="a combination rule, which says how a node combines"):
        dataclasses.replace(PROBLEM, rule=dj.aggregation.coordinate_median())
    with pytest.raises(dj.FieldError, match="was not called, so that it is no learning rule"):
        dataclasses.replace(PROBLEM, rule=r.evolution)


def test_a_rule_with_losses_of_its_own_refuses_those_of_methods(key):
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0, public=20)
    problem = dj.Problem(dj.tasks.goodness_mlp([8]), data, batch_size=4, rule=r.forward_forward())
    with pytest.raises(dj.FieldError, match="the learning rule ForwardForward is for the task's own loss alone"):
        dj.rollout(dj.methods.fedmd(lr=0.1), problem, dj.Network(dj.topology.ring(4)), key, 1)
