"""Rows of arrays by numbers known to be in range."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

fetch_p = Primitive("dejax_fetch")


def fetch_rows(x: jax.Array, rows: jax.Array) -> jax.Array:
    """`take_rows` of an x that stays as it is for many rounds.

    XLA on CPUs computes in float32 what comes as bfloat16, gathers too, and would move the
    conversion of an array that does not change out of the loop over rounds: all of x, for a few of
    its rows. Within a call that is not inlined it stays with the gather.
    """
    if x.dtype == jnp.bfloat16:
        return fetch_p.bind(x, rows)
    return take_rows(x, rows)


def take_rows(x: jax.Array, rows: jax.Array) -> jax.Array:
    """x[rows] without the clamping and wrapping that indices known to be in range do not need."""
    return jnp.asarray(x).at[rows].get(mode="promise_in_bounds")


def _call(x: jax.Array, rows: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return jax.jit(take_rows)(x, rows)


def _transpose(ct: Any, x: Any, rows: jax.Array) -> tuple[jax.Array, None]:
    return jax.linear_transpose(lambda x: take_rows(x, rows), x.aval)(ct)[0], None


def _batch(args: Any, dims: Any) -> tuple[jax.Array, int]:
    x, rows = args
    if dims[0] is None:  # rows alone have one more axis
        return fetch_p.bind(x, jnp.moveaxis(rows, dims[1], 0)), 0
    return jax.vmap(take_rows, dims)(x, rows), 0  # data of each run's own: their conversion is not kept in place


fetch_p.def_impl(take_rows)
fetch_p.def_abstract_eval(lambda x, rows: ShapedArray((*rows.shape, *x.shape[1:]), x.dtype))
ad.defjvp(fetch_p, lambda t, x, rows: fetch_p.bind(t, rows), None)
ad.primitive_transposes[fetch_p] = _transpose
batching.primitive_batchers[fetch_p] = _batch
mlir.register_lowering(fetch_p, mlir.lower_fun(_call, multiple_results=False), platform="cpu")
mlir.register_lowering(fetch_p, mlir.lower_fun(take_rows, multiple_results=False))

__all__ = ["fetch_rows", "take_rows"]
