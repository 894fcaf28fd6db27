"""Nodes in blocks: what node code keeps in memory does not grow with n.

A block is as many nodes as keep what one node holds, times the block, within a budget. In training
a node holds the residuals of its loss: what the forward pass keeps for the backward pass. The
budgets are fixed numbers for each kind of device and not shares of a machine's memory, so that
equal devices do the same arithmetic whatever else they hold.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core import tree
from ..core.byte_sizes import array_bytes
from ..core.types import Place, Tree
from ..errors import NULL, bad
from ..xla.traced import inner_programs

Block = int | str | None  # nodes at a time; "auto": chosen by a budget; None: all at once

# Bytes of a block on (CPU, accelerator). A CPU is fastest where an evaluation's block lies in the
# cache (4 models x 4,000 examples x 64 units: the best of 1, 4, 16, 64 models). In training blocks
# bound memory; few are faster than all nodes at once: docs/performance-log.md.
TRAINING = (32 * 2**20, 2**30)
EVALUATION = (8 * 2**20, 2**30)
MODELS = 4  # models of a node: where its work takes fewer bytes, all nodes train at once
ALONE = 2 * 2**20  # bytes of one node from which a CPU trains one node at a time, whose images then stay in its cache
# Bytes of a gradient's program by bytes of its residuals, measured:
# docs/decisions/memory-is-read-not-imitated.md
PER_RESIDUAL = 0.94


def budget(which: tuple[int, int]) -> int:
    """The budget for the device that JAX computes on."""
    return which[jax.default_backend() != "cpu"]


def block_map(fn: Callable[..., Any], n: int, block: int | None, place: Place | None = None) -> Callable[..., Any]:
    """vmap of `fn` over n nodes, `block` of them at a time, one block after another.

    Args:
      fn: per-node function of trees without node axis.
      n: number of nodes, >= 1. block: nodes at a time, >= 1; None, or n and more, is one plain
        vmap. A last, smaller block is right.
      place: of a problem on a mesh (`dejax.devices.placement`): every device takes `block` of its
        own rows at a time, and no row moves.
    Returns:
      A function of trees [n, ...] to trees [n, ...]; same numbers as `jax.vmap(fn)` up to rounding.
    Example:
      >>> block_map(lambda x: 2 * x, 5, 2)(jnp.arange(5.0)).tolist()
      [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if place is not None:
        return place.on_devices(block_map(fn, place.rows(n), block))
    if block is None or block >= n:
        return jax.vmap(fn)
    return lambda *trees: lax.map(lambda row: fn(*row), trees, batch_size=None if block == 1 else block)


def residual_bytes(loss: Callable[..., Any], *trees: Tree) -> int:
    """Return the bytes that one node's backward pass of `loss` reads from its forward pass.

    They are found by tracing.

    Args:
      loss: per-node function of trees without node axis; differentiated by the first.
      trees: [n, ...] each, or shapes.
    """
    params, *rest = _one_row(trees)
    pullback = jax.eval_shape(lambda params, *rest: jax.vjp(lambda p: loss(p, *rest), params)[1], params, *rest)
    return sum(map(array_bytes, tree.leaves(pullback)))


def evaluation_bytes(fn: Callable[..., Any], *trees: Tree) -> int:
    """Return the bytes that `fn` of one node's part of `trees` [n, ...] is taken to hold.

    That is twice its largest array, for an operand and a result.
    """
    return 2 * _largest_array(jax.make_jaxpr(fn)(*_one_row(trees)).jaxpr)


def _one_row(trees: Tree) -> Any:
    return tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), trees)


def _largest_array(jaxpr: Any) -> int:
    """Return the bytes of the largest array that a traced program makes.

    In its calls, loops and branches too.
    """
    made = (array_bytes(v.aval) for eqn in jaxpr.eqns for v in eqn.outvars)
    inner = (_largest_array(program) for eqn in jaxpr.eqns for program in inner_programs(eqn))
    return max((0, *made, *inner))  # a program that hands on what it got makes none


