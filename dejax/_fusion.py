"""What XLA on a CPU makes of operations one after another, as far as memory goes.

_fused     those whose results take no memory, since XLA computes them inside what reads them
_kernels   the others: what each needs in memory, and what of that it may write into
_schedule  their order: first come, first served
_walk      what is live: a result takes memory from the kernel that makes it to the last one that needs it
"""

import dataclasses
from typing import Any, NamedTuple

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
        "ppermute",
        "all_gather",
        "psum",
    ]
)
COPIES = 15  # times that XLA computes one value inside others instead of writing it
COUNTED = frozenset(["square", "integer_pow", "mul", "sub", "add"])  # what the library that sums rows does by itself


class Peak(NamedTuple):
    """Bytes at the peak, and how many of them are inside the loop (or branch) that makes it: those of one turn of it."""

    bytes: int
    inside: int


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


def held(
    ops: list[Op], results: set[int], written: set[int], slots: dict[int, int], inner: bool, mesh: bool = False
) -> Peak:
    """Bytes held at the peak beside the inputs.

    Args:
      ops: in program order. results: values that are returned. written: values that are asked to be in memory.
      slots: result -> the input that it may go into.
      inner: the program is the body of a loop inside another one, whose slots XLA was seen to fill earlier.
      mesh: the program is that of one device of a mesh.
    """
    kernels = _kernels(ops, _fused(ops, results, written | _counted(ops)))
    return _walk(_schedule(kernels), results, slots, inner, mesh)


def _counted(ops: list[Op]) -> set[int]:
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


def _fused(ops: list[Op], results: set[int], written: set[int]) -> set[int]:
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

    op: Op
    needs: frozenset[int]  # values that must be there
    over: frozenset[int]  # those of them that it may write into, when it is the last to need them


def _kernels(ops: list[Op], fused: set[int]) -> list[_Kernel]:
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


def _walk(kernels: list[_Kernel], results: set[int], slots: dict[int, int], inner: bool, mesh: bool) -> Peak:
    """The peak of what is live: inputs take nothing, and a result nothing where it may go into its slot, an input.

    It may where all others that read the slot come before it: on an inner loop by the schedule, else whatever the schedule, because
    it depends on what they make. Until then, on a mesh, where values are written to be sent, one of the same size was seen to lie there.
    """
    before, reads = _dependence(kernels)
    last = {number: i for i, kernel in enumerate(kernels) for number in kernel.needs}
    last.update(dict.fromkeys(results, len(kernels)))
    made = {number: (i, bytes) for i, kernel in enumerate(kernels) for number, bytes in kernel.op.makes}
    open_ = {slot: made[m] for m, slot in slots.items() if mesh and m in made and slot not in results}
    live: dict[int, int] = {}
    total, most = 0, Peak(0, 0)
    for i, (op, needs, over) in enumerate(kernels):
        done = (1 << i + 1) - 1 if inner else before[op.makes[0][0]] if op.makes else 0
        read = lambda slot, done=done, needs=needs, over=over: (
            (slot in over or slot not in needs) and not reads.get(slot, 0) & ~done
        )
        placed = {m for m, _ in op.makes if m in slots and slots[m] not in results and read(slots[m])}
        for m, bytes in op.makes:
            if m in results or not bytes:
                continue
            for slot, (then, room) in open_.items():
                until = last.get(m, i)
                if room == bytes and read(slot) and (i < until < then or (until == then and m in kernels[then].over)):
                    placed.add(m)
                    del open_[slot]
                    break
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


__all__ = ["ROWS", "Op", "Peak", "held"]
