"""A matrix product as a primitive of its own, with a fast form under a node axis.

Three forms, closed under differentiation (a product is linear in either operand):

    nn   a [m, k]  b [k, c]  a b          the layer itself
    tn   a [k, m]  b [k, c]  a^T b        gradient of the weights: k is the batch
    nt   a [m, k]  b [c, k]  a b^T        gradient of the input

When both operands have a node axis (each node has weights of its own) a CPU is handed thousands of
small products, on which matrix libraries spend more time on calls and layouts than on arithmetic.
There, products with a short contracted axis are written out as a sum of k outer terms in one
elementwise loop: XLA vectorizes it and fuses it with what comes before and after (bias, ReLU, the
SGD update), so that the weight gradient is never written to memory. Measured for 1,024 nodes:
weight gradient of 64 x 16 x 32 and its update 0.8 ms instead of 2.9, of 32 x 16 x 10 0.3 ms instead
of 1.4 (docs/performance-log.md). Some long ones go in pieces (`_pieces_pay`), the others to the
library. Other back ends get one batched product.

Whether there is a node axis is read off the operands (3 axes instead of 2), never said beside them,
so that the two cannot disagree.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..core.types import Precision, Tree, Values
from ..xla.cpu_flags import narrow, release
from ..xla.materialize import materialize

matmul_p = Primitive("dejax_matmul")
CONTRACT = {"nn": (1, 0), "tn": (0, 0), "nt": (1, 1)}
APART = ("nn", "nt")
PARTS = 4  # partial sums: a chain of fused multiply-adds as long as k would wait for itself
LONGEST = 64  # contracted axis that is written out; beyond it programs grow, and a library wins but for `_in_pieces`
CACHE = 32 * 2**10  # bytes of b that every row of a reads again: they should stay in the first-level cache
PIECE = 16  # terms in a loop where there are too many for one: their factors fit the registers (12 take three times as long, 28 longer)


def matmul(
    form: str, a: jax.Array, b: jax.Array, precision: Precision = None, apart: tuple[str, ...] = APART
) -> jax.Array:
    """Multiply two matrices in one of the forms above.

    Both have one floating dtype, which the result keeps.

    `apart`: those forms, of this product and of the ones in its derivatives, whose results are
    written to memory before they are read. A layer's output is read twice, by the activation and by
    its derivative, and a loop that reads it often would compute it
    as often: leave a form out only where what reads the result is itself written to memory.
    """
    return matmul_p.bind(a, b, form=form, precision=precision, apart=apart)


def _library(a: Values, b: Values, *, form: str, precision: Precision, apart: tuple[str, ...] = ()) -> Any:
    """`lax.dot_general`, with the node axis, if there is one, as its batch axis."""
    del apart
    nodes = a.ndim - 2
    i, j = CONTRACT[form]
    numbers = (((i + nodes,), (j + nodes,)), (((0,), (0,)) if nodes else ((), ())))
    return lax.dot_general(a, b, numbers, precision, a.dtype)


def _accelerator(a: Values, b: Values, *, form: str, precision: Precision, apart: tuple[str, ...] = ()) -> Any:
    """Compute one batched product; a bias and its gradient become loops instead.

    Such loops fuse with what surrounds them; products of one column would not.
    """
    i, j = (axis - 2 for axis in CONTRACT[form])
    if a.shape[i] == 1:  # one outer term
        return (a if i == -1 else a.mT) * (b if j == -2 else b.mT)
    if form == "tn" and a.shape[-1] == 1:  # a weighted sum of rows
        return jnp.sum(a * b, -2, keepdims=True, dtype=a.dtype)
    return _library(a, b, form=form, precision=precision, apart=apart)


def _written_out(a: Values, b: Values, form: str) -> Any:
    """Both [n, ...]: a sum of outer terms over the contracted axis, forms nn and tn."""
    if form == "nn":
        return _sum([a[:, :, i, None] * b[:, None, i, :] for i in range(a.shape[2])])
    return _sum([a[:, i, :, None] * b[:, None, i, :] for i in range(a.shape[1])])


def _sum(terms: list[Any]) -> Any:
    parts = [sum(terms[j + PARTS :: PARTS], terms[j]) for j in range(min(PARTS, len(terms)))]
    return sum(parts[1:], parts[0])


def _pieces_pay(a: Values, b: Values) -> bool:
    """Return whether `_in_pieces` was measured to help.

    It did under jax 0.10 on a processor with vectors of 256 bits (a Zen 3), with few rows of a, and
    a b that is long, neither narrow nor wide, and too large for the second-level cache. Elsewhere
    some products take two to eight times as long.
    """
    rows, (_, k, c) = a.shape[1], b.shape
    shape = 4 <= rows <= 16 and 4 * PIECE <= k < 1024 and 64 <= c <= 256 and b.size * b.dtype.itemsize > 4 * 2**20
    return shape and narrow() and release() == (0, 10)


def _in_pieces(a: Values, b: Values) -> Any:
    """Compute form nn of [n, m, k] and [n, k, c], `PIECE` terms of all nodes at a time.

    Each piece is read in place, as a slice of its own.
    """
    k = a.shape[2]
    first = k % PIECE or PIECE
    start = _written_out(a[:, :, :first], b[:, :first], "nn")

    def piece(i: jax.Array, out: jax.Array) -> jax.Array:
        at = lambda x, axis, j: lax.dynamic_slice_in_dim(
            x, first + i * PIECE + j, 1, axis, allow_negative_indices=False
        )
        return out + _sum([at(a, 2, j) * at(b, 1, j) for j in range(PIECE)])

    return lax.fori_loop(0, (k - first) // PIECE, piece, start)


def _cpu(a: Values, b: Values, *, form: str, precision: Precision, apart: tuple[str, ...]) -> Any:
    if a.ndim == 3 and a.dtype in (jnp.float32, jnp.float64) and a.size and b.size:
        k, c = b.shape[:0:-1] if form == "nt" else b.shape[1:]
        # a long contraction pays only while few columns leave room for the sums in registers
        small = k <= LONGEST and c <= LONGEST and k * c * a.dtype.itemsize <= CACHE
        if small or (k <= LONGEST // 2 and form != "nt"):
            if form == "nt":  # by a copy of b, whose columns then follow one another
                out = _written_out(a, materialize(jnp.swapaxes(b, 1, 2)), "nn")
            else:
                out = _written_out(a, b, form)
            return materialize(out) if form in apart else out
        if form == "nn" and _pieces_pay(a, b):
            return _in_pieces(a, b)
    return _library(a, b, form=form, precision=precision)


def _abstract(a: Tree, b: Tree, *, form: str, precision: Precision, apart: tuple[str, ...]) -> Any:
    del precision, apart
    i, j = CONTRACT[form]
    nodes = a.ndim - 2
    if (
        nodes not in (0, 1)
        or b.ndim != a.ndim
        or (*a.shape[:nodes], a.shape[nodes + i]) != (*b.shape[:nodes], b.shape[nodes + j])
    ):
        raise TypeError(
            f"product {form} of shapes {a.shape} and {b.shape}: two matrices, or two stacks of as many, that fit"
        )
    return ShapedArray((*a.shape[:nodes], a.shape[nodes + 1 - i], b.shape[nodes + 1 - j]), a.dtype)


def _transpose_a(ct: Values, a: Values, b: Values, *, form: str, **params: Any) -> Any:
    del a
    bind = functools.partial(matmul_p.bind, **params)
    return {
        "nn": lambda: bind(ct, b, form="nt"),
        "tn": lambda: bind(b, ct, form="nt"),
        "nt": lambda: bind(ct, b, form="nn"),
    }[form]()


def _transpose_b(ct: Values, a: Values, b: Values, *, form: str, **params: Any) -> Any:
    del b
    bind = functools.partial(matmul_p.bind, **params)
    return {
        "nn": lambda: bind(a, ct, form="tn"),
        "tn": lambda: bind(a, ct, form="nn"),
        "nt": lambda: bind(ct, a, form="tn"),
    }[form]()


def _batch(args: Tree, dims: Tree, *, form: str, precision: Precision, apart: tuple[str, ...]) -> tuple[Any, int]:
    (a, b), (i, j) = args, dims
    bind = functools.partial(matmul_p.bind, form=form, precision=precision, apart=apart)
    size = a.shape[i] if i is not None else b.shape[j]
    nodes = a.ndim - (i is not None) == 3  # beside the axis that is new here
    few = i is None and a.size <= LONGEST  # a column of ones, say: every node is handed it
    if not nodes and (i is None or j is None) and not few:
        if form == "nn" and i is not None:  # one weight for all: the nodes' rows are rows of one product
            rows = jnp.moveaxis(a, i, 0)
            out = bind(lax.collapse(rows, 0, 2), b)
            return out.reshape(*rows.shape[:2], out.shape[1]), 0
        plain = functools.partial(_library, form=form, precision=precision)
        return jax.vmap(plain, (i, j))(a, b), 0
    a, b = (
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in ((a, i), (b, j))
    )  # fmt: skip
    if not nodes:
        return bind(a, b), 0
    out = bind(lax.collapse(a, 0, 2), lax.collapse(b, 0, 2))  # a second node axis (runs x nodes) joins the first
    return out.reshape(*a.shape[:2], *out.shape[1:]), 0


matmul_p.def_impl(_library)
matmul_p.def_abstract_eval(_abstract)
ad.defbilinear(matmul_p, _transpose_a, _transpose_b)
batching.primitive_batchers[matmul_p] = _batch
mlir.register_lowering(matmul_p, mlir.lower_fun(_cpu, multiple_results=False), platform="cpu")
mlir.register_lowering(matmul_p, mlir.lower_fun(_accelerator, multiple_results=False))
