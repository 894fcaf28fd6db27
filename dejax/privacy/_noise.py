"""Gaussian noise for node-axis trees: by name and node, not by place."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_in, fold_name
from ..core.types import NodeTree


def add_noise(keys: jax.Array, name: str, value: NodeTree, std: Any) -> NodeTree:
    """Add N(0, std^2) to value, independent for every node, leaf and coordinate.

    keys: [n]. std: scalar.
    """
    keys = fold_name(keys, name)

    def noisy(i: int, x: jax.Array) -> jax.Array:
        draw = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))
        return x + jnp.asarray(std, x.dtype) * draw(fold_in(keys, i))

    return jax.tree.unflatten(jax.tree.structure(value), [noisy(i, x) for i, x in enumerate(tree.leaves(value))])
