"""One compiled program per structure, whatever the number of rounds: `rollout` compiles one for every number."""

from functools import partial

import jax
import jax.numpy as jnp

from dejax import engine

LENGTHS = (32, 8192)  # rows of meters: tests of identities run a few rounds, those of fixed points thousands


@partial(jax.jit, static_argnames="length")
def _program(method, problem, network, key, params, rounds, length):
    carry = engine.start(method, problem, network, key, params)
    numbers = jnp.int32(0), rounds, length, rounds.astype(jnp.float32)
    return engine.run_chunk(method, problem, network, carry, key, *numbers)


def run(method, problem, network=None, rounds=10, key=None, params=None):
    """(final state, meters of each round) of `rollout`, by one program for all numbers of rounds."""
    parts = engine.prepare(method, problem, network, rounds)
    length = next(most for most in LENGTHS if rounds <= most)
    key = jax.random.key(0) if key is None else key
    carry, meters = _program(*parts, key, params, jnp.int32(rounds), length)
    return engine.state_of(carry), jax.tree.map(lambda x: x[:rounds], meters)


def compiled():
    """How many programs were compiled so far."""
    return _program._cache_size()
