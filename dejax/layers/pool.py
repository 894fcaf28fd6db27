"""Pooling whose gradient is elementwise, place by place of the window."""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..xla.materialize import materialize

FEW = 16  # places of a window that are taken one by one


class Grid(NamedTuple):
    """Windows over the spatial axes; each field has one entry per axis."""

    window: tuple[int, ...]
    strides: tuple[int, ...]
    pads: Any  # pairs (low, high)
    out: tuple[int, ...]  # number of windows


def max_pool(
    x: jax.Array, window: Sequence[int] = (2, 2), strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """Maximum over windows of x [B, spatial..., C]; as flax's `max_pool`, with a cheap gradient.

    The gradient goes to the first of equal maxima, and in a window with NaN to the place that XLA
    picks. Windows of more than 16 places send it to their first place if they hold NaN, and take
    flax's way, whose gradient is a scatter, if they overlap or are padded.

    Args:
      x: [B, spatial..., C]. window: size per spatial axis. strides: default `window` (flax's
        default is 1). padding: "VALID", "SAME", or a pair (low, high) per spatial axis.
    Raises:
      ValueError: a window of another rank than x's spatial axes, or larger than x with its padding.
    Example:
      >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
      [[5.0, 7.0], [13.0, 15.0]]
    """
    grid = _grid(x, window, strides, padding)
    if is_flax(grid):
        from flax import nnx

        return nnx.max_pool(x, grid.window, grid.strides, grid.pads)
    return _max(x, grid)


def avg_pool(
    x: jax.Array, window: Sequence[int] = (2, 2), strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """Mean over windows of x [B, spatial..., C]; as flax's `avg_pool`, padding counted as zeros.

    Args:
      x, window, strides, padding: as for `max_pool`.
    Example:
      >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
      [[2.5, 4.5], [10.5, 12.5]]
    """
    grid = _grid(x, window, strides, padding)
    if is_flax(grid):
        from flax import nnx

        return nnx.avg_pool(x, grid.window, grid.strides, grid.pads)
    size = math.prod(grid.window)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return _sum(x.astype(jnp.result_type(float)), grid) / size
    return (_sum(x.astype(jnp.promote_types(x.dtype, jnp.float32)), grid) / size).astype(x.dtype)


def _grid(x: jax.Array, window: Sequence[int], strides: Sequence[int] | None, padding: Any) -> Grid:
    window = tuple(window)
    strides = window if strides is None else tuple(strides)
    if len(window) != x.ndim - 2 or len(strides) != x.ndim - 2:
        raise ValueError(
            f"pool window {window} with strides {strides} for x of shape {x.shape}, but x is [B, spatial..., C]; "
            f"give one size per spatial axis ({x.ndim - 2})"
        )
    if any(w < 1 for w in (*window, *strides)):
        raise ValueError(f"pool window {window}, strides {strides}; give sizes >= 1")
    sizes = x.shape[1:-1]
    pads = lax.padtype_to_pads(sizes, window, strides, padding) if isinstance(padding, str) else padding
    pads = tuple((int(low), int(high)) for low, high in pads)
    if len(pads) != len(window):
        raise ValueError(f"pool padding {padding} for window {window}; give one pair (low, high) per spatial axis")
    out = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(sizes, pads, window, strides, strict=True))
    if min(out, default=1) < 1:
        raise ValueError(
            f"pool window {window} is larger than x of shape {x.shape} padded by {pads}; give a smaller one"
        )
    return Grid(window, strides, pads, out)


def is_flax(grid: Grid) -> bool:
    """Return whether pools go flax's way: many places (more than FEW), and not blocks of x."""
    return math.prod(grid.window) > FEW and (grid.window != grid.strides or any(map(any, grid.pads)))


def _blocks(x: jax.Array, grid: Grid, fill: Any) -> jax.Array:
    """Return x in blocks as large as the strides: [B, h, sh, w, sw, ..., C].

    x is padded by `fill`; each axis is as long as its windows reach.
    """
    pads, shape = [(0, 0, 0)], [x.shape[0]]
    for n, (low, _), s, length in zip(x.shape[1:-1], grid.pads, grid.strides, _lengths(grid), strict=True):
        pads.append((low, length * s - low - n, 0))
        shape += [length, s]
    return lax.pad(x, jnp.asarray(fill, x.dtype), [*pads, (0, 0, 0)]).reshape(*shape, x.shape[-1])


def _lengths(grid: Grid) -> list[int]:
    """Count blocks per axis: a window begins with its block and ends some blocks after it.

    The last of them is `-(-window // stride) - 1` blocks on.
    """
    return [o + -(-k // s) - 1 for o, k, s in zip(grid.out, grid.window, grid.strides, strict=True)]


def _places(blocks: jax.Array, grid: Grid) -> list[jax.Array]:
    """What stands at each place of all windows, [B, h, w, ..., C], in row-major order."""
    out = []
    for place in itertools.product(*map(range, grid.window)):
        index: list[Any] = [slice(None)]
        for p, s, o in zip(place, grid.strides, grid.out, strict=True):
            index += [slice(p // s, p // s + o), p % s]
        out.append(blocks[tuple(index)])
    return out


def _spread(blocks: jax.Array, grid: Grid, keep: Callable[[jax.Array, np.ndarray], jax.Array]) -> jax.Array:
    """Sum keep(blocks, number) over windows.

    number: the row-major one of a place in its window, -2 beyond it.

    Block after block, so that the transpose adds up as many terms as windows that reach a block,
    each a pad of an elementwise loop.
    """
    axes, total = tuple(range(2, blocks.ndim - 1, 2)), []
    for step in itertools.product(*(range(-(-k // s)) for k, s in zip(grid.window, grid.strides, strict=True))):
        index, number, inside = [slice(None)], np.zeros((1,) * blocks.ndim, np.int32), True
        for axis, q, k, s, o in zip(axes, step, grid.window, grid.strides, grid.out, strict=True):
            place = np.arange(q * s, q * s + s, dtype=np.int32).reshape(-1, *(1,) * (blocks.ndim - axis - 1))
            number, inside = number * k + place, inside & (place < k)
            index += [slice(q, q + o), slice(None)]
        total.append(keep(blocks[tuple(index)], np.where(inside, number, -2)).sum(axes))
    return functools.reduce(operator.add, total)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max(x: jax.Array, grid: Grid) -> jax.Array:
    """Place by place: a loop over whole rows of channels."""
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    blocks = _blocks(x, grid, lowest)
    if math.prod(grid.window) > FEW:
        return blocks.max(tuple(range(2, blocks.ndim - 1, 2)))
    return materialize(functools.reduce(jnp.maximum, _places(blocks, grid)))


@_max.defjvp
def _max_jvp(grid: Grid, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    axes = tuple(range(2, 2 * x.ndim - 3, 2))
    # what several windows read in the gradient is written first; otherwise one loop of all is
    # faster
    overlap = any(k > s for k, s in zip(grid.window, grid.strides, strict=True))
    written = materialize if overlap else lambda value: value
    top, first = _max(x, grid), written(_first(x, grid))
    chosen = lambda block, number: jnp.where(jnp.expand_dims(first, axes) == number, block, 0)
    return top, written(_spread(_blocks(dx, grid, 0), grid, chosen))


def _first(x: jax.Array, grid: Grid) -> jax.Array:
    """Return the number of the place that the gradient goes to.

    In padding it is lost, as in XLA's own on CPUs.
    """
    blocks = _blocks(x, grid, -jnp.inf)
    if math.prod(grid.window) > FEW:  # each window a block; nothing is below NaN: of a block with a NaN the first place
        axes = tuple(range(2, blocks.ndim - 1, 2))
        shape = [size for k in grid.window for size in (1, k)]
        number = np.arange(math.prod(grid.window), dtype=np.int32).reshape(*shape, 1)
        return jnp.where(blocks < blocks.max(axes, keepdims=True), number.size, number).min(axes)
    best, *others = _places(blocks, grid)
    first = jnp.zeros(best.shape, jnp.int32)
    for i, place in enumerate(others, 1):
        higher = ~(best >= place)  # of two places next to each other one of which is NaN the later, as in XLA's own
        first, best = jnp.where(higher, i, first), jnp.where(higher, place, best)
    return first


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _sum(x: jax.Array, grid: Grid) -> jax.Array:
    blocks = _blocks(x, grid, 0)
    if math.prod(grid.window) > FEW:
        return blocks.sum(tuple(range(2, blocks.ndim - 1, 2)))
    return functools.reduce(operator.add, _places(blocks, grid))


@_sum.defjvp
def _sum_jvp(grid: Grid, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    within = lambda block, number: block if number.min() >= 0 else jnp.where(number >= 0, block, 0)
    return _sum(primals[0], grid), materialize(_spread(_blocks(tangents[0], grid, 0), grid, within))
