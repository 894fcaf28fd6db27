"""What XLA on a CPU makes of operations one after another, as far as memory goes.

_counted  values that a library wants in memory, to reduce their rows
_fused    operations whose results take no memory, since XLA computes them inside what reads them
_kernels  the others: what each needs in memory, and what of that it may write into
"""

import collections
import dataclasses
import math
from typing import Any, NamedTuple

ROWS, JOINED, SUMMED = "reduction of rows", "concatenate of rows", "gather from all devices"
LOOPS = ("scan", "while")
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
        JOINED,
        SUMMED,
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
        "ppermute",
        "all_gather",
        "psum",
    ]
)
COPIES = 15  # times that XLA computes one value inside another kernel instead of writing it
COUNTED = frozenset(
    ["square", "abs", "integer_pow", "mul", "sub", "add"]
)  # what the library that reduces rows does by itself
LIBRARY = 1 << 17  # bytes of rows (of float32) from which on the library reduces them


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation: its name, the values it reads and makes (numbers), their bytes, and what it holds beside them."""

    name: str
    reads: tuple[int, ...]
    makes: tuple[tuple[int, int], ...]
    inside: int = 0
    reuse: int | None = None  # most bytes of dying operands that it may write into; None: all of them
    eqn: Any = None  # what it was
    made: tuple[Any, ...] = ()  # shapes of what it makes
    seen: tuple[tuple[int, Any], ...] = ()  # per value read: its place among the operands, and as what it is read there
    own: bool = False  # a device's own, within `shard_map`: shapes are those of its part
    axis: int | None = (
        None  # of "enter", "leave", "lay": the axis along which devices divide the value outside; None: whole
    )
    sent: int = 0  # bytes that all devices send for it
    axes: tuple[int | None, ...] = ()  # along which axis devices divide each operand
    start: int = 0  # bytes that it works on, or in, and that are there from the start of the program


class Kernel(NamedTuple):
    """An operation whose results are written, with all that is fused into it."""

    op: Op
    needs: frozenset[int]  # values that must be there
    over: frozenset[int]  # those of them that it may write into, when it is the last to need them


def kernels(ops: list[Op], results: set[int], asked: set[int]) -> list[Kernel]:
    """The operations whose results are written, in program order.

    Args:
      ops: in program order. results: values that are returned. asked: values that are asked to be in memory.
    """
    counted, inside = _counted(ops)
    whole = {
        i
        for i, op in enumerate(ops)
        if op.name in SOLID or op.name == ROWS or any(number in inside for number, _ in op.makes)
    }
    return _kernels(ops, *_fused(ops, results, asked, counted), whole)


def _counted(ops: list[Op]) -> tuple[set[int], set[int]]:
    """Values that are written because a library reduces rows of them, and those that it computes by itself on the way.

    Written are comparisons, turned into numbers to be counted, and of large rows all that the library does not compute, or that others
    read, too. The library does not look through a reshape: XLA then reduces rows itself.
    """
    maker = {number: op for op in ops for number, _ in op.makes}
    readers = collections.Counter(r for op in ops for r in set(op.reads))
    operands = lambda op, library: [(r, aval, library) for r, (_, aval) in zip(op.reads, op.seen, strict=True)]
    todo, seen, found = [o for op in ops if op.name == ROWS for o in operands(op, True)], set[int](), set[int]()
    while todo:
        number, aval, library = todo.pop()
        op = maker.get(number)
        if op is None or number in seen:
            continue
        seen.add(number)
        library = library and aval.shape == op.made[0].shape
        if op.name == "convert_element_type" or (
            library and _large(op) and (op.name not in COUNTED or readers[number] > 1)
        ):
            found.add(number)
        elif op.name in COUNTED:
            todo.extend(operands(op, library))
    return found, seen - found


def _large(op: Op) -> bool:
    return op.makes[0][1] >= LIBRARY and op.made[0].dtype == "float32"


def _fused(ops: list[Op], results: set[int], asked: set[int], counted: set[int]) -> tuple[set[int], set[int]]:
    """Which operations (by place) take no memory, and which take some, but are computed again inside those that can.

    From the last to the first. In a kernel that reads it point by point a value is computed once, and once more for every reader at
    other places (a shift, a column); what would be computed too often in one of them, or twice at a high price, is written. What some
    need in memory is read from there by all, unless it is made of one array of its size at most: then nothing is saved by reading it.
    Taking rows is dear, but for places that follow from constants alone.

    Args:
      results: values that are returned. asked: that are to be written; counted: that are written for a library.
    """
    readers: dict[int, list[int]] = {}
    places: dict[int, frozenset[int]] = {}  # kernels and moves for which an operation is computed
    times: dict[int, collections.Counter[int]] = {}  # how often in each kernel, for one element
    fused, again, known = set[int](), set[int](), set[int]()
    for op in ops:
        if known.issuperset(op.reads):
            known.update(number for number, _ in op.makes)
    for i in range(len(ops) - 1, -1, -1):
        op = ops[i]
        made = {number for number, _ in op.makes}
        by = [r for number in made for r in readers.get(number, ())]
        if not by and not made & results:
            fused.add(i)  # nothing reads it
            continue
        for r in op.reads:
            readers.setdefault(r, []).append(i)
        at = [
            places[r] if (r in fused or r in again) and ops[r].name not in MOVES else frozenset((r,))
            for r in by
            if ops[r].name not in SOLID
        ]
        places[i] = frozenset[int]().union(*at)
        times[i] = sum((times[r] for r in places[i]), collections.Counter())
        kernel = op.name in SOLID or op.name in SUMS or made & asked
        needed = made & (results | counted) or any(ops[r].name in SOLID for r in by)
        dear = op.name in DEAR or (op.name == "gather" and not known.issuperset(op.reads[1:]))
        often = COPIES if not dear else 1 if len(times[i]) == 1 else 0
        cheap = not op.reads or op.name == "broadcast_in_dim" or max(times[i].values(), default=0) <= often
        if not kernel and not needed and cheap:
            fused.add(i)
        elif not kernel and places[i] and cheap and not dear and _thin(op):
            again.add(i)
            places[i] |= {i}
            times[i][i] += 1
        else:
            times[i] = collections.Counter([i])
    return fused, again


def _thin(op: Op) -> bool:
    """It reads one array of the size of its result at most."""
    return sum(math.prod(seen.shape) >= math.prod(op.made[0].shape) for _, seen in op.seen) < 2


def _kernels(ops: list[Op], fused: set[int], again: set[int], solid: set[int]) -> list[Kernel]:
    """The operations that are not fused, in program order."""
    nothing: frozenset[int] = frozenset()
    base: dict[int, frozenset[int]] = {}  # of a fused value: what must be there for it to be read
    moved: dict[int, frozenset[int]] = {}  # and what of that is not read point by point
    both: set[int] = set()  # fused values that are written, too
    looped: set[int] = set()  # results of loops: XLA writes nothing over them
    kernels = []
    for i, op in enumerate(ops):
        inside = [r for r in op.reads if r in base and not (i in solid and r in both)]
        needs = nothing.union(op.reads) - nothing.union(inside) | nothing.union(*(base[r] for r in inside))
        still = needs if op.name in MOVES else nothing.union(*(moved[r] for r in inside))
        if i not in fused:
            kernels.append(Kernel(op, needs, nothing if op.name in SOLID - PLACED else needs - still - looped))
            looped.update(number for number, _ in op.makes if op.name in LOOPS)
        if i in fused or i in again:
            base.update({number: needs for number, _ in op.makes})
            moved.update({number: still for number, _ in op.makes})
            both.update(number for number, _ in op.makes if i in again)
    return kernels


__all__ = ["JOINED", "LOOPS", "ROWS", "SUMMED", "Kernel", "Op", "kernels"]
