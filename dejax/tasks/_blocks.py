"""Nodes in blocks: activation memory that does not grow with the number of nodes."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import Literal

_TRANSPARENT = {"pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}


def block_map(fn: Callable[..., Any], n: int, block: int | None, remat: bool = False) -> Callable[..., Any]:
    """vmap of `fn` over n nodes, `block` of them at a time, one block after another.

    Args:
      fn: per-node function of trees without node axis.
      n: number of nodes, >= 1. block: nodes at a time, >= 1; None, or n and more, is one plain vmap. A last, smaller block is right.
      remat: compute the intermediates of `fn` again in a backward pass through it, instead of keeping them.
    Returns:
      A function of trees [n, ...] to trees [n, ...]; same numbers as `jax.vmap(fn)` up to rounding.
    Raises:
      ValueError: block < 1.
    Example:
      >>> import jax.numpy as jnp
      >>> block_map(lambda x: 2 * x, 5, 2)(jnp.arange(5.0)).tolist()
      [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if block is not None and (isinstance(block, bool) or block < 1):
        raise ValueError(f"block is {block!r}, but it is a number of nodes >= 1; give None for all at once")
    fn = jax.checkpoint(fn) if remat else fn
    if block is None or block >= n:
        return jax.vmap(fn)
    return lambda *trees: lax.map(lambda row: fn(*row), trees, batch_size=block)


def activation_bytes(task: Any, batch: Any, params: Any = None) -> int:
    """Estimated bytes that one node's gradient keeps between its forward and its backward pass.

    Counts the arrays that the linearized loss keeps, found by tracing; parameters and batch are not counted, they are there anyway.
    Temporaries of single operations come on top: within a factor of 2 of what XLA allocates.

    Args:
      task: has `init` and `loss`. batch: one node's batch, arrays or shapes [B, ...]. params: one model's shapes; None asks `init`.
    Returns:
      Bytes per node, >= 0.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(task.init, key) if params is None else params
    closed = jax.make_jaxpr(lambda p, b, k: jax.vjp(lambda p: task.loss(p, b, k).sum(), p)[1])(params, batch, key)
    inputs = set(closed.jaxpr.invars)
    kept = {v for v in closed.jaxpr.outvars if not isinstance(v, Literal) and v not in inputs}
    return sum(_bytes(v.aval) for v in kept)


def choose_block(task: Any, batch: Any, n: int, memory: int, devices: int = 1) -> int | None:
    """How many nodes to compute at a time so that activations fit in `memory` bytes; None when all of them do.

    Args:
      task, batch: as for `activation_bytes`. n: nodes. memory: bytes for activations on one device. devices: that share n evenly.
    Returns:
      A power of two >= 1, or None.
    """
    each = max(
        1, 2 * activation_bytes(task, batch)
    )  # kept arrays, and as much again for temporaries of the backward pass
    fits = memory // each
    if fits * devices >= n:
        return None
    return 1 << max(0, int(fits).bit_length() - 1)


def warn_if_batched_conv(task: Any, batch: Any) -> bool:
    """Warn once per task whose loss holds a native convolution that the node axis would make a grouped one.

    Args:
      task, batch: as for `activation_bytes`.
    Returns:
      Whether it holds one.
    """
    found = _has_native_conv(task, tuple((str(k), v.shape, str(v.dtype)) for k, v in sorted(batch.items())))
    return found


@functools.lru_cache(maxsize=64)
def _has_native_conv(task: Any, shapes: Any) -> bool:
    batch = {k: jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for k, shape, dtype in shapes}
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(task.init, key)
    jaxpr = jax.make_jaxpr(task.loss)(params, batch, key)
    count = len(jax.tree.leaves(params))
    found = _walk(jaxpr.jaxpr, [True] * count + [False] * (len(jaxpr.jaxpr.invars) - count))[0]
    if found:
        warnings.warn(
            f"{task!r} uses lax convolutions, which vmap over nodes turns into slow grouped ones; "
            "pass conv_general_dilated=dejax.tasks.conv.conv_general_dilated to nnx.Conv",
            UserWarning,
            stacklevel=4,
        )
    return found


def _walk(jaxpr: Any, learned: list[bool]) -> tuple[bool, list[bool]]:
    """(is there a convolution whose weights depend on the parameters, which outputs depend on them)."""
    marked = {v for v, m in zip(jaxpr.invars, learned, strict=True) if m}
    found = False
    for eqn in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and v in marked for v in eqn.invars]
        if eqn.primitive.name == "conv_general_dilated":
            found |= flags[1]
        inner = [
            getattr(j, "jaxpr", j)
            for value in eqn.params.values()
            for j in (value if isinstance(value, tuple) else (value,))
        ]
        for j in (j for j in inner if hasattr(j, "eqns")):
            same = eqn.primitive.name in _TRANSPARENT and len(j.invars) == len(flags)
            found |= _walk(j, flags if same else [any(flags)] * len(j.invars))[0]
        if any(flags):
            marked.update(eqn.outvars)
    return found, [not isinstance(v, Literal) and v in marked for v in jaxpr.outvars]


def _bytes(aval: Any) -> int:
    itemsize = 8 if jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key) else np.dtype(aval.dtype).itemsize
    return math.prod(aval.shape) * itemsize
