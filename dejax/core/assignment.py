"""The best assignment of rows to columns, by the Hungarian method in shortest paths.

Exact, jittable and without calls to the host, so that it may run within a round and under vmap. In
order of a matrix's width w it takes w^3 steps, w of them at a time. Reference: Jonker and Volgenant,
A shortest augmenting path algorithm for dense and sparse linear assignment problems, 1987.
"""

from typing import Any

import jax
import jax.numpy as jnp

from .types import Tree


def assignment(gain: jax.Array) -> jax.Array:
    """Choose one column for every row, all different, so that the sum of `gain` is largest.

    Args:
      gain: finite [w, w].
    Returns:
      int32 [w]: the column of each row. Of several that are best, any; equal rows and columns are
        matched in their order.
    Example:
      >>> assignment(jnp.asarray([[1.0, 5.0], [2.0, 9.0]])).tolist()
      [0, 1]
    """
    w = gain.shape[0]
    cost = -gain.astype(jnp.promote_types(gain.dtype, jnp.float32))
    nobody, far = jnp.int32(-1), jnp.asarray(jnp.inf, cost.dtype)

    def add_row(row: jax.Array, carry: Tree) -> Any:
        """Give `row` a column, moving others along the cheapest path to a column that is free."""
        u, v, owner = carry  # prices of rows and columns; which row holds a column

        def look(path: Any) -> Any:
            """Settle the nearest column, and look on from the row that holds it."""
            at, reach, before, settled, base, _ = path
            through = base + cost[at] - u[at] - v
            nearer = ~settled & (through < reach)
            reach, before = jnp.where(nearer, through, reach), jnp.where(nearer, at, before)
            column = jnp.argmin(jnp.where(settled, far, reach)).astype(jnp.int32)
            return owner[column], reach, before, settled.at[column].set(True), reach[column], column

        start = (
            row,
            jnp.full((w,), far),
            jnp.full((w,), nobody),
            jnp.zeros((w,), bool),
            jnp.zeros((), cost.dtype),
            nobody,
        )
        path = jax.lax.while_loop(lambda p: p[0] >= 0, look, start)
        _, reach, before, settled, length, column = path
        slack = jnp.where(settled, length - reach, 0)
        holds = jnp.where(settled & (owner >= 0), owner, w)
        u = u.at[holds].add(slack, mode="drop").at[row].add(length)

        def shift(step: Any) -> Any:
            """Hand the column to the row from which it was reached, which leaves its own."""
            owner, held, column, _ = step
            taker = before[column]
            return owner.at[column].set(taker), held.at[taker].set(column), held[taker], taker

        held = (
            jnp.full((w,), nobody).at[jnp.where(owner >= 0, owner, w)].set(jnp.arange(w, dtype=jnp.int32), mode="drop")
        )
        owner, *_ = jax.lax.while_loop(lambda s: s[3] != row, shift, (owner, held, column, nobody))
        return u, v - slack, owner

    zeros = jnp.zeros((w,), cost.dtype)
    _, _, owner = jax.lax.fori_loop(0, w, add_row, (zeros, zeros, jnp.full((w,), nobody)))
    return jnp.zeros((w,), jnp.int32).at[owner].set(jnp.arange(w, dtype=jnp.int32))


__all__ = ["assignment"]
