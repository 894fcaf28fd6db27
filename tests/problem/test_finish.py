"""What a learning rule does when a local step ends: against loops in NumPy, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import LR, PROBLEM, RING as GRAPH, X0, N, W, close, grads, mix, run, same

import dejax as dj
from dejax.core.random import fold_name

RING = dj.Network(GRAPH)
SHARE, PULL, NOISE = 0.5, 0.2, 0.1


@dj.struct
class Leaning(dj.LearningRule):
    """Models lean on a running mean of what they were after each step, and get some noise."""

    noise: float = dj.number(default=0.0)

    def init(self, params, key):
        return jax.tree.map(jnp.zeros_like, params)

    def direction(self, task, params, batch, key, memory):
        return *jax.value_and_grad(task.loss)(params, batch, key), memory

    def finish(self, params, memory, key):
        drawn = self.noise * jax.random.normal(key, (), float)
        mean = jax.tree.map(lambda m, x: m + SHARE * (x - m), memory, params)
        return jax.tree.map(lambda m, x: x + PULL * (m - x) + drawn, mean, params), mean


LEANING = dataclasses.replace(PROBLEM, rule=Leaning())


def loop(rounds, w, steps=1, noise=0.0, order="atc"):
    """Gossip with k local steps, each ended by the rule; what the mix makes is not ended again."""
    x, mean = X0.copy(), np.zeros_like(X0)
    for t in range(rounds):
        key = fold_name(jax.random.fold_in(jax.random.key(0), t), "gradient.finish")
        if order == "cta":
            x = mix(w, x)
        slope = grads(x)
        if order == "awc":
            x = mix(w, x)
        for k in range(steps):
            x = x - LR * (slope if k == 0 else grads(x))
            mean = mean + SHARE * (x - mean)
            drawn = [float(jax.random.normal(jax.random.fold_in(key, i), (), float)) for i in range(N)]
            x = x + PULL * (mean - x) + noise * np.array(drawn)[:, None]
        if order == "atc":
            x = mix(w, x)
    return x


@pytest.mark.parametrize("order", ["atc", "awc", "cta"])
def test_a_step_ends_where_it_has_moved_the_models(order):
    got = run(dj.methods.dsgd(lr=LR, order=order), RING, rounds=4, problem=LEANING)[1]
    close(got, loop(4, W, order=order))
    assert np.abs(got - run(dj.methods.dsgd(lr=LR, order=order), RING, rounds=4)[1]).max() > 0.01


def test_an_optimizer_ends_its_steps_too():
    import optax

    sgd = dj.methods.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=LR))
    close(run(sgd, RING, rounds=4, problem=LEANING)[1], loop(4, W), 1e-7)


@pytest.mark.slow
def test_the_key_is_of_node_and_round():
    got = run(dj.methods.dsgd(lr=LR), RING, rounds=3, problem=dataclasses.replace(PROBLEM, rule=Leaning(NOISE)))[1]
    close(got, loop(3, W, noise=NOISE))


@pytest.mark.slow
def test_every_one_of_several_steps_is_ended():
    local = dj.methods.local_sgd(lr=LR, local_steps=3)
    close(run(local, RING, rounds=3, problem=LEANING)[1], loop(3, W, steps=3))


@pytest.mark.slow
def test_a_server_averages_what_was_ended():
    mean = np.full((N, N), 1 / N)
    x, memory = np.tile(X0.mean(0), (N, 1)), np.zeros_like(X0)
    method = dj.methods.fedavg(lr=LR, local_steps=2)
    got = run(method, None, rounds=3, problem=LEANING, x0=X0.mean(0))[1]
    for _ in range(3):
        for _ in range(2):
            x = x - LR * grads(x)
            memory = memory + SHARE * (x - memory)
            x = x + PULL * (memory - x)
        x = mix(mean, x)
    close(got.reshape(-1, X0.shape[1])[0], x[0])


@pytest.mark.slow
def test_sleepers_keep_models_and_memory():
    """Nobody mixes, so that each node is on its own path of the loop, as many steps as it was awake."""
    churn = dj.Network(dj.topology.isolated(N).astype("float64"), faults=dj.faults.churn(p=0.5))
    ends = run(dj.methods.dsgd(lr=LR), churn, rounds=6, problem=LEANING)[1]
    paths = np.stack([loop(t, np.eye(N)) for t in range(7)])
    found = [[t for t in range(7) if np.allclose(paths[t, i], ends[i], atol=1e-9)] for i in range(N)]
    assert all(len(f) == 1 for f in found) and len({f[0] for f in found}) > 1


def test_a_rule_that_ends_nothing_changes_no_number():
    @dj.struct
    class Idle(dj.LearningRule):
        def direction(self, task, params, batch, key, memory):
            return *jax.value_and_grad(task.loss)(params, batch, key), memory

        def finish(self, params, memory, key):
            return params, memory

    method = dj.methods.dsgd(lr=LR)
    same(
        run(method, RING, rounds=3, problem=dataclasses.replace(PROBLEM, rule=Idle()))[1],
        run(method, RING, rounds=3)[1],
    )


@pytest.mark.slow
def test_weights_into_a_unit_stay_within_the_norm():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    network, method = dj.Network(dj.topology.ring(4)), dj.methods.dsgd(lr=0.5)

    def ends(limit):
        rule = dj.learning_rules.max_norm(limit=limit)
        problem = dj.Problem(dj.tasks.mlp(hidden=[6]), data, rule=rule)
        return dj.rollout(method, problem, network, jax.random.key(0), 2)[0].params

    free, cut = ends(1e6), ends(0.3)
    plain = dj.rollout(method, dj.Problem(dj.tasks.mlp(hidden=[6]), data), network, jax.random.key(0), 2)[0].params
    jax.tree.map(same, free, plain)
    norms = np.linalg.norm(cut["layer0"]["kernel"], axis=1)
    assert norms.max() <= 0.3 + 1e-6 and np.linalg.norm(free["layer0"]["kernel"], axis=1).min() > 0.3
    alone = dj.rollout(  # one node, one step: the columns of the plain step, cut
        dj.methods.local_only(lr=0.5), dj.Problem(dj.tasks.mlp(hidden=[6]), data, rule=dj.learning_rules.max_norm(limit=0.3)),
        None, jax.random.key(0), 1,
    )[0].params["layer0"]  # fmt: skip
    step = dj.rollout(
        dj.methods.local_only(lr=0.5), dj.Problem(dj.tasks.mlp(hidden=[6]), data), None, jax.random.key(0), 1
    )[0].params["layer0"]
    kernel = np.asarray(step["kernel"], np.float64)
    long = np.linalg.norm(kernel, axis=1, keepdims=True)
    np.testing.assert_allclose(alone["kernel"], kernel * np.minimum(1, 0.3 / long), rtol=1e-5, atol=1e-7)
    same(alone["bias"], step["bias"])


@dj.struct
class Old(Leaning):
    def finish(self, params):
        raise NotImplementedError


@dj.struct
class Bare(Leaning):
    def finish(self, params, memory, key):
        return params


@dj.struct
class Short(Leaning):
    def finish(self, params, memory, key):
        return jax.tree.map(lambda x: x[:1], params), memory


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Old(), r"Old.finish cannot be called with \(params, memory, key\)"),
        (Bare(), r"Bare.finish gives dict; return \(params, memory\)"),
        (Short(), r"Short.finish gives parameters of .*\[1\]; give such as it got"),
    ],
)
def test_a_wrong_finish_is_refused_before_a_run(rule, says):
    with pytest.raises(dj.FieldError, match=says):
        run(dj.methods.dsgd(lr=LR), RING, problem=dataclasses.replace(PROBLEM, rule=rule))


@pytest.mark.parametrize("method", [dj.methods.extra(lr=LR), dj.methods.sgp(lr=LR)])
def test_a_method_that_does_not_say_where_a_step_ends_is_refused(method):
    network = dj.Network(dj.topology.ring(N).astype("float64"))
    with pytest.raises(
        dj.RefusedError,
        match="leaves 1 step unfinished: it does not say when these gradients have moved the models; end each",
    ):
        run(method, network, problem=LEANING)


def test_parts_and_roles_are_refused():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=4, seed=0)
    rule = dj.learning_rules.max_norm()
    problem = dj.Problem(dj.tasks.mlp(hidden=[6]), data, batch_size=4, rule=rule)
    with pytest.raises(dj.RefusedError, match="moves a part of the model at a time"):
        dj.rollout(dj.methods.fedrep(lr=0.1, head="layer1"), problem, None, jax.random.key(0), 1)
    roles = dataclasses.replace(problem, roles={"layer1": "personal"}, personal_lr=0.1)
    with pytest.raises(dj.FieldError, match="MaxNorm, which has finish, but the leaves have roles"):
        dj.rollout(dj.methods.fedavg(lr=0.1), roles, None, jax.random.key(0), 1)
