"""A warning for plain convolutions and pools that are slow under a node axis."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from ..core.abstract import key_like, model_like
from ..core.arguments import evenly
from ..core.types import Task, Tree
from ..core.warn import warn
from ..xla.traced import inner_programs
from .pool import FEW, Grid, is_flax

_TRANSPARENT = {"pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}


def warn_if_slow(task: Task, batch: Tree) -> bool:
    """Warn once per task whose loss holds a convolution or pool that is slow under a node axis.

    A plain convolution of learned weights becomes a grouped one; the gradient of a plain maximum over
    windows is a scatter, that of a plain mean over large or overlapping windows a second pass over
    each of them.

    Args:
      task: has `init` and `loss`. batch: one node's batch, a tree of arrays or shapes [B, ...].
    Returns:
      Whether it holds one.
    """
    leaves, structure = jax.tree.flatten(batch)
    return _has_slow(task, tuple((v.shape, str(v.dtype)) for v in leaves), structure)


@functools.lru_cache(maxsize=64)
def _has_slow(task: Task, shapes: Tree, structure: Any) -> bool:
    batch = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for shape, dtype in shapes])
    params, key = model_like(task), key_like()
    jaxpr = jax.make_jaxpr(evenly(task.loss))(params, batch, key)
    count = len(jax.tree.leaves(params))
    found = _walk(jaxpr.jaxpr, [True] * count + [False] * (len(jaxpr.jaxpr.invars) - count))[0]
    if found:
        warn(f"{task!r} uses {'; '.join(sorted(found))}")
    return bool(found)


def _conv(eqn: Any) -> str:
    """Say what makes a native convolution fast under a node axis, or why nothing does."""
    why, call = (
        "lax convolutions, which vmap over nodes turns into slow grouped ones; ",
        "call dejax.tasks.conv.conv_general_dilated",
    )
    x, w = (v.aval.dtype for v in eqn.invars)
    out = eqn.outvars[0].aval.dtype
    if not all(jnp.issubdtype(dtype, jnp.floating) for dtype in (x, w, out)):
        return f"{why}there is no fast form of {x} and {w} to {out}, give a floating dtype"
    if eqn.params["batch_group_count"] != 1:
        return f"{why}there is no fast form of batch_group_count {eqn.params['batch_group_count']}"
    if max(eqn.params["lhs_dilation"], default=1) > 1:
        return f"{why}for transposed ones {call} with lhs_dilation in your own module, nnx.ConvTranspose cannot (plain nnx.Conv layers get it by themselves)"
    return f"{why}{call} instead (plain nnx.Conv layers get it by themselves; nnx.ConvTranspose cannot)"


def _pool(eqn: Any, name: str) -> str | None:
    """Say the fast form of a native pool of [B, spatial..., C]; None where there is none."""
    window, strides, pads = (eqn.params[k] for k in ("window_dimensions", "window_strides", "padding"))
    plain = all(max(eqn.params[k], default=1) == 1 for k in ("base_dilation", "window_dilation"))
    if not plain or len(window) < 3 or any(window[i] != 1 or strides[i] != 1 or any(pads[i]) for i in (0, -1)):
        return None
    grid = Grid(window[1:-1], strides[1:-1], pads[1:-1], eqn.outvars[0].aval.shape[1:-1])
    blocks = grid.window == grid.strides and math.prod(grid.window) <= FEW
    if is_flax(grid) or (name == "avg_pool" and blocks):
        return None
    given = f"{tuple(grid.window)}, strides={tuple(grid.strides)}"
    given += f", padding={tuple(map(tuple, grid.pads))}" if any(map(any, grid.pads)) else ""
    return f"a plain {name}, whose gradient is slow; call dejax.tasks.conv.{name}(x, {given}) instead of nnx.{name}"


def _slow(eqn: Any, learned: list[bool]) -> str | None:
    """Say what is slow about an equation; None where nothing is, or no gradient passes it."""
    if eqn.primitive.name == "conv_general_dilated" and learned[1]:
        return _conv(eqn)
    pool = {"reduce_window_max": "max_pool", "reduce_window_sum": "avg_pool"}.get(eqn.primitive.name)
    return _pool(eqn, pool) if pool and learned[0] else None


def _walk(jaxpr: Any, learned: list[bool]) -> tuple[set[str], list[bool]]:
    """Collect advice on equations whose operands depend on the parameters.

    Returns:
      (what to do about them, which outputs depend on the parameters).
    """
    marked = {v for v, m in zip(jaxpr.invars, learned, strict=True) if m}
    found = set()
    for eqn in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and v in marked for v in eqn.invars]
        found |= {said for said in [_slow(eqn, flags)] if said}
        for j in inner_programs(eqn):
            same = eqn.primitive.name in _TRANSPARENT and len(j.invars) == len(flags)
            found |= _walk(j, flags if same else [any(flags)] * len(j.invars))[0]
        if any(flags):
            marked.update(eqn.outvars)
    return found, [not isinstance(v, Literal) and v in marked for v in jaxpr.outvars]
