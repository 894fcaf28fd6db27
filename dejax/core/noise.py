"""Trees of normal numbers, and directions made of them, from a key alone."""

from typing import Any

import jax
from jax import lax, numpy as jnp

from . import tree
from .types import PRNGKey, Tree


def normal(key: PRNGKey, like: Tree) -> Any:
    """A tree of independent standard normal numbers."""
    leaves, form = jax.tree.flatten(like)
    draw = lambda i, x: jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
    return jax.tree.unflatten(form, [draw(i, x) for i, x in enumerate(leaves)])


def signs(key: PRNGKey, like: Tree) -> Any:
    """A tree of independent numbers that are +1 or -1 alike often."""
    leaves, form = jax.tree.flatten(like)
    draw = lambda i, x: jax.random.rademacher(jax.random.fold_in(key, i), x.shape, x.dtype)
    return jax.tree.unflatten(form, [draw(i, x) for i, x in enumerate(leaves)])


def rebuilt(seed: PRNGKey, scores: jax.Array, like: Tree) -> Any:
    """The direction (1 / K) sum_k s_k e_k out of its scores [K] and the seed of its e_k."""

    def one(total: Tree, k: jax.Array) -> tuple[Any, None]:
        return tree.axpy(scores[k] / scores.shape[0], normal(jax.random.fold_in(seed, k), like), total), None

    return lax.scan(one, tree.zeros(like), jnp.arange(scores.shape[0], dtype=jnp.int32))[0]


__all__ = ["normal", "rebuilt", "signs"]
