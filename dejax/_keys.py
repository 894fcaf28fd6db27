"""Randomness by name: a key for every (purpose, node, round), never by order of calls."""

import zlib

import jax
from jax import random


def name_id(name: str) -> int:
    """A stable 31-bit integer for a name (Python's own hash differs between processes)."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def fold_name(key: jax.Array, name: str) -> jax.Array:
    """The key for purpose `name`."""
    return random.fold_in(key, name_id(name))


def fold_ids(key: jax.Array, ids: jax.Array) -> jax.Array:
    """One key per global node id: keys [n]."""
    return jax.vmap(lambda i: random.fold_in(key, i))(ids)


def draw_index(uniform: jax.Array, count: jax.Array) -> jax.Array:
    """floor(uniform * count), kept below count: an index in [0, count) at half the cost of randint."""
    import jax.numpy as jnp

    return jnp.minimum((uniform * count).astype(jnp.int32), count - 1)
