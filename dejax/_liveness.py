"""How many bytes a traced program holds at its peak, estimated without compiling it.

The operations are walked in order. A value takes memory from the operation that makes it to the last one that reads it, and
arithmetic takes over the buffer of an operand that dies there. What XLA fuses takes none: the result of arithmetic that is read by
arithmetic and sums alone, and cheap views of other values. A loop holds one body at a time, and its stacked results whole.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

VIEWS = frozenset(
    [
        "reshape",
        "squeeze",
        "expand_dims",
        "copy",
        "stop_gradient",
        "optimization_barrier",
        "random_wrap",
        "random_unwrap",
    ]
)
SUMS = frozenset(
    ["reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "reduce_prod", "argmax", "argmin"]
)
# not written twice, for two readers
DEAR = frozenset(
    ["exp", "log", "log1p", "tanh", "logistic", "erf", "erf_inv", "pow", "rsqrt", "sqrt", "sin", "cos", "stack"]
)
# not point by point, so that the result cannot be written over what it reads
MOVES = SUMS | frozenset(
    ["gather", "slice", "dynamic_slice", "concatenate", "stack", "pad", "rev", "transpose", "broadcast_in_dim"]
)
# may be written over an operand
PLACED = frozenset(["scatter", "scatter-add", "scatter_add", "dynamic_update_slice", "while", "scan"])
# reads and makes whole arrays
SOLID = PLACED | frozenset(
    [
        "dot_general",
        "dejax_matmul",
        "dejax_conv",
        "conv_general_dilated",
        "sort",
        "top_k",
        "cond",
        "cumsum",
        "reduce_window",
        "reduce_window_max",
        "reduce_window_sum",
        "random_bits",
        "threefry2x32",
        "select_and_scatter_add",
        "custom_call",
        "ffi_call",
        "fft",
        "cholesky",
        "lu",
        "qr",
        "shard_map",
        "custom_vmap_call",
    ]
)
READERS = 8  # into more of them XLA does not fuse a value
LONGEST = 64  # operations that XLA writes twice to fuse them into two readers

# primitives of our own: name -> (parameters -> the function that it stands for on the device JAX computes on)
written_out: dict[str, Callable[..., Callable[..., Any]]] = {}


class Peak(NamedTuple):
    """Bytes at the peak, and how many of them are inside the loop (or branch) that makes it: those of one turn of it."""

    bytes: int
    inside: int


@dataclasses.dataclass(frozen=True)
class _Op:
    """One operation: its name, the values it reads and makes (numbers), their bytes, and what it holds beside them."""

    name: str
    reads: tuple[int, ...]
    makes: tuple[tuple[int, int], ...]
    inside: int = 0
    reuse: int | None = None  # most bytes of dying operands that it may write into; None: all of them


def size(x: Any) -> int:
    """Bytes of an array, a shape or an abstract value; 0 for what has no shape."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return 0
    key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return math.prod(x.shape) * (8 if key else np.dtype(x.dtype).itemsize)


def largest(jaxpr: Any) -> int:
    """Bytes of the largest array that a traced program makes, in loops and branches too."""
    most, todo, seen = 0, [_bare(jaxpr)], set()
    while todo:
        for eqn in todo.pop().eqns:
            most = max(most, *(size(v.aval) for v in eqn.outvars), 0)
            inner = [_bare(x) for p in eqn.params.values() for x in (p if isinstance(p, tuple) else (p,))]
            new = [j for j in inner if hasattr(j, "eqns") and id(j) not in seen]
            seen.update(map(id, new))
            todo.extend(new)
    return most


def peak(jaxpr: Any, donated: Sequence[bool] | None = None) -> int:
    """Bytes that a program holds at its peak beside its inputs, results included; see `parts`."""
    return parts(jaxpr, donated).bytes


def parts(jaxpr: Any, donated: Sequence[bool] | None = None) -> Peak:
    """Bytes that a program holds at its peak beside its inputs, results included, and those of one turn of a loop.

    Args:
      jaxpr: of `jax.make_jaxpr(fn)(*args)`; closed or not.
      donated: per input, whether it is a slot that a result goes back into: the first result into the first of them, and so on (the
        carry of a loop); default: none.
    """
    jaxpr = _bare(jaxpr)
    fresh = itertools.count()
    values: dict[Any, int] = {v: next(fresh) for v in (*jaxpr.constvars, *jaxpr.invars)}
    ops = list(_flat(jaxpr, values, fresh))
    results = {values[v] for v in jaxpr.outvars if not isinstance(v, Literal)}
    given = [values[v] for v, d in zip(jaxpr.invars, donated or (), strict=False) if d]
    slots = {values[v]: g for v, g in zip(jaxpr.outvars, given, strict=False) if not isinstance(v, Literal)}
    kept = {values[v] for v in (*jaxpr.constvars, *jaxpr.invars)}
    return _walk(ops, results, slots, kept)