def training_block(loss: Callable[..., Any], trees: tuple[Any, ...], rows: int) -> int | None:
    """Choose how many of `rows` nodes to train at a time.

    As many as TRAINING holds, one where a node is large (ALONE), or all (None). All, too, where a
    node's work takes less than `MODELS` of its models (the first of `trees`): models grow with n in
    any case, and all nodes at once let the compiler fuse the update with the gradient
    (docs/performance-log.md).
    """
    each = int(PER_RESIDUAL * residual_bytes(loss, *trees))
    model = sum(array_bytes(x) // max(1, x.shape[0]) for x in tree.leaves(trees[0]))
    if each < MODELS * model:
        return None
    return 1 if each >= ALONE and jax.default_backend() == "cpu" else choose_block(each, rows, budget(TRAINING))


def map_nodes(fn: Callable[[Any], Any], args: Tree, block: Block = "auto", place: Place | None = None) -> Any:
    """Apply fn to every node's rows of `args` (leaves [m, ...]), and stack the results.

    `block` nodes at a time ("auto": by EVALUATION). On a mesh (`place`) every device takes rows of
    its own.
    """
    count = tree.leaves(args)[0].shape[0]
    own = count if place is None else place.rows(count)
    return block_map(fn, count, _evaluated(fn, args, own, block), place)(args)


def sum_nodes(fn: Callable[[Any], Any], args: Tree, block: Block = "auto", place: Place | None = None) -> Any:
    """Sum fn's trees over nodes, never holding more than a block of them.

    On a mesh (`place`) every device adds up its part.
    """
    count = tree.leaves(args)[0].shape[0]
    if place is not None and count >= place.devices:
        even, args = count - count % place.devices, place.replicate(args)  # see `Place.on_devices`
        part = place.on_devices(lambda rows: tree.map(lambda x: x[None], sum_nodes(fn, rows, block)))
        total = tree.map(lambda x: x.sum(0, dtype=x.dtype), part(tree.map(lambda x: x[:even], args)))
        return total if even == count else tree.add(total, sum_nodes(fn, tree.map(lambda x: x[even:], args), block))
    block = min(_evaluated(fn, args, count, block) or count, count)
    total = tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(fn, tree.map(lambda x: x[0], args)))
    whole = count // block * block

    def add(total: Any, rows: Tree) -> tuple[Any, None]:
        return tree.map(lambda t, v: t + v.sum(0, dtype=t.dtype), total, jax.vmap(fn)(rows)), None

    blocks = tree.map(lambda x: x[:whole].reshape(count // block, block, *x.shape[1:]), args)
    total, _ = lax.scan(add, total, blocks)
    return total if whole == count else add(total, tree.map(lambda x: x[whole:], args))[0]


def _evaluated(fn: Callable[[Any], Any], args: Tree, count: int, block: Block) -> int | None:
    if block != "auto":
        return BLOCK("block", block)
    return choose_block(evaluation_bytes(fn, args), count, budget(EVALUATION))


@dataclasses.dataclass(frozen=True)
class _Block:
    """How many nodes at a time: a number, "auto", or None for all at once."""

    want: str = "a number of nodes >= 1, 'auto' to have it chosen, or " + NULL + " for all at once"

    def __call__(self, field: str, value: Tree, leaf: bool = False) -> Any:
        """The block."""
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if value is None or value == "auto" or whole:
            return value
        raise bad(field, value, instead="give " + self.want)


BLOCK = _Block()


def choose_block(each: int, n: int, memory: int) -> int | None:
    """Choose how many nodes to compute at a time, so that they hold at most `memory` bytes.

    None when all of them fit.

    Args:
      each: bytes that one node holds. n: nodes, >= 1. memory: bytes for all that are computed at a
        time.
    Returns:
      A number of nodes >= 1: the largest divisor of n that fits, where one is not much smaller than
      what fits (no block is then left over), else as many as fit.
    Example:
      >>> choose_block(each=1000, n=1024, memory=300_000)
      256
    """
    fits = max(1, memory // max(1, each))
    if fits >= n:
        return None
    return next((b for b in range(fits, fits // 2, -1) if n % b == 0), fits)


__all__ = [
    "BLOCK",
    "EVALUATION",
    "TRAINING",
    "Block",
    "block_map",
    "budget",
    "choose_block",
    "evaluation_bytes",
    "map_nodes",
    "residual_bytes",
    "sum_nodes",
    "training_block",
]
