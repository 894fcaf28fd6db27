"""PENS: nodes find those whose data are like their own."""

import jax
import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, PROBLEM, RING, N, close, grad, run

import dejax as dj
from dejax.core.random import fold_name

m = dj.methods


def peers(t, s):
    """int [N, s]: whom each node hears in round t, from the run's key by name and node."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "peers")
    out = []
    for i in range(N):
        score = np.array(jax.random.uniform(jax.random.fold_in(key, i), (N,)))
        score[i] = -1
        out.append(np.argsort(-score, kind="stable")[:s])
    return np.array(out)


def test_rounds_follow_the_paper():
    s, best = 3, 2
    x = np.random.default_rng(1).standard_normal((N, 4))
    start, chosen = x, np.zeros((N, N), int)
    loss = lambda i, w: float(np.mean(PROBLEM.task.loss({"x": w}, MADE.data.node(i), None)))
    for t in range(4):
        ids, new = peers(t, s), np.empty_like(x)
        for i in range(N):
            order = np.argsort([loss(i, x[j]) for j in ids[i]], kind="stable")[:best]
            picked = ids[i][order]
            new[i] = (x[i] + x[picked].sum(0)) / (1 + best)
            chosen[i, picked] += 1
        x = np.stack([new[i] - LR * grad(i, new[i]) for i in range(N)])
    state, got = run(m.pens(lr=LR, peers=s, best=best, explore=10), dj.Network(RING), rounds=4, x0=start)
    np.testing.assert_allclose(got, x, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state.chosen, chosen)


@pytest.mark.slow
def test_nodes_of_two_kinds_end_with_their_own():
    """After exploring, nodes whose labels follow one of two opposite models hear their own kind alone."""
    rng = np.random.default_rng(0)
    kind, w = np.arange(12) % 2, rng.standard_normal(4)
    a = rng.standard_normal((12, 20, 4))
    b = np.einsum("nsd,nd->ns", a, np.where(kind[:, None], w, -w))
    import problems as zoo

    problem = dj.Problem(
        dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss), dj.data.from_clients(list(zip(a, b, strict=True)))
    )
    method = m.pens(lr=0.2, peers=4, best=2, explore=40)
    state, _ = dj.rollout(method, problem, dj.Network(dj.topology.ring(12)), jax.random.key(0), 120)
    np.testing.assert_allclose(state.params["x"], np.where(kind[:, None], w, -w), atol=1e-3)
    often = np.asarray(state.chosen) > 40 * 2 / 11
    assert not often[kind[:, None] != kind[None]].any()


def test_impossible_numbers_are_named():
    with pytest.raises(ValueError, match="best"):
        m.pens(lr=0.1, peers=2, best=3)
    with pytest.raises(ValueError, match="peers"):
        run(m.pens(lr=LR, peers=N), dj.Network(RING), rounds=1)


@pytest.mark.slow
def test_equal_models_stay_whatever_the_codec():
    """Models move towards the mean of what was heard; the own model is not compressed on the way."""
    network = dj.Network(RING, codec=dj.compression.direct(dj.compression.top_k(k=1)))
    x0 = np.tile(np.random.default_rng(5).standard_normal((1, 4)), (N, 1))
    state, _ = zoo.run(dj.methods.pens(lr=0.0, peers=2, best=1), PROBLEM, network, 2, x0)
    close(np.asarray(state.params["x"]), x0)
