"""Local work that differs between nodes: steps, epochs, their meters and clocks."""

import dataclasses

import jax
import jax.numpy as jnp
import members
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, W, close, grad, mix, run, same

import dejax as dj
from dejax.core.local_work import local_steps
from dejax.engine import epochs_of_round

m = dj.methods
STEPS = [1, 4, 2, 3, 1]
UNEVEN = zoo.Uneven(batch_size=2, sampling="epoch")  # nodes of 1, 2, 3, 4, 5 samples: 1, 1, 2, 2, 3 batches


def wanted(epochs):
    """Steps of the nodes of UNEVEN, by a loop in whole numbers."""
    each, out = np.broadcast_to(epochs, 5), []
    for e, samples in zip(each, (1, 2, 3, 4, 5), strict=True):
        batches, steps = (samples + 1) // 2, 0
        while steps * 1000 < round(e * 1000) * batches:
            steps += 1
        out.append(max(1, steps))
    return out


@pytest.mark.parametrize("epochs", [1, 0.5, 2, 0.1, 3.3, [1, 2, 0.5, 0.1, 7]])
def test_epochs_are_steps_by_each_nodes_batches(epochs):
    work = dj.Epochs(epochs)
    counts, problem = jnp.arange(1, 6, dtype=jnp.int32), UNEVEN.problem
    got = work.steps(problem.batches(counts))
    assert got.tolist() == wanted(epochs) and work.most(3) >= max(got)
    _, meters = zoo.rollout(m.local_sgd(lr=0.1, local_steps=work), problem, zoo.ring(), rounds=2)
    assert meters.totals()["gradients"] == 2 * sum(wanted(epochs))


def test_fractions_are_exact():
    assert [dj.Epochs(e).steps(30) for e in (0.1, 0.2, 0.3, 0.7, 1 / 3)] == [3, 6, 9, 21, 10]
    assert dj.Epochs(0.1).steps(jnp.int32(2_000_000)) == 200_000


def test_full_batches_have_one_step_an_epoch():
    _, meters = zoo.rollout(m.local_sgd(lr=0.1, local_steps=dj.Epochs(3)), zoo.Uneven().problem, zoo.ring(), rounds=1)
    assert meters.totals()["gradients"] == 15


def test_an_epoch_sees_every_sample_once():
    """With a loss that is linear in x, one epoch moves each node by the sum over its batches of mean rows."""
    loss = lambda params, batch, key: batch["x"] @ params["x"]
    task = dj.tasks.from_functions(zoo.rows_init, loss)
    problem = dj.Problem(task, UNEVEN.problem.data, batch_size=1, sampling="epoch")
    ring = dj.topology.isolated(5).astype("float64")
    state, _ = zoo.rollout(m.local_sgd(lr=1.0, local_steps=dj.Epochs(1)), problem, ring, rounds=1, x0=np.zeros((5, 4)))
    close(np.asarray(state.params["x"]), -np.stack([UNEVEN.a[rows].sum(0) for rows in UNEVEN.rows]))


def test_unequal_steps_against_numpy():
    x = X0.copy()
    for _ in range(ROUNDS):
        for i, k in enumerate(STEPS):
            for _ in range(k):
                x[i] = x[i] - LR * grad(i, x[i])
        x = mix(W, x)
    close(run(m.local_sgd(lr=LR, local_steps=STEPS), RING)[1], x)


def test_equal_steps_as_a_list_are_the_number():
    same(run(m.local_sgd(lr=LR, local_steps=[3] * 5), RING)[1], run(m.local_sgd(lr=LR, local_steps=3), RING)[1])


def test_fednova_with_a_list_is_fednova_with_shares():
    by_share = m.fednova(lr=LR, local_steps=4, work=jnp.asarray(STEPS) / 4)
    close(run(m.fednova(lr=LR, local_steps=STEPS))[1], run(by_share)[1])


def test_fedprox_makes_a_share_of_each_nodes_steps():
    x, mu = X0.mean(0), 0.3
    for _ in range(ROUNDS):
        y = np.stack([x] * 5)
        for i, k in enumerate(STEPS):
            for _ in range(max(1, round(k / 2))):
                y[i] = y[i] - LR * (grad(i, y[i]) + mu * (y[i] - x))
        x = y.mean(0)
    close(run(m.fedprox(lr=LR, mu=mu, local_steps=STEPS, work=0.5))[1], x)


