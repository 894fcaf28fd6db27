"""L2C: nodes learn by which weights they mix their neighbors' updates."""

import jax
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, X0, N, W, close, grad, run

import dejax as dj

m = dj.methods
COMPLETE = dj.topology.complete(N).astype("float64")
EQUAL = np.tile(X0[0], (N, 1))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def test_rounds_follow_the_equations():
    x, a = X0.copy(), np.zeros((N, N))
    for _ in range(5):
        moved = []
        for i in range(N):
            y = x[i]
            for _ in range(2):
                y = y - LR * grad(i, y)
            moved.append(x[i] - y)
        new, logits = x.copy(), a.copy()
        for i in range(N):
            heard = np.flatnonzero(W[i])  # itself among them
            w = softmax(a[i, heard])
            new[i] = x[i] - sum(wj * moved[j] for wj, j in zip(w, heard, strict=True))
            of_w = np.array([-grad(i, new[i]) @ moved[j] for j in heard])
            logits[i, heard] -= 0.5 * w * (of_w - w @ of_w)
        x, a = new, logits
    state, got = run(m.l2c(lr=LR, mix_lr=0.5, local_steps=2), RING, rounds=5)
    close(got, x)
    close(state.logits, a)
    assert np.abs(a).max() > 0.01


def test_updates_that_agree_leave_all_weights_equal():
    rows = zoo.squares()[1].data.node(0)
    alike = dj.data.from_clients([(rows["x"], rows["y"])] * N)
    problem = dj.Problem(dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss), alike)
    state, _ = run(m.l2c(lr=LR, mix_lr=5.0), RING, problem=problem, x0=EQUAL)
    assert np.abs(state.logits).max() < 1e-12
    state, _ = run(m.l2c(lr=LR, mix_lr=5.0), RING, x0=EQUAL)
    assert np.abs(state.logits).max() > 0.1
    np.testing.assert_allclose(state.logits.sum(1), 0, atol=1e-12)


def test_without_learning_it_is_averaging_and_without_neighbors_training_alone():
    got = run(m.l2c(lr=LR, mix_lr=0.0, local_steps=2), COMPLETE, x0=EQUAL)[1]
    close(got, np.tile(run(m.fedavg(lr=LR, local_steps=2), x0=EQUAL)[1], (N, 1)))
    alone = run(m.l2c(lr=LR, mix_lr=5.0), dj.topology.isolated(N).astype("float64"))[1]
    close(alone, run(m.local_only(lr=LR))[1])


def test_lossless_codecs_and_lost_messages():
    """What was lost has no weight: with every link down a node trains alone, and learns nothing of others."""
    network = dj.Network(RING, faults=dj.faults.link_loss(p=1.0))
    state, got = run(m.l2c(lr=LR, mix_lr=5.0), network)
    close(got, run(m.local_only(lr=LR))[1])
    assert np.abs(state.logits).max() < 1e-12


def test_nodes_of_two_kinds_find_their_own():
    """Nodes whose labels follow opposite models on a complete graph: nearly all weight ends on the own kind; without learning all end at zero."""
    rng = np.random.default_rng(0)
    kind, w = np.arange(8) % 2, rng.standard_normal(4)
    a = rng.standard_normal((8, 20, 4))
    b = np.einsum("nsd,nd->ns", a, np.where(kind[:, None], w, -w))
    task = dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss)
    problem = dj.Problem(task, dj.data.from_clients(list(zip(a, b, strict=True))))
    ends = {}
    for mix_lr in (100.0, 0.0):
        method = m.l2c(lr=0.1, mix_lr=mix_lr, local_steps=2)
        ends[mix_lr], _ = dj.rollout(method, problem, dj.Network(dj.topology.complete(8)), jax.random.key(0), 150)
    share = np.stack([softmax(row) for row in np.asarray(ends[100.0].logits)])
    own = (share * (kind[:, None] == kind)).sum(1)
    assert own.min() > 0.9  # 4 of 8 weights: 0.5 at the start
    wanted = np.where(kind[:, None], w, -w)
    error = {rate: np.abs(np.asarray(end.params["x"]) - wanted).max() for rate, end in ends.items()}
    assert error[100.0] < 0.05 < 0.3 < error[0.0]


def test_impossible_numbers_and_rules_are_named():
    for wrong in ({"mix_lr": -1.0}, {"local_steps": 0}):
        with pytest.raises(dj.FieldError, match=next(iter(wrong))):
            m.l2c(**{"lr": LR} | wrong)
    with pytest.raises(dj.RefusedError, match="weights by which it mixes"):
        run(m.l2c(lr=LR), dj.Network(RING, rule=dj.aggregation.coordinate_median()))
