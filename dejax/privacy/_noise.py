"""Gaussian noise for node-axis trees: by name and node, not by place."""

import jax
import jax.numpy as jnp

from ..core.random import fold_name
from ..core.types import FloatLike, NodeTree


def add_noise(keys: jax.Array, name: str, value: NodeTree, std: FloatLike) -> NodeTree:
    """Add N(0, std^2) to value, independent for every node, leaf and coordinate.

    One draw serves all leaves, since a generator of its own for each multiplies the time to compile.

    keys: [n]. std: scalar.
    """
    leaves, structure = jax.tree.flatten(value)
    wide = jnp.result_type(*leaves)
    ends = [0]
    for x in leaves:
        ends.append(ends[-1] + x[0].size)
    draws = jax.vmap(lambda key: jax.random.normal(key, (ends[-1],), wide))(fold_name(keys, name))
    own = [draws[:, a:b].reshape(x.shape).astype(x.dtype) for x, a, b in zip(leaves, ends, ends[1:], strict=False)]
    noisy = [x + jnp.asarray(std, x.dtype) * z for x, z in zip(leaves, own, strict=True)]
    return jax.tree.unflatten(structure, noisy)
