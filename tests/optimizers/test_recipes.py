"""Schedules by formula, and what goes around an optimizer, against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, W, close, grad, mix, run, same

import dejax as dj
from dejax.runs.single import SingleRun

m, o = dj.methods, dj.optimizers


@pytest.mark.parametrize(
    "schedule, want",
    [
        (o.Step(0.8, every=3, factor=0.5), lambda t: 0.8 * 0.5 ** (t // 3)),
        (o.Exponential(0.8, 0.9), lambda t: 0.8 * 0.9**t),
        (o.Exponential(0.8, 0.5, every=4), lambda t: 0.8 * 0.5 ** (t / 4)),
        (o.Piecewise((0.4, 0.2, 0.1), (2, 5)), lambda t: 0.4 if t < 2 else 0.2 if t < 5 else 0.1),
        (o.WarmUp(0.4, 5), lambda t: 0.4 * min(1, (t + 1) / 5)),
        (o.WarmUp(dj.Cosine(0.4, 10), 2), lambda t: min(1, (t + 1) / 2) * 0.2 * (1 + np.cos(np.pi * min(t / 10, 1)))),
        (o.of_optax(optax.linear_schedule, init_value=1.0, end_value=0.0, transition_steps=8), lambda t: max(0, 1 - t / 8)),
        (o.of_optax(optax.piecewise_constant_schedule, init_value=1.0, boundaries_and_scales={"4": 0.1}), lambda t: 0.1 if t >= 4 else 1.0),
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_schedules_by_formula(schedule, want):
    got = jax.jit(lambda s, t: s(t))
    np.testing.assert_allclose(
        [got(schedule, jnp.int32(t)) for t in range(12)], [want(t) for t in range(12)], rtol=1e-6
    )


def test_one_cycle_rises_to_its_peak_and_falls():
    cycle = o.OneCycle(1.0, 10, start=0.1, end=0.01)
    values = np.asarray([cycle(t) for t in range(13)])
    np.testing.assert_allclose(values[[0, 3, 10, 12]], [0.1, 1.0, 0.01, 0.01], rtol=1e-12)
    assert (np.diff(values[:4]) > 0).all() and (np.diff(values[3:11]) < 0).all()


def test_units():
    """Half an epoch a round: every length in epochs is twice as many rounds."""
    from dejax.core.schedule import paced as fill

    pace = lambda: jnp.asarray([0.0, 0.0, 0.5])
    pairs = [
        (o.Step(1.0, every=2, unit="epochs"), o.Step(1.0, every=4)),
        (dj.Cosine(1.0, 4, warmup=1, unit="epochs"), dj.Cosine(1.0, 8, warmup=2)),
        (dj.InverseSqrt(1.0, 2, unit="epochs"), dj.InverseSqrt(1.0, 4)),
        (o.Piecewise((1, 0.5), (2,), unit="epochs"), o.Piecewise((1, 0.5), (4,))),
        (o.WarmUp(o.Exponential(1.0, 0.9, unit="epochs"), 2), o.WarmUp(o.Exponential(1.0, 0.9, every=2), 2)),
    ]
    for epochs, rounds in pairs:
        filled = fill(epochs, pace)
        np.testing.assert_allclose([filled(t) for t in range(9)], [rounds(t) for t in range(9)], rtol=1e-12)
    with pytest.raises(dj.FieldError, match="unit is 'epochs', but rounds alone were given"):
        pairs[0][0](3)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: o.Step(0.1, every=0), r"Step\.every is 0; give a number of rounds \(or epochs\) > 0"),
        (lambda: o.Step(0.1, every=2, unit="steps"), r"Step\.unit is 'steps'; give 'rounds' or 'epochs'"),
        (lambda: o.Exponential(0.1, 1.5), r"Exponential\.factor is 1\.5; give a number in \(0, 1\]"),
        (lambda: o.Piecewise((0.1,), (3,)), r"Piecewise\.values is \[0\.1\] and at \[3\.0\]; give one value more"),
        (lambda: o.Piecewise((0.1, 0.2, 0.3), (3, 2)), r"Piecewise\.at is .*; give changes in increasing order"),
        (lambda: o.Piecewise((0.1, -0.2), (3,)), r"Piecewise\.values holds -0\.2 \(place 1\); give a list of finite rates"),
        (lambda: o.OneCycle(0.1, 9, rising=1.0), r"OneCycle\.rising is 1\.0; give a number in \(0, 1\)"),
        (lambda: o.of_optax(optax.linear_schedule, wrong=1), "linear_schedule: .*wrong"),
        (lambda: dj.optimizer(optax.sgd, learning_rate=0.1, clip_norm=0), r"sgd\.clip_norm is 0; give a finite number > 0"),
        (lambda: dj.optimizer(optax.sgd, learning_rate=0.1, l2=-1), r"sgd\.l2 is -1; give a finite number >= 0"),
        (lambda: dj.optimizer(optax.sgd, learning_rate=0.1, restart="no"), r"restart is 'no'; give True or False, or None"),
        (lambda: dj.optimizer(optax.scale_by_adam, weight_decay=0.1), r"weight_decay is 0\.1, but without learning_rate"),
    ],
)  # fmt: skip
def test_other_numbers_are_refused_in_words(make, words):
    with pytest.raises((dj.FieldError, TypeError), match=words):
        make()


def sgd(**kw):
    return dj.optimizer(optax.sgd, learning_rate=LR, **kw)


def heavy(step, rounds=ROUNDS, k=2, restart=False):
    """Local SGD over the ring, K steps of `step(i, x, momentum) -> (x, momentum)`."""
    x, v = X0.copy(), np.zeros_like(X0)
    for _ in range(rounds):
        v = np.zeros_like(v) if restart else v
        for _ in range(k):
            for i in range(len(x)):
                x[i], v[i] = step(i, x[i], v[i])
        x = mix(W, x)
    return x


def clipped(g, norm):
    size = np.sqrt((g**2).sum())
    return g if size < norm else g * norm / size


STEPS = {
    "clip by norm": ({"clip_norm": 0.3}, lambda i, x, v: (x - LR * clipped(grad(i, x), 0.3), v)),
    "clip by value": ({"clip_value": 0.2}, lambda i, x, v: (x - LR * np.clip(grad(i, x), -0.2, 0.2), v)),
    "l2": ({"l2": 0.1}, lambda i, x, v: (x - LR * (grad(i, x) + 0.1 * x), v)),
    "l2 is not clipped": ({"l2": 0.5, "clip_norm": 0.3}, lambda i, x, v: (x - LR * (clipped(grad(i, x), 0.3) + 0.5 * x), v)),
    "decay": ({"weight_decay": 0.1}, lambda i, x, v: (x - LR * grad(i, x) - LR * 0.1 * x, v)),
    "momentum": ({"momentum": 0.7}, lambda i, x, v: (x - LR * (0.7 * v + grad(i, x)), 0.7 * v + grad(i, x))),
    "nesterov": (
        {"momentum": 0.7, "nesterov": True},
        lambda i, x, v: (x - LR * (0.7 * (0.7 * v + grad(i, x)) + grad(i, x)), 0.7 * v + grad(i, x)),
    ),
    "decay beside momentum": (
        {"momentum": 0.7, "weight_decay": 0.1},
        lambda i, x, v: (x - LR * (0.7 * v + grad(i, x)) - LR * 0.1 * x, 0.7 * v + grad(i, x)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_what_goes_around_an_optimizer(name):
    options, step = STEPS[name]
    close(run(m.local_sgd(optimizer=sgd(**options), local_steps=2), RING)[1], heavy(step), 1e-10)


def test_momentum_is_kept_or_restarted_in_gossip():
    step = STEPS["momentum"][1]
    kept, again = (
        run(m.local_sgd(optimizer=sgd(momentum=0.7, restart=r), local_steps=2), RING)[1] for r in (False, True)
    )
    close(kept, heavy(step), 1e-10)
    close(again, heavy(step, restart=True), 1e-10)
    same(run(m.local_sgd(optimizer=sgd(momentum=0.7), local_steps=2), RING)[1], kept)
    same(run(m.dsgd(optimizer=sgd(momentum=0.7, restart=True)), RING)[1], run(m.dsgd(optimizer=sgd()), RING)[1])


def test_momentum_is_kept_or_restarted_at_a_server():
    def wanted(restart):
        x, v = X0.mean(0), np.zeros_like(X0)
        for _ in range(ROUNDS):
            y, v = np.stack([x] * len(X0)), np.zeros_like(v) if restart else v
            for _ in range(2):
                for i in range(len(y)):
                    y[i], v[i] = STEPS["momentum"][1](i, y[i], v[i])
            x = y.mean(0)
        return x

    average = lambda **kw: run(m.fedavg(optimizer=sgd(momentum=0.7, **kw), local_steps=2))[1]
    close(average(restart=False), wanted(False), 1e-10)
    close(average(restart=True), wanted(True), 1e-10)
    same(average(), average(restart=True))


def test_a_node_that_is_not_sampled_keeps_its_momentum():
    method = m.fedavg(optimizer=sgd(momentum=0.7, restart=False), local_steps=2, clients=2)
    one = SingleRun("fedavg", method, zoo.squares()[0], None, 0, 1)
    one.start()
    one.advance(1)
    held = np.asarray(jax.tree.leaves(one.carry.slots["optimizer"])[0])
    assert (np.abs(held).sum(-1) > 0).sum() == 2


def chain(learning_rate, decay):
    """Any chain of optax."""
    return optax.chain(optax.clip(0.2), optax.add_decayed_weights(decay), optax.sgd(learning_rate))


def test_any_chain_of_optax():
    made = dj.optimizer(chain, learning_rate=LR, decay=0.1)
    same(run(m.dsgd(optimizer=made), RING)[1], run(m.dsgd(optimizer=sgd(clip_value=0.2, l2=0.1)), RING)[1])


def test_options_around_may_be_swept_and_given_per_node():
    each = run(m.dsgd(optimizer=sgd(clip_norm=[0.1, 0.2, 0.3, 0.4, 0.5])), RING, rounds=1)[1]
    x = np.stack([X0[i] - LR * clipped(grad(i, X0[i]), 0.1 * (i + 1)) for i in range(5)])
    close(each, mix(W, x), 1e-6)
    build = lambda clip: (m.dsgd(optimizer=sgd(clip_norm=clip)), zoo.squares()[0], dj.Network(RING))
    history = dj.sweep(build, {"clip": [0.1, 1.0]}, rounds=2, progress=False)
    assert len(history.runs) == 2


def falling(bound):
    """A chain that brings its own schedule."""
    return optax.chain(optax.clip(bound), optax.sgd(optax.linear_schedule(0.5, 0.0, 8)))


def rated(learning_rate):
    """The same chain, which is handed its rate."""
    return optax.chain(optax.clip(1e3), optax.sgd(learning_rate))


def decayed(rates):
    """Local SGD over the ring, two steps a round, the k-th step of round t at rates(t, k)."""
    x = X0.copy()
    for t in range(ROUNDS):
        for k in range(2):
            x = np.stack([x[i] - rates(t, k) * grad(i, x[i]) for i in range(len(x))])
        x = mix(W, x)
    return x


def test_a_schedule_given_as_learning_rate_follows_rounds_and_one_inside_a_chain_steps():
    fall = lambda t: 0.5 * max(0, 1 - t / 8)
    schedule = o.of_optax(optax.linear_schedule, init_value=0.5, end_value=0.0, transition_steps=8)
    by_rounds = m.local_sgd(optimizer=dj.optimizer(rated, learning_rate=schedule), local_steps=2)
    close(run(by_rounds, RING)[1], decayed(lambda t, k: fall(t)), 1e-6)
    by_steps = m.local_sgd(optimizer=dj.optimizer(falling, bound=1e3), local_steps=2)
    close(run(by_steps, RING)[1], decayed(lambda t, k: fall(2 * t + k)), 1e-6)


def test_a_schedule_whose_count_begins_anew_is_warned_of():
    inside = dj.optimizer(falling, bound=1e3)
    with pytest.warns(UserWarning, match="a schedule inside falling counts steps in a state that begins anew"):
        run(m.fedavg(optimizer=inside, local_steps=2), rounds=2)
    with pytest.warns(UserWarning, match="a schedule inside falling"):
        run(m.dsgd(optimizer=dj.optimizer(falling, bound=1e3, restart=True)), RING, rounds=2)
    kept = dj.optimizer(falling, bound=1e3, restart=False)  # nothing is said: it counts on
    run(m.fedavg(optimizer=kept, local_steps=2), rounds=2)
    run(m.fedavg(optimizer=dj.optimizer(optax.adam, learning_rate=dj.Cosine(0.1, 9)), local_steps=2), rounds=2)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: o.of_optax(optax.sgd, learning_rate=0.1), "of_optax.factory is sgd, which makes no function from the round"),
        (lambda: o.of_optax(optax.sgdr_schedule, cosine_kwargs=[{"init_value": 0.1}]), r"sgdr_schedule.cosine_kwargs .*give the schedule itself, lr=optax.sgdr_schedule"),
        (lambda: o.of_optax(optax.join_schedules, schedules=[optax.constant_schedule(0.1)], boundaries=[]), r"join_schedules.schedules .*lr=optax.join_schedules"),
    ],
)  # fmt: skip
def test_what_makes_no_schedule_is_refused_when_made(make, words):
    with pytest.raises(dj.FieldError, match=words):
        make()


@pytest.mark.parametrize("name", ["sgdr_schedule", "join_schedules"])
def test_configs_say_which_schedules_have_no_name(name):
    config = {
        "rounds": 2,
        "data": {"source": "digits", "nodes": 4, "partition": "iid"},
        "task": "mlp",
        "network": {"topology": "ring"},
        "method": {"dsgd": {"lr": {name: {}}}},
    }
    with pytest.raises(dj.ConfigError, match=rf"{name} is made of several schedules.*lr=optax.{name}"):
        dj.config.load(config)
