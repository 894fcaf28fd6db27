"""What every method becomes on one node, on the complete graph, and under other names of the nodes."""

import dataclasses

import numpy as np
import problems as zoo
import pytest
from references import LR, TOP, X0, N, close, run

import dejax as dj
from dejax.core.method import traits

m = dj.methods


@pytest.mark.slow
def test_full_graph_and_equal_starts_are_centralized():
    equal = np.broadcast_to(X0[0], X0.shape)
    complete = dj.topology.complete(N).astype("float64")
    want = run(m.centralized(lr=LR), None, x0=equal)[1]
    for method in (m.dsgd(lr=LR), m.gradient_tracking(lr=LR), m.sgp(lr=LR), m.local_sgd(lr=LR, local_steps=1)):
        close(run(method, complete, x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        m.dsgd(lr=LR), m.dsgd(lr=LR, order="awc"), m.dsgd(lr=LR, order="cta"), m.local_sgd(lr=LR, local_steps=1),
        m.gradient_tracking(lr=LR), m.sgp(lr=LR), m.choco(lr=LR, gamma=0.3, compressor=TOP), m.fedavg(lr=LR),
        m.scaffold(lr=LR), m.local_only(lr=LR), m.centralized(lr=LR), m.dfedavgm(lr=LR, local_steps=1),
    ],
    ids=lambda method: type(method).__name__ + getattr(method, "order", ""),
)  # fmt: skip
def test_one_node_is_the_local_optimizer(method):
    problem, made = zoo.squares(n=1)
    x = X0[0]
    for _ in range(3):
        x = x - LR * made.gradients(x)[0]
    graph = None if not traits(method).gossips else dj.topology.ring(1).astype("float64")
    close(run(method, graph, 3, problem, X0[:1])[1].reshape(-1), x)


@pytest.mark.parametrize(
    "method",
    [
        m.dsgd(lr=LR),
        pytest.param(m.gradient_tracking(lr=LR), marks=pytest.mark.slow),
        pytest.param(m.choco(lr=LR, gamma=0.3, compressor=TOP), marks=pytest.mark.slow),
        m.scaffold(lr=LR, local_steps=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_relabelling_nodes_permutes_the_result(method):
    uneven, p = zoo.Uneven(), np.array([3, 0, 4, 1, 2])
    w = dj.topology.chain(N).matrix()
    make = lambda w: None if not traits(method).gossips else dj.topology.from_matrix(w).astype("float64")
    data = uneven.problem.data
    moved = dataclasses.replace(data, index=data.index[p], count=data.count[p])
    x = run(method, make(w), 4, uneven.problem)[1]
    y = run(method, make(w[np.ix_(p, p)]), 4, dataclasses.replace(uneven.problem, data=moved), X0[p])[1]
    close(y, x if x.ndim == 1 else x[p])
