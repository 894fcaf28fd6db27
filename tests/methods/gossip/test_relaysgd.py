"""RelaySGD against one dict of messages in plain Python."""

import jax
import numpy as np
import pytest
from references import LR, ROUNDS, X0, N, close, grads, run

import dejax as dj
from dejax.core.random import fold_name
from dejax.round import Context

m = dj.methods


def relay(graph, rounds, gradients, lost=None):
    """RelaySum with one dict of messages; `lost(t, i, j)` says which i -> j never arrive."""
    x, box, count, n = X0.copy(), {}, {}, len(X0)
    neighbors = [[j for j in range(n) if j != i and graph.matrix()[i, j]] for i in range(n)]
    for t in range(rounds):
        half = x - LR * gradients(x)
        sent = {}
        for i in range(n):
            for j in neighbors[i]:
                others = [k for k in neighbors[i] if k != j]
                m = half[i] + sum(box.get((k, i), 0) for k in others)
                sent[i, j] = m, 1 + sum(count.get((k, i), 0) for k in others)
        for (i, j), (m, c) in sent.items():
            if lost is None or not lost(t, i, j):
                box[i, j], count[i, j] = m, c
        for i in range(n):
            c = 1 + sum(count.get((j, i), 0) for j in neighbors[i])
            x[i] = (half[i] + sum(box.get((j, i), 0) for j in neighbors[i]) + (n - c) * X0[i]) / n
    return x


@pytest.mark.parametrize(
    "graph", ["binary_tree", *(pytest.param(g, marks=pytest.mark.slow) for g in ("chain", "star"))]
)
def test_relaysgd(graph):
    graph = getattr(dj.topology, graph)(N).astype("float64")
    close(run(m.relaysgd(lr=LR), graph)[1], relay(graph, ROUNDS, grads))


@pytest.mark.slow
def test_relaysgd_keeps_the_last_message_of_a_link_that_fails():
    graph = dj.topology.binary_tree(N).astype("float64")
    faults = dj.faults.directed_link_loss(p=0.4)
    network = dj.Network(graph, faults=faults, repair="row")

    def lost(t, i, j):  # the draw of the fault itself, asked for one edge
        key = jax.random.fold_in(fold_name(jax.random.fold_in(jax.random.key(0), t), "links"), t)
        links = graph.at(0)
        up = np.asarray(faults.arrives(Context(t, None, key, None), links))
        return not up[j, np.flatnonzero(np.asarray(links.senders())[j] == i)[0]]

    close(run(m.relaysgd(lr=LR), network)[1], relay(graph, ROUNDS, grads, lost))