def test_corrections_keep_their_sums_under_unequal_steps():
    state, _ = run(m.scaffold(lr=LR, local_steps=STEPS))
    close(np.asarray(state.controls["x"]).mean(0), np.asarray(state.control["x"]), 1e-10)
    state, _ = run(m.kgt(lr=0.05, local_steps=STEPS), RING)
    close(np.asarray(jax.tree.leaves(state)[1]).sum(0), np.zeros(4), 1e-10)
    state, _ = run(m.led(lr=0.05, local_steps=STEPS), RING)
    close(np.asarray(state.correction["x"]).sum(0), np.zeros(4), 1e-10)


def test_who_is_done_waits_and_is_not_timed():
    clock = dj.faults.clock(gradient=1.0)
    network = dj.Network(dj.topology.isolated(5).astype("float64"), clock=clock)
    history = dj.simulate(m.local_sgd(lr=LR, local_steps=STEPS), zoo.squares()[0], network, 3, every=1, progress=False)
    assert history.records[-1]["seconds"] == 12 and history.records[-1]["gradients"] == 3 * sum(STEPS)
    one = dj.simulate(m.local_sgd(lr=LR, local_steps=4), zoo.squares()[0], network, 3, every=1, progress=False)
    assert one.records[-1]["seconds"] == 12


def with_local_steps():
    """Every method whose local work may differ between nodes."""
    for name, method in members.methods().items():
        check = getattr(type(method), "__dataclass_fields__", {}).get("local_steps")
        if check is not None and check.metadata.get("check") is local_steps:
            yield name, method


def test_all_methods_with_local_steps_take_unequal_ones():
    found = dict(with_local_steps())
    assert len(found) > 25
    for name, method in found.items():
        n = zoo.N
        work = dataclasses.replace(method, local_steps=tuple(1 + i % 2 for i in range(n)))
        assert work.local_steps == (1, 2, 1, 2, 1), name


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: m.local_sgd(lr=0.1, local_steps=0), r"LocalSgd\.local_steps is 0; give a whole number >= 1, a list"),
        (
            lambda: m.local_sgd(lr=0.1, local_steps=[1, 0]),
            r"LocalSgd\.local_steps is \[1, 0\]; give a whole number >= 1, a list",
        ),
        (lambda: m.local_sgd(lr=0.1, local_steps="x"), r"LocalSgd\.local_steps is 'x'"),
        (lambda: m.local_sgd(lr=0.1, local_steps=[]), r"LocalSgd\.local_steps is "),
        (lambda: dj.Epochs(0), r"Epochs\.epochs is 0; give a number of epochs from 0\.001"),
        (lambda: dj.Epochs([1, -1]), r"Epochs\.epochs holds -1 \(place 1\)"),
        (
            lambda: run(m.local_sgd(lr=0.1, local_steps=[1, 2]), RING),
            r"local_steps has 2 entries; give one number, or 5",
        ),
        (lambda: run(m.local_sgd(lr=0.1, local_steps=dj.Epochs([1, 2])), RING), "local_steps has 2 entries"),
    ],
)
def test_other_work_is_refused_in_words(make, words):
    with pytest.raises(dj.FieldError, match=words):
        make()


def test_a_source_of_experience_has_no_epochs():
    data = dj.data.cells(3).partition(dj.data.iid(), nodes=5, seed=0)
    problem = dj.Problem(dj.tasks.grid_walk(size=3), data, source=dj.experience.acting())
    for method in (
        m.local_sgd(lr=0.1, local_steps=dj.Epochs(1)),
        m.dsgd(lr=dj.optimizers.Step(0.1, every=1, unit="epochs")),
    ):
        with pytest.raises(dj.FieldError, match="source of experience has no samples to go over"):
            dj.rollout(method, problem, dj.Network(dj.topology.ring(5)), jax.random.key(0), 1)


@pytest.mark.parametrize(
    "method, want",
    [
        (m.local_sgd(lr=0.1, local_steps=dj.Epochs(2)), 2.0),
        (m.local_sgd(lr=0.1, local_steps=2), 10 / 9),
        (m.dsgd(lr=0.1), 5 / 9),
        (m.fedavg(lr=0.1, clients=2, local_steps=dj.Epochs(1)), 0.4),
    ],
)
def test_epochs_of_a_round(method, want):
    np.testing.assert_allclose(epochs_of_round(method, UNEVEN.problem), want, rtol=1e-12)


def test_a_schedule_may_count_in_epochs():
    steps = dj.optimizers.Step
    problem = zoo.Uneven(n=5).problem  # full batches: an epoch is a step
    by = lambda lr, k: m.local_sgd(lr=lr, local_steps=k)
    close(
        run(by(steps(0.1, every=4, factor=0.5, unit="epochs"), 2), RING, problem=problem)[1],
        run(by(steps(0.1, every=2, factor=0.5), 2), RING, problem=problem)[1],
    )
