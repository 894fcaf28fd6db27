"""k-core: against peeling the graph on the host."""

import jax
import numpy as np
import problems as zoo
import pytest

import dejax as dj


def peeled(adjacency):
    """Core numbers by taking away the node of least degree."""
    left, core, k = list(range(len(adjacency))), np.zeros(len(adjacency), int), 0
    while left:
        degree = {i: sum(adjacency[i, j] for j in left if j != i) for i in left}
        least = min(left, key=degree.get)
        k = max(k, degree[least])
        core[least] = k
        left.remove(least)
    return core


@pytest.mark.parametrize("lossy", [False, True])
def test_core_numbers_are_those_of_peeling(lossy):
    n = 30
    top = dj.topology.barabasi_albert(n, m=3, seed=1)
    problem, _ = zoo.squares(n)
    network = dj.Network(top, faults=(dj.faults.link_loss(p=0.3),) if lossy else ())
    state, meters = dj.rollout(dj.methods.k_core(), problem, network, jax.random.key(0), 60)
    adjacency = (np.asarray(top.matrix()) != 0) & ~np.eye(n, dtype=bool)
    want = peeled(adjacency)
    assert len(set(want)) > 1
    np.testing.assert_array_equal(state.core, want)
    assert "gradients" not in meters.totals()


def test_it_falls_to_the_core_number_and_no_further():
    n = 12
    top, (problem, _) = dj.topology.chain(n), zoo.squares(n)
    seen = [
        np.asarray(dj.rollout(dj.methods.k_core(), problem, dj.Network(top), jax.random.key(0), t)[0].core)
        for t in (1, 2, 8)
    ]
    assert all((a >= b).all() for a, b in zip(seen, seen[1:], strict=False)) and (seen[-1] == 1).all()
