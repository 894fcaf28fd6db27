"""Pooling whose gradient is elementwise when windows do not overlap."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._apart import materialize

FEW = 16  # places of a window that are taken one by one


def max_pool(
    x: jax.Array, window: Sequence[int] = (2, 2), strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """Maximum over windows of x [B, spatial..., C]; as flax's `max_pool`, with a cheap gradient when strides = window.

    The gradient goes to the first of equal maxima, as in XLA's own; from a window that holds NaN, whose maximum is NaN, to its first
    place. Windows that overlap or are padded take flax's way, whose gradient is a scatter.

    Args:
      x: [B, spatial..., C]. window: size per spatial axis. strides: default `window` (flax's default is 1). padding: "VALID"; or
        what flax takes.
    Raises:
      ValueError: a window of another rank than x's spatial axes, or larger than x.
    Example:
      >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
      [[5.0, 7.0], [13.0, 15.0]]
    """
    window, strides = _check(x, window, strides)
    if strides != window or padding != "VALID":
        from flax import nnx

        return nnx.max_pool(x, window, strides, padding)
    return _max_over(_windows(x, window))


def avg_pool(
    x: jax.Array, window: Sequence[int] = (2, 2), strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """Mean over windows of x [B, spatial..., C]; as flax's `avg_pool`, a reshape when strides = window.

    Args:
      x, window, strides, padding: as for `max_pool`.
    Example:
      >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
      [[2.5, 4.5], [10.5, 12.5]]
    """
    window, strides = _check(x, window, strides)
    if strides != window or padding != "VALID":
        from flax import nnx

        return nnx.avg_pool(x, window, strides, padding)
    d = len(window)
    return _windows(x, window).mean(tuple(range(2, 2 * d + 1, 2)))


def _check(
    x: jax.Array, window: Sequence[int], strides: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    window = tuple(window)
    strides = window if strides is None else tuple(strides)
    if len(window) != x.ndim - 2 or len(strides) != x.ndim - 2:
        raise ValueError(
            f"pool window {window} with strides {strides} for x of shape {x.shape}, but x is [B, spatial..., C]; "
            f"give one size per spatial axis ({x.ndim - 2})"
        )
    if any(w < 1 for w in (*window, *strides)):
        raise ValueError(f"pool window {window}, strides {strides}; give sizes >= 1")
    return window, strides


def _windows(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """[B, h, window h, w, window w, ..., C]; rows that fill no window are dropped."""
    for axis, k in enumerate(window, 1):
        if x.shape[axis] < k:
            raise ValueError(f"pool window {window} is larger than x of shape {x.shape}; give a smaller one")
        x = lax.slice_in_dim(x, 0, x.shape[axis] // k * k, axis=axis)
    shape = [x.shape[0]]
    for size, k in zip(x.shape[1:-1], window, strict=True):
        shape += [size // k, k]
    return x.reshape(*shape, x.shape[-1])


@jax.custom_jvp
def _max_over(r: jax.Array) -> jax.Array:
    """Maximum over the window axes 2, 4, ... of [B, h, kh, w, kw, ..., C], place by place: a loop over whole rows of channels."""
    if _size(r) > FEW:
        return r.max(tuple(range(2, r.ndim - 1, 2)))
    return materialize(functools.reduce(jnp.maximum, _places(r)))


@_max_over.defjvp
def _max_over_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (r,), (dr,) = primals, tangents
    top = _max_over(r)
    axes = tuple(range(2, r.ndim - 1, 2))
    number, stride = jnp.zeros((1,) * r.ndim, jnp.int32), 1
    for axis in reversed(axes):  # row-major number of a place in its window
        number = number + stride * lax.broadcasted_iota(
            jnp.int32, (1,) * axis + (r.shape[axis],) + (1,) * (r.ndim - axis - 1), axis
        )
        stride *= r.shape[axis]
    # nothing is below NaN: of a window with a NaN, which is its maximum, the first place
    if _size(r) > FEW:
        first = jnp.where(r < jnp.expand_dims(top, axes), stride, number).min(axes)
    else:
        first = jnp.int32(0)
        for i, place in reversed(list(enumerate(_places(r)))):
            first = jnp.where(place < top, first, i)
    return top, jnp.where(number == jnp.expand_dims(first, axes), dr, 0).sum(axes)


def _size(r: jax.Array) -> int:
    """Places of a window."""
    return math.prod(r.shape[2:-1:2])


def _places(r: jax.Array) -> list[jax.Array]:
    """What stands at each place of all windows, [B, h, w, ..., C], in row-major order."""
    sizes = r.shape[2:-1:2]
    return [r[:, *(i for o in offset for i in (slice(None), o))] for offset in itertools.product(*map(range, sizes))]
