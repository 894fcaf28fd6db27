"""Draws for pairs of nodes, by their ids alone: independent of ports, layout and devices."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core.random import fold_in, uniform


def uniform_of_pairs(key: jax.Array, a: jax.Array, b: jax.Array, n: int, ticks: Any = None) -> jax.Array:
    """Draw one uniform float32 per pair of node ids, whatever port it stands on.

    ticks: the event's number of each pair in a timetable, of the shape of `a`, by which it is drawn, too.
    """
    if n <= 2**16:  # the pair fits one uint32: half the cost
        edge = fold_in(key, a.astype(jnp.uint32) * jnp.uint32(n) + b.astype(jnp.uint32))
    else:
        edge = fold_in(fold_in(key, a), b)
    return uniform(edge if ticks is None else fold_in(edge, ticks))


__all__ = ["uniform_of_pairs"]
