"""A warning for convolutions that a node axis would turn into slow grouped ones."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from ..core.abstract import key_like, model_like
from ..core.types import Tree
from ..core.warn import warn
from ..xla.traced import inner_programs

_TRANSPARENT = {"pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}


def warn_if_batched_conv(task: Any, batch: Tree) -> bool:
    """Warn once per task whose loss holds a convolution that `vmap` would turn into a slow one.

    The node axis makes a grouped convolution of it.

    Args:
      task: has `init` and `loss`. batch: one node's batch, name -> array or shape [B, ...].
    Returns:
      Whether it holds one.
    """
    found = _has_native_conv(task, tuple((str(k), v.shape, str(v.dtype)) for k, v in sorted(batch.items())))
    return found


@functools.lru_cache(maxsize=64)
def _has_native_conv(task: Any, shapes: Tree) -> bool:
    batch = {k: jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for k, shape, dtype in shapes}
    params, key = model_like(task), key_like()
    jaxpr = jax.make_jaxpr(task.loss)(params, batch, key)
    count = len(jax.tree.leaves(params))
    found = _walk(jaxpr.jaxpr, [True] * count + [False] * (len(jaxpr.jaxpr.invars) - count))[0]
    if found:
        warn(
            f"{task!r} uses lax convolutions, which vmap over nodes turns into slow grouped ones; {'; '.join(sorted(found))}"
        )
    return bool(found)


def _instead(eqn: Any) -> str:
    """Say what makes a native convolution fast under a node axis, or why nothing does."""
    call = "call dejax.tasks.conv.conv_general_dilated"
    x, w = (v.aval.dtype for v in eqn.invars)
    out = eqn.outvars[0].aval.dtype
    if not all(jnp.issubdtype(dtype, jnp.floating) for dtype in (x, w, out)):
        return f"there is no fast form of {x} and {w} to {out}, give a floating dtype"
    if eqn.params["batch_group_count"] != 1:
        return f"there is no fast form of batch_group_count {eqn.params['batch_group_count']}"
    if max(eqn.params["lhs_dilation"], default=1) > 1:
        return f"for transposed ones {call} with lhs_dilation in your own module, nnx.ConvTranspose cannot (plain nnx.Conv layers get it by themselves)"
    return f"{call} instead (plain nnx.Conv layers get it by themselves; nnx.ConvTranspose cannot)"


def _walk(jaxpr: Any, learned: list[bool]) -> tuple[set[str], list[bool]]:
    """Collect advice on convolutions whose weights depend on the parameters.

    Returns:
      (what to do about them, which outputs depend on the parameters).
    """
    marked = {v for v, m in zip(jaxpr.invars, learned, strict=True) if m}
    found = set()
    for eqn in jaxpr.eqns:
        flags = [not isinstance(v, Literal) and v in marked for v in eqn.invars]
        if eqn.primitive.name == "conv_general_dilated" and flags[1]:
            found.add(_instead(eqn))
        for j in inner_programs(eqn):
            same = eqn.primitive.name in _TRANSPARENT and len(j.invars) == len(flags)
            found |= _walk(j, flags if same else [any(flags)] * len(j.invars))[0]
        if any(flags):
            marked.update(eqn.outvars)
    return found, [not isinstance(v, Literal) and v in marked for v in jaxpr.outvars]
