"""SGP against NumPy, and what push-sum conserves."""

import numpy as np
import problems as zoo
import pytest
from references import LR, ROUNDS, X0, N, close, grads, mix, run

import dejax as dj

m = dj.methods


def test_sgp_on_a_random_digraph():
    graph = zoo.digraph()
    p = graph.matrix()
    close(p.sum(0), np.ones(N))
    assert np.abs(p.sum(1) - 1).max() > 0.1  # really not doubly stochastic
    x, w = X0.copy(), np.ones(N)
    for _ in range(ROUNDS):
        x = mix(p, x - LR * grads(x / w[:, None]))
        w = mix(p, w)
    state, got = run(m.sgp(lr=LR), graph)
    close(np.asarray(state.weight), w)
    close(got, x / w[:, None])


@pytest.mark.slow
def test_push_sum_keeps_the_total_weight_and_finds_the_mean():
    graph = zoo.digraph()
    state, _ = run(m.sgp(lr=LR), graph, 3)
    close(np.asarray(state.weight).sum(), N)
    state, z = run(m.sgp(lr=0.0), graph, 200)
    close(np.asarray(state.mass["x"]).sum(0), X0.sum(0))
    close(z, np.broadcast_to(X0.mean(0), z.shape), 1e-10)
    assert np.abs(np.asarray(state.mass["x"]) - X0.mean(0)).max() > 1e-2  # the sums alone are biased


@pytest.mark.slow
def test_push_sum_on_doubly_stochastic_weights_is_dsgd():
    graph = dj.topology.directed_ring(N).astype("float64")
    state, z = run(m.sgp(lr=LR), graph)
    close(np.asarray(state.weight), np.ones(N))
    close(z, run(m.dsgd(lr=LR), graph)[1])
