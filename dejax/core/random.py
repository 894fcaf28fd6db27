"""Randomness by name: a key for every (purpose, node, round), never by order of calls.

The functions here give the numbers of `jax.random`, bit for bit. For threefry keys, JAX's default,
they write its rounds out: on CPUs JAX runs them as loops of small steps, which for a thousand draws
a round cost more than a small model's gradient (docs/performance-log.md); other keys go to
`jax.random`.
"""

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from ..xla.materialize import materialize

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
FEW = 64  # draws per node below which a key is computed again for each of them, which costs less than storing it


def name_id(name: str) -> int:
    """A stable 31-bit integer for a name (Python's own hash differs between processes)."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def seeded(seeds: object) -> jax.Array:
    """Make the keys of whole numbers [...]: `random.key` of each.

    They are made on the host where that is known to give the same.
    """
    seeds = np.asarray(seeds, np.int64)
    if getattr(jax.config, "jax_default_prng_impl", "") != "threefry2x32":
        return jax.vmap(random.key)(seeds) if seeds.ndim else random.key(int(seeds))
    long = jax.dtypes.canonicalize_dtype(np.int64) == np.int64
    high = seeds >> 32 if long else np.zeros_like(seeds)
    with jax.ensure_compile_time_eval():
        return random.wrap_key_data(jax.device_put(np.stack([high, seeds], -1).astype(np.uint32)), impl="threefry2x32")


def fold_in(key: jax.Array, data: jax.Array | int) -> jax.Array:
    """`random.fold_in` of keys [...] and integers [...], which broadcast."""
    if not _threefry_key(key):
        shape = jnp.broadcast_shapes(key.shape, jnp.shape(data))
        folded = random.fold_in
        for _ in shape:
            folded = jax.vmap(folded)
        return folded(jnp.broadcast_to(key, shape), jnp.broadcast_to(data, shape))
    words = random.key_data(key)
    number = jnp.asarray(data).astype(jnp.uint32)
    a, b = _threefry(words[..., 0], words[..., 1], jnp.zeros_like(number), number)
    return random.wrap_key_data(jnp.stack([a, b], -1), impl=random.key_impl(key))


def fold_name(key: jax.Array, name: str) -> jax.Array:
    """The keys for purpose `name`; keys [...]."""
    return fold_in(key, name_id(name))


def bits(keys: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """uint32 [..., *shape]: `random.bits(key, shape)` of each of keys [...]."""
    size = math.prod(shape)
    if not (_threefry_key(keys) and getattr(jax.config, "jax_threefry_partitionable", True) and 0 < size < 2**32):
        each = lambda key: random.bits(key, shape, jnp.uint32)
        for _ in keys.shape:
            each = jax.vmap(each)
        return each(keys)
    data = random.key_data(keys)
    data = materialize(data) if size > FEW else data
    place = jnp.arange(size, dtype=jnp.uint32).reshape([1] * keys.ndim + [size])
    a, b = _threefry(data[..., :1], data[..., 1:], jnp.zeros_like(place), place)
    out = (a ^ b).reshape(*keys.shape, *shape)
    return materialize(out) if size <= FEW else out  # with what reads them in one loop, LLVM takes ten seconds for it


def uniform(keys: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """float32 [..., *shape] in [0, 1): `random.uniform(key, shape)` of each of keys [...]."""
    one = jnp.uint32(0x3F800000)  # the bits of 1.0: random digits behind it make a number in [1, 2)
    return jax.lax.bitcast_convert_type((bits(keys, shape) >> 9) | one, jnp.float32) - 1


def draw_index(fraction: jax.Array, count: jax.Array) -> jax.Array:
    """Return floor(fraction * count), kept below count, for a fraction in [0, 1).

    An index in [0, count), at half the cost of randint.
    """
    return jnp.minimum((fraction * count).astype(jnp.int32), count - 1)


def _threefry_key(key: jax.Array) -> bool:
    return str(random.key_impl(key)) == "threefry2x32"


@jax.jit  # traced and lowered once per shape: a round draws keys dozens of times
def _threefry(k0: jax.Array, k1: jax.Array, x0: jax.Array, x1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute Threefry-2x32 with 20 rounds, of counters (x0, x1) under keys (k0, k1).

    All are uint32 and broadcast.

    Reference: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
    """
    k = (k0, k1, k0 ^ k1 ^ jnp.uint32(0x1BD11BDA))
    x0, x1 = x0 + k[0], x1 + k[1]
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = ((x1 << r) | (x1 >> (32 - r))) ^ x0
        x0, x1 = x0 + k[(group + 1) % 3], x1 + k[(group + 2) % 3] + jnp.uint32(group + 1)
    return x0, x1
