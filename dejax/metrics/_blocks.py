"""Nodes in blocks: what a metric keeps in memory does not grow with n.

Evaluating 1,024 small networks on 4,000 examples is 22 GFLOP; all at once it would also write gigabytes of activations.
On a CPU a block is sized so that the largest intermediate stays near the cache; on accelerators so that they are busy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _tree as tree

CPU_BYTES = 4 * 2**20  # measured: 4 models x 4,000 examples x 64 units is the fastest of 1, 4, 16, 64 models
DEVICE_BYTES = 2**30


def map_nodes(fn: Callable[[Any], Any], args: Any, block: int | None = None) -> Any:
    """fn of every node's rows of `args` (leaves [m, ...]), stacked; `block` nodes at a time (None: chosen by memory)."""
    count = tree.leaves(args)[0].shape[0]
    block = min(block_size(fn, args) if block is None else block, count)
    if block < 1:
        raise ValueError(f"block is {block}; give a number of nodes >= 1, or None to have it chosen")
    if block == count:
        return jax.vmap(fn)(args)
    return jax.lax.map(fn, args) if block == 1 else jax.lax.map(fn, args, batch_size=block)


def sum_nodes(fn: Callable[[Any], Any], args: Any, block: int | None = None) -> Any:
    """Sum over nodes of fn's trees, never holding more than a block of them."""
    count = tree.leaves(args)[0].shape[0]
    block = min(block_size(fn, args) if block is None else block, count)
    total = tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(fn, tree.map(lambda x: x[0], args)))
    whole = count // block * block

    def add(total: Any, rows: Any) -> tuple[Any, None]:
        return tree.map(lambda t, v: t + v.sum(0, dtype=t.dtype), total, jax.vmap(fn)(rows)), None

    blocks = tree.map(lambda x: x[:whole].reshape(count // block, block, *x.shape[1:]), args)
    total, _ = jax.lax.scan(add, total, blocks)
    return total if whole == count else add(total, tree.map(lambda x: x[whole:], args))[0]


def block_size(fn: Callable[[Any], Any], args: Any) -> int:
    """How many nodes at a time: as many as keep fn's largest intermediate within the memory set above."""
    budget = CPU_BYTES if jax.default_backend() == "cpu" else DEVICE_BYTES
    largest = _largest(jax.make_jaxpr(fn)(tree.map(lambda x: x[0], args)).jaxpr)
    return max(1, budget // max(largest, 1))


def _largest(jaxpr: Any) -> int:
    """Bytes of the largest array that a program makes, inner programs included."""
    best = 0
    for eqn in jaxpr.eqns:
        for var in eqn.outvars:
            shape = getattr(var.aval, "shape", ())
            best = max(best, int(np.prod(shape, dtype=np.int64)) * 4)
        for value in eqn.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    best = max(best, _largest(inner))
    return best


__all__ = ["block_size", "map_nodes", "sum_nodes"]
