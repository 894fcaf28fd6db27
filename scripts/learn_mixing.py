"""Learn the mixing weights of a small graph by gradient descent through 30 rounds of gossip.

python scripts/learn_mixing.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj

N, ROUNDS, STARTS = 8, 30, 16
EDGES = np.array([(i, i + 1) for i in range(N - 1)] + [(0, 2), (5, 7)])  # a path with a triangle at each end


def weights(w):
    """W = I - Laplacian of edge weights w [m]: symmetric, rows and columns sum to one."""
    i, j = EDGES.T
    w = w.astype(jnp.float32)
    matrix = jnp.eye(N, dtype=jnp.float32)
    matrix = matrix.at[i, j].add(w).at[j, i].add(w)
    return matrix.at[i, i].add(-w).at[j, j].add(-w)


def spread(matrix, keys):
    """Log of the mean consensus distance after the rounds, over random starts (one per key)."""
    made = dj.data.consensus(nodes=N, dim=4)
    problem = dj.Problem(made.task, made.data, starts="independent")
    network = dj.Network(dj.topology.from_matrix(matrix))

    def one(key):
        final, _ = dj.rollout(dj.methods.dsgd(lr=0.0), problem, network, key, ROUNDS)
        x = final.params["x"]
        return jnp.square(x - x.mean(0, keepdims=True)).sum()

    return jnp.log(jax.vmap(one)(keys).mean())


@jax.jit
def value_and_grad(w, keys):
    """Spread and its gradient with respect to the edge weights."""
    return jax.value_and_grad(lambda w: spread(weights(w), keys))(w)


def learn(steps=150, lr=0.01):
    """Edge weights [m] after `steps` of Adam, each on fresh starts."""
    import optax

    w, adam = jnp.full(len(EDGES), 0.25, jnp.float32), optax.adam(lr)
    memory = adam.init(w)
    for step in range(steps):
        _, grad = value_and_grad(w, jax.random.split(jax.random.key(step), STARTS))
        change, memory = adam.update(grad, memory)
        w = w + change
    return w


def compare(w):
    """Spread on unseen starts: learned weights, Metropolis, the best constant weight."""
    keys = jax.random.split(jax.random.key(10**6), 4 * STARTS)
    graph = lambda rule: jnp.asarray(dj.topology.from_edges(EDGES, N, weights=rule).matrix(), jnp.float32)
    score = jax.jit(spread)
    return {
        "learned": float(score(weights(w), keys)),
        "metropolis": float(score(graph(dj.topology.metropolis()), keys)),
        "best constant": float(score(graph(dj.topology.best_constant()), keys)),
    }


if __name__ == "__main__":
    for name, value in compare(learn()).items():
        print(f"{name:14} log10 of the consensus distance after {ROUNDS} rounds: {value / np.log(10):.2f}")
