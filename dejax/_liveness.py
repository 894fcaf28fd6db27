"""How many bytes a traced program holds at its peak, estimated without compiling it.

Five steps follow what XLA does on a CPU, as far as memory goes:

    _flat      the operations one after another, calls written out, views taken for what they look at
    _fused     those whose results take no memory, since XLA computes them inside what reads them
    _kernels   the others: what each needs in memory, and what of that it may write into
    _schedule  their order: first come, first served
    _walk      what is live: a result takes memory from the kernel that makes it to the last one that needs it

A loop holds one body at a time, and its stacked results whole.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from . import _apart

VIEWS = frozenset(
    [
        "reshape",
        "squeeze",
        "expand_dims",
        "copy",
        "dejax_bare",
        "stop_gradient",
        "optimization_barrier",
        "random_wrap",
        "random_unwrap",
    ]
)
ROWS = "reduce_sum of rows"
SUMS = frozenset(
    [ROWS, "reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "reduce_prod", "argmax", "argmin"]
)
# not written twice, for two readers
DEAR = frozenset(
    [
        "exp",
        "log",
        "log1p",
        "tanh",
        "logistic",
        "erf",
        "erf_inv",
        "pow",
        "rsqrt",
        "sqrt",
        "sin",
        "cos",
        "stack",
        "concatenate",
    ]
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
COPIES = 15  # times that XLA computes one value inside others instead of writing it
COUNTED = frozenset(["square", "integer_pow", "mul", "sub", "add"])  # what the library that sums rows does by itself

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


def _turn(body: Any, donated: Sequence[bool]) -> int:
    """Bytes of one turn of a loop inside a program; its carry is overwritten as the schedule allows."""
    return parts(body, donated, inner=True).bytes


def parts(jaxpr: Any, donated: Sequence[bool] | None = None, inner: bool = False) -> Peak:
    """Bytes that a program holds at its peak beside its inputs, results included, and those of one turn of a loop.

    Args:
      jaxpr: of `jax.make_jaxpr(fn)(*args)`; closed or not.
      donated: per input, whether it is a slot that a result goes back into: the first result into the first of them, and so on (the
        carry of a loop); default: none.
      inner: the program is the body of a loop inside another one, whose slots XLA was seen to fill earlier.
    """
    jaxpr = _bare(jaxpr)
    fresh = itertools.count()
    values: dict[Any, int] = {v: next(fresh) for v in (*jaxpr.constvars, *jaxpr.invars)}
    written: set[int] = set()
    ops = list(_flat(jaxpr, values, fresh, written))
    results = {values[v] for v in jaxpr.outvars if not isinstance(v, Literal)}
    given = [values[v] for v, d in zip(jaxpr.invars, donated or (), strict=False) if d]
    slots = {values[v]: g for v, g in zip(jaxpr.outvars, given, strict=False) if not isinstance(v, Literal)}
    kernels = _kernels(ops, _fused(ops, results, written | _counted(ops)))
    return _walk(_schedule(kernels), results, slots, inner)


def _flat(jaxpr: Any, values: dict[Any, int], fresh: Iterator[int], written: set[int]) -> Iterator[_Op]:
    """The operations of a program; to `written` go the values that it asks to have in memory (`_apart`)."""
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        reads = [None if isinstance(v, Literal) else values[v] for v in eqn.invars]
        inner = _program(eqn)
        if name == "cond" and inner is not None:
            reads = reads[1:]  # the first says on which platform
        if eqn.params.get("name") == _apart.NAME:
            written.update(r for r in reads if r is not None)
        if name in VIEWS and len(reads) == len(eqn.outvars) and None not in reads:
            values.update(zip(eqn.outvars, (r for r in reads if r is not None), strict=True))
        elif inner is not None and len(inner.invars) == len(reads):
            own = {v: next(fresh) if r is None else r for v, r in zip(inner.invars, reads, strict=True)}
            own |= {v: next(fresh) for v in inner.constvars}
            yield from _flat(inner, own, fresh, written)
            for v, w in zip(eqn.outvars, inner.outvars, strict=True):
                values[v] = next(fresh) if isinstance(w, Literal) else own[w]
        else:
            makes = {v: next(fresh) for v in eqn.outvars}
            values.update(makes)
            sizes = tuple((number, size(v.aval)) for v, number in makes.items())
            if name == "reduce_sum" and eqn.invars[0].aval.ndim - 1 in eqn.params["axes"]:
                name = ROWS
            carried = sum(size(v.aval) for v in eqn.outvars[: _carry(eqn)[1]]) if name == "scan" else None
            yield _Op(name, tuple(r for r in reads if r is not None), sizes, _inside(eqn), carried)


@functools.lru_cache(maxsize=512)
def _stand_in(name: str, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    """What a primitive of ours stands for; one function per parameters, so that JAX traces it once."""
    return written_out[name](**dict(params))


def _program(eqn: Any) -> Any:
    """The program that a plain call calls; None for a primitive or a loop."""
    if eqn.primitive.name in written_out:
        stand_in = _stand_in(eqn.primitive.name, tuple(sorted(eqn.params.items())))
        return jax.make_jaxpr(stand_in)(*(v.aval for v in eqn.invars)).jaxpr
    if eqn.primitive.name == "cond" and eqn.params.get("branches_platforms"):
        here = jax.default_backend()
        for platforms, branch in zip(eqn.params["branches_platforms"], eqn.params["branches"], strict=True):
            if platforms is None or here in platforms:
                return _bare(branch)
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
        case "random_bits":
            return 3 * size(eqn.outvars[0].aval)  # two counters and two words for each
        case "scan":
            body = _bare(p["jaxpr"])
            fixed, carry = _carry(eqn)
            carried = fixed + carry
            rows = sum(size(v.aval) for v in body.invars[carried:])
            return rows + _turn(body, [fixed <= i < carried for i in range(len(body.invars))])
        case "while":
            body = _bare(p["body_jaxpr"])
            return _turn(body, [i >= p["body_nconsts"] for i in range(len(body.invars))])
        case "cond":
            return max(peak(b) for b in p["branches"])
        case "shard_map" | "custom_vmap_call":
            inner = p.get("jaxpr", p.get("call"))
            return 0 if inner is None else peak(inner)
    return 0


def _counted(ops: list[_Op]) -> set[int]:
    """Values that are written because rows of them are summed by a library: comparisons, turned into numbers to be counted."""
    maker = {number: op for op in ops for number, _ in op.makes}
    todo, seen, found = [r for op in ops if op.name == ROWS for r in op.reads], set[int](), set[int]()
    while todo:
        number = todo.pop()
        op = maker.get(number)
        if op is None or number in seen:
            continue
        seen.add(number)
        if op.name == "convert_element_type":
            found.add(number)
        elif op.name in COUNTED:
            todo.extend(op.reads)
    return found


def _fused(ops: list[_Op], results: set[int], written: set[int]) -> set[int]:
    """Which operations (by place) take no memory.

    From the last to the first. A value is computed once for every kernel that reads it point by point, and once more for every reader
    at other places (a shift, a column); what would be computed too often, or twice at a high price, is written.
    """
    readers: dict[int, list[int]] = {}
    places: dict[int, frozenset[int]] = {}  # kernels and moves for which an operation is computed
    times: dict[int, int] = {}  # how often, for one element
    fused: set[int] = set()
    for i in range(len(ops) - 1, -1, -1):
        op = ops[i]
        made = {number for number, _ in op.makes}
        by = [r for number in made for r in readers.get(number, ())]
        if not by and not made & results:
            fused.add(i)  # nothing reads it
            continue
        for r in op.reads:
            readers.setdefault(r, []).append(i)
        at = [frozenset((r,)) if r not in fused or ops[r].name in MOVES else places[r] for r in by]
        places[i] = frozenset[int]().union(*at)
        times[i] = sum(times[r] for r in places[i])
        whole = (
            op.name in SOLID or op.name in SUMS or made & (results | written) or any(ops[r].name in SOLID for r in by)
        )
        free = not op.reads or op.name == "broadcast_in_dim"
        if not whole and (free or times[i] == 1 or (times[i] <= COPIES and op.name not in DEAR)):
            fused.add(i)
        else:
            times[i] = 1
    return fused


class _Kernel(NamedTuple):
    """An operation whose results are written, with all that is fused into it."""

    op: _Op
    needs: frozenset[int]  # values that must be there
    over: frozenset[int]  # those of them that it may write into, when it is the last to need them


def _kernels(ops: list[_Op], fused: set[int]) -> list[_Kernel]:
    """The operations that are not fused, in program order."""
    nothing: frozenset[int] = frozenset()
    base: dict[int, frozenset[int]] = {}  # of a fused value: what must be there for it to be read
    moved: dict[int, frozenset[int]] = {}  # and what of that is not read point by point
    looped: set[int] = set()  # results of loops: XLA writes nothing over them
    kernels = []
    for i, op in enumerate(ops):
        needs = nothing.union(*(base.get(r, frozenset((r,))) for r in op.reads))
        still = needs if op.name in MOVES else nothing.union(*(moved.get(r, nothing) for r in op.reads))
        if i in fused:
            base.update({number: needs for number, _ in op.makes})
            moved.update({number: still for number, _ in op.makes})
        else:
            kernels.append(_Kernel(op, needs, nothing if op.name in SOLID - PLACED else needs - still - looped))
            looped.update(number for number, _ in op.makes if op.name in ("scan", "while"))
    return kernels


def _schedule(kernels: list[_Kernel]) -> list[_Kernel]:
    """Kernels in the order in which they become ready, first come, first served, as XLA on CPUs takes them."""
    maker = {number: k for k, kernel in enumerate(kernels) for number, _ in kernel.op.makes}
    waits = [{maker[r] for r in kernel.needs if r in maker} for kernel in kernels]
    users: list[list[int]] = [[] for _ in kernels]
    for k, before in enumerate(waits):
        for j in before:
            users[j].append(k)
    order = [k for k, before in enumerate(waits) if not before]
    for k in order:  # which grows on the way
        for j in users[k]:
            waits[j].discard(k)
            if not waits[j]:
                order.append(j)
    return [kernels[k] for k in order]


def _dependence(kernels: list[_Kernel]) -> tuple[dict[int, int], dict[int, int]]:
    """By value, as bits: the kernels that it depends on, its own among them, and those that need it."""
    before: dict[int, int] = {}
    reads: dict[int, int] = {}
    for i, kernel in enumerate(kernels):
        behind = 1 << i
        for number in kernel.needs:
            behind |= before.get(number, 0)
            reads[number] = reads.get(number, 0) | 1 << i
        before.update({number: behind for number, _ in kernel.op.makes})
    return before, reads


def _walk(kernels: list[_Kernel], results: set[int], slots: dict[int, int], inner: bool) -> Peak:
    """The peak of what is live: inputs take nothing, and a result nothing where it may go into its slot, an input.

    It may where all others that read the slot come before it: on an inner loop by the schedule, else whatever the schedule, because
    it depends on what they make.
    """
    before, reads = _dependence(kernels)
    last = {number: i for i, kernel in enumerate(kernels) for number in kernel.needs}
    last.update(dict.fromkeys(results, len(kernels)))
    live: dict[int, int] = {}
    total, most = 0, Peak(0, 0)
    for i, (op, needs, over) in enumerate(kernels):
        into = {m: slots[m] for m, _ in op.makes if m in slots and (slots[m] in over or slots[m] not in needs)}
        done = (1 << i + 1) - 1 if inner else before[op.makes[0][0]] if op.makes else 0
        placed = {m for m, slot in into.items() if slot not in results and not reads.get(slot, 0) & ~done}
        makes = {number: 0 if number in placed else bytes for number, bytes in op.makes}
        dying = {r for r in needs if last[r] == i and r in live}
        new, reuse = sum(makes.values()), sum(live[r] for r in dying & over)
        reuse = reuse if op.reuse is None else min(reuse, op.reuse)
        most = max(most, Peak(total + op.inside + new - min(reuse, new), op.inside))
        live |= makes
        total += new
        for r in {*dying, *(number for number in makes if number not in last)}:
            total -= live.pop(r)
    return most


__all__ = ["Peak", "largest", "parts", "peak", "size"]
