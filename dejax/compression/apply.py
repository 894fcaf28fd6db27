"""A compressor applied to a tree of node values, and the size of the message."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_in, fold_name
from ..core.types import Context, Keys, NodeTree, Tree
from ..errors import bad
from .encoding import Compressor, Size


def accumulator(value: NodeTree) -> NodeTree:
    """Make a tree of zeros like `value`, in at least float32.

    In lower precision, copies that add up many increments would drift apart.
    """
    return tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)), value)


def compress(compressor: Compressor, ctx: Context, value: NodeTree) -> tuple[NodeTree, Size]:
    """Compress the value of every node.

    Where `ctx.held` marks the entries that each node holds, these alone are compressed and counted, in
    whole bytes; the others become 0.

    Returns:
      (C(value) as receivers rebuild it, the size of a message). On a mesh each device compresses
      its own rows.
    """
    apply = compressor.apply if ctx.held is None else lambda *row: _held(compressor, *row)

    def rows(keys: Keys, *trees: NodeTree) -> tuple[NodeTree, Any]:
        value, *_ = trees
        if compressor.scope == "global":
            out, units = apply(keys, *map(tree.flat, trees))
            return tree.unflat(out, value), units
        outs, all_units = [], []
        for i, leaves in enumerate(zip(*map(tree.leaves, trees), strict=True)):
            out, units = apply(fold_in(keys, i), *[leaf.reshape(leaf.shape[0], -1) for leaf in leaves])
            outs.append(out.reshape(leaves[0].shape))
            all_units.append(units)
        units = None if None in all_units else sum(all_units)
        return jax.tree.unflatten(jax.tree.structure(value), outs), units

    split = rows if ctx.place is None else ctx.place.on_devices(rows)
    keys = fold_name(ctx.node_keys, "compressor")
    if ctx.held is None:
        decoded, units = split(keys, value)
        return decoded, Size(message_bits(compressor, value), units)
    decoded, count = split(keys, only(ctx.held, value), ctx.held)
    return decoded, Size(8, count)


def only(mask: NodeTree, value: NodeTree) -> Any:
    """The entries of a value that a mask marks, and 0 elsewhere, whatever stands there."""
    return tree.map(lambda m, x: jnp.where(m, x, jnp.zeros((), x.dtype)), mask, value)


def takes_masks(compressor: Compressor) -> bool:
    """Whether a compressor can act on some entries of each row alone."""
    return compressor.lossless or callable(getattr(compressor, "held", None))


def _held(compressor: Any, keys: Keys, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(C(x) of the marked entries of rows [n, d], bytes int32 [n])."""
    if compressor.lossless:
        return x, mask.sum(1, dtype=jnp.int32) * x.dtype.itemsize
    return compressor.held(keys, x, mask)


def message_bits(compressor: Compressor, value: NodeTree, least: int = 0) -> int:
    """Count the bits of one node's message.

    These are values at the width of their type (`least` bits or more), and all that decoding needs.
    """
    return sum(compressor.bits(d, max(width, least)) for d, width in _parts(compressor, value))


def check_message(compressor: Compressor, value: NodeTree) -> None:
    """Raise ValueError when the compressor cannot act on messages like `value` [n, ...]."""
    for d, _ in _parts(compressor, value):
        compressor.check(d)


def check_contractive(owner: Any, value: NodeTree) -> None:
    """Check as `check_message`, and refuse a compressor that is not contractive.

    Raises:
      ValueError: its error can exceed what it compresses.
    """
    check_message(owner.compressor, value)
    for d, _ in _parts(owner.compressor, value):
        if owner.compressor.delta(d) <= 0:
            name = type(owner.compressor).__name__
            raise bad(
                "compressor",
                name,
                owner=owner,
                why=f"whose error exceeds the value at d = {d} (omega = {owner.compressor.omega(d):.3g}), so that the memory diverges",
                instead="give a contractive one: top_k, rand_k or qsgd, or an unbiased one with omega < 1",
            )


def least_delta(compressor: Compressor, model: Tree) -> float:
    """The least delta of what is compressed on its own; the leaves of `model` have no node axis."""
    value = tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), model)
    return min(compressor.delta(d) for d, _ in _parts(compressor, value))


def _parts(compressor: Compressor, value: NodeTree) -> list[tuple[int, int]]:
    """(numbers, bits of a number) of everything that is compressed on its own."""
    leaves = tree.leaves(value)
    if compressor.scope == "leaf":
        return [(math.prod(x.shape[1:]), x.dtype.itemsize * 8) for x in leaves]
    dtype = jnp.result_type(*[x.dtype for x in leaves])
    return [(tree.size(value), dtype.itemsize * 8)]
