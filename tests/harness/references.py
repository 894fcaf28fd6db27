"""What tests of single methods share: a small problem in float64, and the loops of NumPy that follow a paper's update."""

import jax
import numpy as np
import problems as zoo

import dejax as dj
from dejax.core.random import fold_name
from dejax.round.cohort import floyd

ROUNDS, LR, N = 10, 0.2, zoo.N
PROBLEM, MADE = zoo.squares()
X0 = zoo.starts()
RING = zoo.ring()
W = RING.matrix()
TOP, QSGD = dj.compression.top_k(k=2), dj.compression.qsgd(levels=4)


def run(method, network=None, rounds=ROUNDS, problem=PROBLEM, x0=X0):
    """Final state and models, which are numbers and not the start: two runs that do nothing would be equal, too."""
    state, _ = zoo.run(method, problem, network, rounds, x0)
    x = zoo.models(method, state)
    assert np.isfinite(x).all() and np.abs(x - (x0 if x.ndim == 2 else x0.mean(0))).max() > 1e-3
    return state, x


def close(got, want, tol=1e-12):
    """Equal up to the order of sums; of the same shape, as a single number would be compared with every entry."""
    assert np.shape(got) == np.shape(want) and np.isfinite(want).all()
    np.testing.assert_allclose(got, want, rtol=0, atol=tol * max(1, np.abs(want).max()))


def same(got, want):
    """Equal bit for bit."""
    np.testing.assert_array_equal(got, want)


def grad(i, x):
    """The gradient of node i at x."""
    return MADE.gradients(x)[i]


def grads(x):
    """The gradient of each node at its own row."""
    return np.stack([grad(i, x[i]) for i in range(len(x))])


def mix(w, x):
    """Row i: sum over j of w[i, j] x_j, one node after the other."""
    return np.stack([sum(w[i, j] * x[j] for j in range(len(x))) for i in range(len(x))])


def sampled(t, clients, seed=0):
    """Ids of round t, from the run's key by name."""
    key = fold_name(jax.random.fold_in(jax.random.key(seed), t), "sample")
    return np.asarray(floyd(key, N, clients))
