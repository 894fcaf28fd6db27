"""Parts of models: means over those who hold an entry, in messages of what they hold."""

from typing import Any

import jax
import jax.numpy as jnp

from ..compression.encoding import Size
from ..core import tree
from ..core.types import Round, Tree
from . import channel


def gossip(round: Round, name: str, value: Tree, mask: Tree, weights: Any, mask_bits: int) -> Any:
    """See `Round.gossip`: sum_j W_ij M_j x_j / sum_j W_ij M_j, and x_i where the sum is 0."""
    mask, held, size = _held(value, mask, mask_bits)
    got = channel.exchange(round, name, held, None, size=size)
    got.sent = _only(mask, got.sent)
    if weights is None:
        over, under = got.combine(), got.holders(_as_numbers(mask, held))
    else:
        over, under = got.average(*weights), got.holders(_as_numbers(mask, held), *weights)
    return tree.map(lambda x, a, b: jnp.where(b > 0, a / jnp.where(b > 0, b, 1), x), value, over, under)


def average(round: Round, name: str, value: Tree, mask: Tree, weights: Any, mask_bits: int) -> Any:
    """See `Round.average`: the mean over the owners of each entry, 0 where there is none."""
    mask, held, size = _held(value, mask, mask_bits)
    got = channel.uploads(round, name, held, weights, size)
    got.sent = _only(mask, got.sent)
    over, under = got.combine(), got.holders(_as_numbers(mask, held))
    return tree.map(lambda a, b: jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)[0], over, under)


def _held(value: Tree, mask: Tree, mask_bits: int) -> tuple[Tree, Tree, Size]:
    """The mask in the shape of the value, the value under it, and each message's size in bytes."""
    mask = tree.map(lambda x, m: jnp.broadcast_to(m, x.shape), value, mask)
    rows = lambda x, m: m.reshape(m.shape[0], -1).sum(1, dtype=jnp.int32) * x.dtype.itemsize
    units = tree.add(*map(rows, tree.leaves(value), tree.leaves(mask)))
    return mask, _only(mask, value), Size(8, units + -(-mask_bits // 8))


def _only(mask: Tree, value: Tree) -> Tree:
    return tree.map(lambda m, x: jnp.where(m, x, jnp.zeros((), x.dtype)), mask, value)


def _as_numbers(mask: Tree, value: Tree) -> Tree:
    return tree.map(lambda m, x: m.astype(jax.dtypes.canonicalize_dtype(x.dtype)), mask, value)


__all__ = ["average", "gossip"]
