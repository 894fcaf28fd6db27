"""FedAMD against NumPy; what anchors alone and single steps do; v under losses."""

import jax
import numpy as np
import problems as zoo
import pytest
from references import MADE, X0, N, close, grad, run, sampled

import dejax as dj
from dejax.core.random import fold_in, fold_name

m = dj.methods


def is_anchor(t, ids, p, view="sample/"):
    """Which of the nodes are anchors in round t, from the run's key by name."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), view + "anchor")
    draw = [float(jax.random.uniform(fold_in(key, np.int32(i)), dtype=float)) for i in ids]
    return np.array(draw) < p


def rounds(p, clients, k, number, lr=0.1, server_lr=0.8):
    x = X0.mean(0)
    cache = np.stack([grad(i, x) for i in range(N)])
    roles = []
    for t in range(number):
        v = cache.mean(0)
        ids = np.arange(N) if clients is None else sampled(t, clients)
        anchors = is_anchor(t, ids, p, "" if clients is None else "sample/")
        roles.append(anchors.mean())
        moves = []
        for i in ids[~anchors]:
            y = last = x
            h = v
            for _ in range(k):
                h = h - grad(i, last) + grad(i, y)
                last, y = y, y - lr * h
            moves.append(x - y)
        for i in ids[anchors]:
            cache[i] = grad(i, x)
        x = x - server_lr * np.mean(moves, 0) if moves else x
    return x, cache, roles


@pytest.mark.parametrize("clients", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_rounds_follow_the_paper(clients):
    method = m.fedamd(lr=0.1, p=0.5, clients=clients, local_steps=3, anchor_batches=2, server_lr=0.8)
    x, cache, roles = rounds(0.5, clients, 3, 6)
    assert 0 < np.mean(roles) < 1
    state, got = run(method, rounds=6)
    close(got, x)
    close(state.anchors["x"], cache)
    close(state.direction["x"], cache.mean(0))


@pytest.mark.slow
def test_anchors_alone_move_nothing():
    state, _ = zoo.run(m.fedamd(lr=0.1, p=1.0, clients=3, anchor_batches=1), zoo.squares()[0], None, 4, X0)
    close(state.params["x"], X0.mean(0), 1e-15)


@pytest.mark.slow
def test_miners_of_one_step_move_along_v():
    v = np.mean([grad(i, X0.mean(0)) for i in range(N)], 0)
    got = run(m.fedamd(lr=0.1, p=0.0, clients=3, local_steps=1, anchor_batches=1, server_lr=0.5), rounds=3)[1]
    close(got, X0.mean(0) - 3 * 0.05 * v)


@pytest.mark.slow
def test_anchors_and_miners_by_turns_are_gradient_descent_at_half_speed():
    """p is a schedule: all refresh in even rounds, all walk one step in odd ones."""
    method = m.fedamd(lr=0.3, p=turns, local_steps=1, anchor_batches=1)
    close(run(method, rounds=8)[1], run(m.fedavg(lr=0.3), rounds=4)[1])
    close(run(m.fedamd(lr=0.3, p=turns, local_steps=1, anchor_batches=1), rounds=400)[1], MADE.optimum["x"], 1e-9)


def turns(t):
    """1 in even rounds, 0 in odd ones."""
    return 1.0 - t % 2


@pytest.mark.slow
def test_lost_uploads_keep_v_the_mean():
    lossy = dj.Network(faults=dj.faults.link_loss(p=0.4))
    state, _ = run(m.fedamd(lr=0.1, p=0.5, clients=4, local_steps=2, anchor_batches=1), lossy, rounds=6)
    close(state.direction["x"], np.asarray(state.anchors["x"]).mean(0))


def test_anchors_and_miners_upload_one_message_each():
    _, meters = zoo.run(m.fedamd(lr=0.1, p=0.5, clients=3, anchor_batches=1), zoo.squares()[0], None, 4, X0)
    totals, model = meters.totals(), 64 * X0.shape[1]
    assert (totals["up/sample/average"], totals["down/sample/average"]) == (4 * 3 * model, 2 * 4 * 3 * model)
    assert totals["up/first/average"] == N * model
