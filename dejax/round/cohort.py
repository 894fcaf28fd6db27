"""Cohorts: m distinct nodes drawn uniformly, awake ones first; or every node on its own."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core.random import draw_index, uniform
from ..core.types import Round
from ..data.sampling import Poisson
from ..errors import RefusedError, bad


def of(round: Any, key: jax.Array, m: int) -> tuple[jax.Array, Any]:
    """(positions int32 [w] of a cohort, bool [n_all]: who is drawn; None where all of them are)."""
    privacy = round.network.privacy
    if privacy is None or privacy.hook != "upload" or privacy.client_sampling != "poisson":
        return drawn(round, key, m), None
    if round._ids is not None:
        why = "which draws every node on its own, but the method samples within a cohort"
        raise bad("network.privacy", privacy, why=why, instead="give client_sampling='fixed'", error=RefusedError)
    score = uniform(key, (round.n,))
    score = score if round._order is None else score[round._order]
    rows = lax.top_k(-score, Poisson(m).width(round.n))[1]
    return rows, score < jnp.float32(m) / jnp.float32(round.n)


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


__all__ = ["drawn", "floyd", "of"]
