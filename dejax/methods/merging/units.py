"""Hidden units of a model: their axes of leaves, and models with units in another order.

A group of units is a tuple of (path of a leaf, axis): along all of them one permutation leaves what
the model computes as it is. The input and the output of a model are no group. Axes count within one
model, [...] without node axis. An axis of m times as many entries as the group has units holds them
m times over, units fastest, as where a convolution's output is flattened.
"""

import re
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.tree import path_of
from ...core.types import Tree, Values
from ...errors import NULL, bad

Group = tuple[tuple[str, int], ...]
Units = tuple[Group, ...]
WANT = "give groups of (path, axis), e.g. [[['layer0/kernel', 1], ['layer0/bias', 0], ['layer1/kernel', 0]]]"


class UnitsCheck:
    """Check groups of (path, axis), as tuples; None leaves them to `chain`."""

    want = WANT + ", or " + NULL + " for a chain of dense layers"

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Units | None:
        """The groups as tuples."""
        if value is None:
            return None
        try:
            groups = tuple(tuple((path.strip("/"), axis) for path, axis in group) for group in value)
            if all(type(axis) is int and axis >= 0 for group in groups for _, axis in group) and all(groups):
                return groups
        except (TypeError, ValueError, AttributeError):
            pass
        raise bad(field, value, instead=self.want)


def units_of(owner: Any, params: Tree) -> Units:
    """The groups of a method for models [n, ...]: its own, checked, or those of a chain.

    Raises:
      ValueError: a path or axis that the model has not, axes of a group that differ in size, one
        leaf twice in a group; no chain of dense layers where the method gives no groups.
    """
    shapes = {path: leaf.shape[1:] for path, leaf in _named(params)}
    groups = _chain(owner, shapes) if owner.units is None else owner.units
    for group in groups:
        paths = [path for path, _ in group]
        for path, axis in group:
            if path not in shapes or axis >= len(shapes[path]):
                found = ", ".join(f"{p} {list(s)}" for p, s in shapes.items())
                raise bad("units", group, owner=owner, why=f"but the model has {found}", instead=WANT)
        sizes = [shapes[path][axis] for path, axis in group]
        if len(set(paths)) < len(paths) or any(size % min(sizes) for size in sizes):
            why = f"whose axes have {sizes} entries" if len(set(paths)) == len(paths) else "which names a leaf twice"
            raise bad("units", group, owner=owner, why=why, instead="give one axis per leaf, all of one size")
    return groups


def _chain(owner: Any, shapes: dict[str, tuple[int, ...]]) -> Units:
    """The hidden units of dense layers in the order of names: kernels [in, out], biases [out]."""
    layers: dict[str, list[tuple[str, int]]] = {}
    kernels = sorted((p for p, s in shapes.items() if len(s) == 2), key=_order)
    for path in kernels:
        layers[path.rpartition("/")[0]] = [(path, 1)]
    for path, shape in shapes.items():
        folder, layer = path.rpartition("/")[0], layers.get(path.rpartition("/")[0])
        if layer is not None and len(shape) == 1 and shape[0] == shapes[layer[0][0]][1]:
            layers[folder].append((path, 0))
    steps = list(zip(kernels, kernels[1:], strict=False))
    fits = len(layers) == len(kernels) and all(shapes[a][1] == shapes[b][0] for a, b in steps)
    if not fits or (steps and len(shapes) != sum(map(len, layers.values()))):
        why = f"but {', '.join(shapes)} are no chain of dense layers, whose hidden units would be known"
        raise bad("units", None, owner=owner, says="is " + NULL, why=why, instead=WANT)
    return tuple((*layers[a.rpartition("/")[0]], (b, 0)) for a, b in steps)


def _order(path: str) -> Iterable[Any]:
    """Names with their numbers as numbers: layer10 after layer9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _named(params: Tree) -> list[tuple[str, Any]]:
    return [(path_of(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]


def width(group: Group, params: Tree) -> int:
    """How many units a group has in one model."""
    leaves = dict(_named(params))
    return min(leaves[path].shape[axis] for path, axis in group)


def reordered(params: Tree, group: Group, order: jax.Array) -> Any:
    """One model whose unit a of a group is its unit order[a]; order int32 [w]."""
    axes, w = dict(group), order.shape[0]

    def leaf(path: Any, x: jax.Array) -> jax.Array:
        axis = axes.get(path_of(path))
        if axis is None:
            return x
        m = x.shape[axis] // w
        return jnp.take(x, (jnp.arange(m, dtype=order.dtype)[:, None] * w + order[None]).reshape(-1), axis)

    return jax.tree_util.tree_map_with_path(leaf, params)


def rows(params: Tree, group: Group) -> list[jax.Array]:
    """What belongs to each unit, [w, ...] of every leaf of a group, in at least float32."""
    leaves, w = dict(_named(params)), width(group, params)

    def one(path: str, axis: int) -> jax.Array:
        x = jnp.moveaxis(leaves[path], axis, 0)
        x = jnp.moveaxis(x.reshape(-1, w, *x.shape[1:]), 1, 0).reshape(w, -1)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    return [one(path, axis) for path, axis in group]


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """[w, w]: products of the rows of a and b [w, d]."""
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def blank(params: Tree, groups: Units) -> list[jax.Array]:
    """The orders of all groups that change nothing."""
    return [jnp.arange(width(group, params), dtype=jnp.int32) for group in groups]


def merged(got: Tree, bring: Any) -> Any:
    """The mean under W of the own model and of `bring(model of port s, s)`, in the own order."""

    def add(total: Any, value: Any, weight: jax.Array, mask: jax.Array, s: int | Values) -> Any:
        weight = jnp.where(mask, weight, 0)
        return tree.add(total, tree.where(weight != 0, tree.scale(weight, bring(value, s)), tree.zeros(total)))

    return got.fold(add, tree.scale(got.self_weights, got.own))


WHY = "models are brought into the receiver's order before they are added; use local_sgd"

__all__ = [
    "WHY",
    "Group",
    "Units",
    "UnitsCheck",
    "blank",
    "merged",
    "product",
    "reordered",
    "rows",
    "units_of",
    "width",
]
