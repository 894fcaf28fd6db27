"""The problem zoo: tiny problems in float64, with starts and gradients that a NumPy loop can follow."""

import jax
import jax.numpy as jnp
import numpy as np
import programs

import dejax as dj
from dejax.data import NodeData

N, D = 5, 4


def squares(n=N, dim=D, zeta2=2.0, seed=0, dtype="float64", **kw):
    """Heterogeneous least squares, full batches: (Problem, Synthetic)."""
    made = dj.data.least_squares(
        nodes=n, dim=dim, L=1.0, mu=0.3, zeta2=0.0 if n == 1 else zeta2, seed=seed, dtype=dtype, **kw
    )
    return dj.Problem(made.task, made.data), made


def rows_init(key):
    """One vector of D numbers, drawn."""
    return {"x": jax.random.normal(key, (D,), jnp.float64)}


def rows_loss(params, batch, key):
    """Half squared error of every row."""
    del key
    return 0.5 * jnp.square(batch["x"] @ params["x"] - batch["y"])


def scalar_loss(params, batch, key):
    """The same as one number."""
    return rows_loss(params, batch, key).mean()


class Uneven:
    """Least squares whose nodes hold 1, 2, 3, ... rows: the problem, and its gradients by NumPy."""

    def __init__(self, n=N, seed=0, **kw):
        rng = np.random.default_rng(seed)
        self.count = np.arange(1, n + 1)
        total = int(self.count.sum())
        self.a, self.b = rng.standard_normal((total, D)), rng.standard_normal(total)
        starts = np.concatenate([[0], np.cumsum(self.count)])
        self.rows = [np.arange(starts[i], starts[i + 1]) for i in range(n)]
        index = np.stack([np.concatenate([r, np.full(n - len(r), r[0])]) for r in self.rows]).astype(np.int32)
        data = NodeData(
            {"x": jnp.asarray(self.a), "y": jnp.asarray(self.b)}, jnp.asarray(index), jnp.asarray(self.count, jnp.int32)
        )
        self.problem = dj.Problem(dj.tasks.from_functions(rows_init, rows_loss), data, **kw)

    def gradient(self, i, x):
        """Gradient of node i's mean loss at x."""
        a, b = self.a[self.rows[i]], self.b[self.rows[i]]
        return a.T @ (a @ x - b) / len(b)

    def union_gradient(self, x):
        """Gradient of the mean loss over all rows."""
        return self.a.T @ (self.a @ x - self.b) / len(self.b)


def starts(n=N, dim=D, seed=1):
    """A population of unequal starts, [n, d] float64."""
    return np.random.default_rng(seed).standard_normal((n, dim))


def ring(n=N):
    """The ring in float64."""
    return dj.topology.ring(n).astype("float64")


def digraph(n=N, seed=3):
    """A random column-stochastic digraph in float64."""
    return dj.topology.random_digraph(n, degree=2, seed=seed).astype("float64")


def run(method, problem, network=None, rounds=10, x0=None, seed=0):
    """(final state, meters) as of `rollout`; a topology stands for the plain network on it."""
    network = dj.Network(network) if isinstance(network, dj.topology.Topology) else network
    params = None if x0 is None else {"x": jnp.asarray(x0)}
    return programs.run(method, problem, network, rounds, jax.random.key(seed), params)


def rollout(method, problem, network=None, rounds=10, x0=None, seed=0):
    """As `run`, by `dj.rollout` itself, which compiles a program for every number of rounds."""
    network = dj.Network(network) if isinstance(network, dj.topology.Topology) else network
    params = None if x0 is None else {"x": jnp.asarray(x0)}
    return dj.rollout(method, problem, network, jax.random.key(seed), rounds, params=params)


def models(method, state):
    """The models of a state as a NumPy array."""
    from dejax.engine import model

    return np.asarray(model(method, state)["x"])