def _flat(jaxpr: Any, values: dict[Any, int], fresh: Iterator[int]) -> Iterator[_Op]:
    """The operations of a program, calls of other programs written out, views taken for what they look at."""
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        reads = [None if isinstance(v, Literal) else values[v] for v in eqn.invars]
        inner = _program(eqn)
        if name in VIEWS and len(reads) == len(eqn.outvars) and None not in reads:
            values.update(zip(eqn.outvars, (r for r in reads if r is not None), strict=True))
        elif inner is not None and len(inner.invars) == len(reads):
            own = {v: next(fresh) if r is None else r for v, r in zip(inner.invars, reads, strict=True)}
            own |= {v: next(fresh) for v in inner.constvars}
            yield from _flat(inner, own, fresh)
            for v, w in zip(eqn.outvars, inner.outvars, strict=True):
                values[v] = next(fresh) if isinstance(w, Literal) else own[w]
        else:
            makes = {v: next(fresh) for v in eqn.outvars}
            values.update(makes)
            sizes = tuple((number, size(v.aval)) for v, number in makes.items())
            carried = sum(size(v.aval) for v in eqn.outvars[: _carry(eqn)[1]]) if name == "scan" else None
            yield _Op(name, tuple(r for r in reads if r is not None), sizes, _inside(eqn), carried)


def _program(eqn: Any) -> Any:
    """The program that a plain call calls; None for a primitive or a loop."""
    if eqn.primitive.name in written_out:
        return jax.make_jaxpr(written_out[eqn.primitive.name](**eqn.params))(*(v.aval for v in eqn.invars)).jaxpr
    if eqn.primitive.name in ("scan", "while", "cond", "shard_map", "custom_vmap_call"):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if inner is not None:
            return _bare(inner)
    return None


def _bare(jaxpr: Any) -> Any:
    """A program without the constants that it was closed over."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def _carry(eqn: Any) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    Read off the shapes, since the names of the parameters change between releases of JAX: the body sees a constant and the carry as
    they are, and a row of everything else.
    """
    body = _bare(eqn.params["jaxpr"])
    whole = lambda outer, inner: sum(v.aval.shape == w.aval.shape for v, w in zip(outer, inner, strict=True))
    carried = whole(eqn.outvars, body.outvars)
    return whole(eqn.invars, body.invars) - carried, carried


def _inside(eqn: Any) -> int:
    """What a loop or branch holds beside its operands and results."""
    p = eqn.params
    match eqn.primitive.name:
        case "scan":
            body = _bare(p["jaxpr"])
            fixed, carry = _carry(eqn)
            carried = fixed + carry
            rows = sum(size(v.aval) for v in body.invars[carried:])
            return rows + peak(body, [fixed <= i < carried for i in range(len(body.invars))])
        case "while":
            body = _bare(p["body_jaxpr"])
            return peak(body, [i >= p["body_nconsts"] for i in range(len(body.invars))])
        case "cond":
            return max(peak(b) for b in p["branches"])
        case "shard_map" | "custom_vmap_call":
            inner = p.get("jaxpr", p.get("call"))
            return 0 if inner is None else peak(inner)
    return 0


def _walk(ops: list[_Op], results: set[int], slots: dict[int, int], kept: set[int]) -> Peak:
    """The peak of what is live: `kept` inputs take nothing, and a result nothing where its slot, an input, was read for the last time."""
    readers: dict[int, list[_Op]] = {}
    for op in ops:
        for r in set(op.reads):
            readers.setdefault(r, []).append(op)

    lengths: dict[int, int] = {}  # operations behind a value that takes no memory

    def length(op: _Op) -> int:
        return 1 + sum(lengths.get(r, 0) for r in op.reads)

    def fused(op: _Op) -> bool:
        if op.name in SOLID:
            return False
        for number, _ in op.makes:
            by = readers.get(number, ())
            if number in results or any(o.name in SOLID for o in by) or len(by) > READERS:
                return False
            if len(by) > 1 and (op.name in DEAR or length(op) > LONGEST):
                return False
        return True

    base: dict[int, frozenset[int]] = {}  # what must be there for a value to be read
    moved: dict[int, frozenset[int]] = {}  # and what of that is not read point by point
    of = lambda number: base.get(number, frozenset((number,)))
    nothing: frozenset[int] = frozenset()
    needs: list[frozenset[int]] = []
    fixed: list[frozenset[int]] = []
    solid: list[bool] = []
    for op in ops:
        need = nothing.union(*(of(r) for r in op.reads))
        still = need if op.name in MOVES else nothing.union(*(moved.get(r, nothing) for r in op.reads))
        solid.append(not fused(op))
        needs.append(need)
        fixed.append(still)
        if not solid[-1]:
            base.update({number: need for number, _ in op.makes})
            moved.update({number: still for number, _ in op.makes})
            lengths.update({number: length(op) for number, _ in op.makes})
    last: dict[int, int] = {}
    for i, need in enumerate(needs):
        if solid[i]:
            last.update(dict.fromkeys(need, i))
    for number in results:
        last.update(dict.fromkeys(of(number), len(ops)))

    live: dict[int, int] = {}
    total, most = 0, Peak(0, 0)
    for i, op in enumerate(ops):
        if not solid[i]:
            continue
        over = needs[i] - fixed[i] if op.name in PLACED or op.name not in SOLID else nothing  # what it may write into
        placed = {m for m, _ in op.makes if m in slots and (last.get(slots[m], -1) < i or slots[m] in over)}
        makes = {number: 0 if number in placed else bytes for number, bytes in op.makes}
        dying = {r for r in needs[i] if last.get(r) == i and r in live}
        new, reuse = sum(makes.values()), sum(live[r] for r in dying & over)
        reuse = reuse if op.reuse is None else min(reuse, op.reuse)
        most = max(most, Peak(total + op.inside + new - min(reuse, new), op.inside))
        live |= makes
        total += new
        for r in {*dying, *(number for number in makes if number not in last)}:
            total -= live.pop(r)
    return most


__all__ = ["Peak", "largest", "parts", "peak", "size"]
