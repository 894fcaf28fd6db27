"""Small algebra on pytrees whose leaves share a leading axis."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from .stacks import nodes as nodes, spread
from .types import Tree

map = jax.tree.map
leaves = jax.tree.leaves
LARGE, SMALL = 2.0**40, 2.0**-80  # squares of up to 2^128 SMALL, 2^32 of them, have a sum in float32


def over(c: jax.Array, x: jax.Array) -> jax.Array:
    """Add trailing axes to `c` [n] (or [n, k], or scalar), so that it broadcasts against x.

    x: [n, ...].
    """
    return c.reshape(c.shape + (1,) * (x.ndim - c.ndim))


def where(mask: jax.Array, new: Tree, old: object) -> Any:
    """Row-wise choice: mask [n] picks rows of `new`, else of `old`."""
    return map(lambda m, a, b: jnp.where(over(m, a), a, b), spread(mask, new), new, old)


def scale(c: Tree, tree: Tree) -> Any:
    """c * tree with c scalar or [n], cast to each leaf's dtype."""

    def one(c: Any, x: jax.Array) -> jax.Array:
        s = jnp.asarray(c).astype(x.dtype)
        return (over(s, x) if s.ndim else s) * x

    return map(one, spread(c, tree), tree)


def add(*trees: Tree) -> Any:
    """Leafwise sum of one or more trees."""
    return map(lambda first, *rest: sum(rest, first), *trees)


def sub(a: Tree, b: Tree) -> Any:
    """a - b, leafwise."""
    return map(lambda x, y: x - y, a, b)


def axpy(c: Tree, x: Tree, y: Tree) -> Any:
    """y + c * x with c scalar or [n]."""
    return add(y, scale(c, x))


def zeros(tree: Tree) -> Any:
    """A new tree of zeros (a buffer of its own: state is donated)."""
    return map(jnp.zeros_like, tree)


def tile(tree: Tree, n: int) -> Any:
    """Repeat a tree without node axis n times along a new leading axis."""
    return map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), tree)


def size(tree: Tree) -> int:
    """Numbers held per node: product of the trailing axes, summed over leaves."""
    return sum(math.prod(x.shape[1:]) for x in leaves(tree))


def dense_bits(tree: Tree) -> int:
    """Bits of one node's part of the tree, sent as it is."""
    return sum(math.prod(x.shape[1:]) * x.dtype.itemsize * 8 for x in leaves(tree))


def flat(tree: Tree) -> jax.Array:
    """[n, d]: all leaves raveled and joined, in tree order."""
    xs = leaves(tree)
    return (
        xs[0].reshape(xs[0].shape[0], -1)
        if len(xs) == 1
        else jnp.concatenate([x.reshape(x.shape[0], -1) for x in xs], 1)
    )


def unflat(matrix: jax.Array, like: Tree) -> Any:
    """The inverse of `flat`: rows of [n, d] back into the shapes and dtypes of `like`."""
    out, start = [], 0
    for x in leaves(like):
        width = math.prod(x.shape[1:])
        out.append(matrix[:, start : start + width].reshape(matrix.shape[:1] + x.shape[1:]).astype(x.dtype))
        start += width
    return jax.tree.unflatten(jax.tree.structure(like), out)


def sq_norm(tree: Tree) -> jax.Array:
    """[n]: squared Euclidean norm of each node's part, accumulated in at least float32."""

    def one(x: jax.Array) -> jax.Array:
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(x.shape[0], -1)
        return jnp.sum(jnp.square(x), 1)

    return sum((one(x) for x in leaves(tree)[1:]), one(leaves(tree)[0]))


def eased(tree: Tree, axes: int = 1) -> tuple[Any, jax.Array]:
    """s * tree, and s over its first `axes` axes: 1, or `SMALL` where squares could overflow.

    By powers of two: of what is not rounded to 0, the way back by 1 / s is exact. Leaves hold at least bfloat16's range.
    """
    largest = [jnp.abs(x).max(range(axes, x.ndim), initial=0) for x in leaves(tree)]
    s = easing(functools.reduce(jnp.maximum, largest, jnp.float32(0)))
    return map(lambda x: over(s, x).astype(x.dtype) * x, tree), s


def easing(largest: jax.Array) -> jax.Array:
    """By what to multiply entries of at most `largest` before they are squared in float32."""
    return jnp.where(largest > LARGE, jnp.float32(SMALL), jnp.float32(1))


def path_of(path: tuple[Any, ...]) -> str:
    """Return a leaf's path as it stands in `roles`, e.g. "layers/0/kernel".

    Names and positions are joined by slashes.
    """
    return jax.tree_util.keystr(path, simple=True, separator="/")


def join(first: Tree, *others: Tree) -> Any:
    """Join trees that have None in each other's places."""
    for other in others:
        first = map(lambda a, b: b if a is None else a, first, other, is_leaf=lambda x: x is None)
    return first
