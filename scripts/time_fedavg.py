"""Time FedAvg over 1,000,000 clients of which 10 are sampled in a round: nothing is carried per client.

python scripts/time_fedavg.py
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax import engine

CLIENTS, SAMPLED, ROUNDS, DIM = 1_000_000, 10, 2000, 16


def init(key):
    """A vector of zeros."""
    del key
    return {"x": jnp.zeros(DIM, jnp.float32)}


def loss(params, batch, key):
    """Half squared error per row."""
    del key
    return 0.5 * jnp.square(batch["x"] @ params["x"] - batch["y"])


def main():
    """Print milliseconds a round, wall and CPU."""
    rng = np.random.default_rng(0)
    arrays = {"x": jnp.asarray(rng.standard_normal((CLIENTS, DIM), np.float32)), "y": jnp.ones(CLIENTS, jnp.float32)}
    index, count = jnp.arange(CLIENTS, dtype=jnp.int32)[:, None], jnp.ones(CLIENTS, jnp.int32)
    problem = dj.Problem(dj.tasks.from_functions(init, loss), dj.data.NodeData(arrays, index, count, even=True))
    method, problem, network = engine.prepare(dj.methods.fedavg(lr=0.1, clients=SAMPLED), problem, None, ROUNDS)
    key = jax.random.key(0)
    carry = engine.start(method, problem, network, key)
    sizes = sorted((x.size * x.dtype.itemsize for x in jax.tree.leaves(carry)), reverse=True)
    print(f"carry: {sum(sizes):,} bytes, largest leaf {sizes[0]:,}")
    for label in ("with compilation", "again"):
        wall, cpu = time.perf_counter(), time.process_time()
        args = (jnp.int32(0), jnp.int32(ROUNDS), ROUNDS)
        carry, _ = jax.block_until_ready(engine.run_chunk(method, problem, network, carry, key, *args))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{label}: {1e3 * wall / ROUNDS:.4f} ms a round (CPU {1e3 * cpu / ROUNDS:.4f} ms)")


if __name__ == "__main__":
    main()
