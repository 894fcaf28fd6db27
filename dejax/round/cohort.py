"""Cohorts: m distinct nodes drawn uniformly, awake ones first."""

import jax
import jax.numpy as jnp
from jax import lax

from ..core.random import draw_index, uniform
from ..core.types import Round


def drawn(round: Round, key: jax.Array, m: int) -> jax.Array:
    """int32 [m]: positions on the node axis of m nodes of a round's view."""
    if round.awake is None:
        chosen = floyd(key, round.n, m)  # ids (of a view: places in it)
        if round._ids is None and round._order is not None:
            chosen = round.problem.place.positions()[chosen]
    else:
        score = uniform(key, (round.n,))
        score = score if round._ids is not None or round._order is None else score[round._order]
        chosen = lax.top_k(score + round.awake, m)[1]
    return chosen if round._ids is None else round._ids[chosen]


def floyd(key: jax.Array, n: int, m: int) -> jax.Array:
    """m distinct ids out of n (Floyd's algorithm): O(m^2), no [n] array."""
    fraction = uniform(key, (m,))

    def body(ids: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        top = n - m + i
        draw = draw_index(fraction[i], top + 1)
        taken = jnp.any((ids == draw) & (jnp.arange(m) < i))
        return ids.at[i].set(jnp.where(taken, top, draw)), None

    return lax.scan(body, jnp.zeros(m, jnp.int32), jnp.arange(m, dtype=jnp.int32))[0]


__all__ = ["drawn", "floyd"]
