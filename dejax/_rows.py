"""Rows of arrays that stay as they are for many rounds."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ._program import written_out

fetch_p = Primitive("dejax_fetch")


def fetch_rows(x: jax.Array, rows: jax.Array) -> jax.Array:
    """x[rows] for rows known to be in range: no clamping, no wrapping of negative ones.

    XLA on CPUs computes in float32 what comes as bfloat16, gathers too, and would move the conversion of an array that does not change
    out of the loop over rounds: all of x, for a few of its rows. Within a call that is not inlined it stays with the gather.
    """
    if x.dtype == jnp.bfloat16:
        return fetch_p.bind(x, rows)
    return _gather(x, rows)


def _gather(x: jax.Array, rows: jax.Array) -> jax.Array:
    return x.at[rows].get(mode="promise_in_bounds")


def _call(x: jax.Array, rows: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return jax.jit(_gather)(x, rows)


def _transpose(ct: Any, x: Any, rows: jax.Array) -> tuple[jax.Array, None]:
    return jax.linear_transpose(lambda x: _gather(x, rows), x.aval)(ct)[0], None


def _batch(args: Any, dims: Any) -> tuple[jax.Array, int]:
    x, rows = args
    if dims[0] is None:  # rows alone have one more axis
        return fetch_p.bind(x, jnp.moveaxis(rows, dims[1], 0)), 0
    return jax.vmap(_gather, dims)(x, rows), 0  # data of each run's own: their conversion is not kept in place


fetch_p.def_impl(_gather)
fetch_p.def_abstract_eval(lambda x, rows: ShapedArray((*rows.shape, *x.shape[1:]), x.dtype))
ad.defjvp(fetch_p, lambda t, x, rows: fetch_p.bind(t, rows), None)
ad.primitive_transposes[fetch_p] = _transpose
batching.primitive_batchers[fetch_p] = _batch
written_out[fetch_p.name] = lambda: _gather
mlir.register_lowering(fetch_p, mlir.lower_fun(_call, multiple_results=False), platform="cpu")
mlir.register_lowering(fetch_p, mlir.lower_fun(_gather, multiple_results=False))

__all__ = ["fetch_rows"]
