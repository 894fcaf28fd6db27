"""What is live while kernels run one after another.

_combined  what devices exchange at a time
_schedule  the order of kernels: first come, first served
_walk      a result takes memory from the kernel that makes it to the last one that needs it
"""

import dataclasses
from typing import NamedTuple

from .fusion import LOOPS, SUMMED, Kernel, Op, kernels
from .program import loop


class Peak(NamedTuple):
    """Bytes at the peak, and how many of them are inside the loop (or branch) that makes it: those of one turn of it."""

    bytes: int
    inside: int


def held(ops: list[Op], results: set[int], written: set[int], slots: dict[int, int], inner: bool) -> Peak:
    """Bytes held at the peak beside the inputs.

    Args:
      ops: in program order. results: values that are returned. written: values that are asked to be in memory.
      slots: result -> the input that it may go into.
      inner: the program is the body of a loop inside another one, whose slots XLA was seen to fill earlier.
    """
    return _walk(_schedule(_started(_combined(kernels(ops, results, written)))), results, slots, inner)


def _started(kernels: list[Kernel]) -> list[Kernel]:
    """With what an operation works on that waits for nothing, and so is there from the start (`Op.start`)."""
    out = list[Kernel]()
    for k, kernel in enumerate(kernels):
        op = kernel.op
        if op.start:
            zeros = -1 - k
            out.append(Kernel(Op("zeros", (), ((zeros, op.start),)), frozenset(), frozenset()))
            reuse = None if op.reuse is None else op.reuse + op.start
            kernel = Kernel(dataclasses.replace(op, reuse=reuse), kernel.needs | {zeros}, kernel.over | {zeros})
        out.append(kernel)
    return out


def _combined(kernels: list[Kernel]) -> list[Kernel]:
    """Gathers from all devices that do not wait for each other are one exchange: all that goes into it is there, and all that comes out."""
    before, _ = _dependence(kernels)
    groups: list[tuple[int, list[int]]] = []  # kernels, as bits and as places
    for i, kernel in enumerate(kernels):
        if kernel.op.name != SUMMED:
            continue
        behind = before[kernel.op.makes[0][0]] & ~(1 << i)
        group = next((g for g in groups if not g[0] & behind), None)
        if group is None:
            groups.append((1 << i, [i]))
        else:
            groups[groups.index(group)] = (group[0] | 1 << i, [*group[1], i])
    out = list[Kernel | None](kernels)
    for _, members in groups:
        ops = [kernels[i].op for i in members]
        one = dataclasses.replace(ops[0], makes=tuple(m for op in ops for m in op.makes))
        out[members[0]] = Kernel(one, frozenset().union(*(kernels[i].needs for i in members)), frozenset())
        for i in members[1:]:
            out[i] = None
    return [k for k in out if k is not None]


def _schedule(kernels: list[Kernel]) -> list[Kernel]:
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


def _dependence(kernels: list[Kernel]) -> tuple[dict[int, int], dict[int, int]]:
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


def _walk(kernels: list[Kernel], results: set[int], slots: dict[int, int], inner: bool) -> Peak:
    """The peak of what is live: inputs take nothing, and a result nothing where it may go into its slot, an input.

    It may where all others that read the slot come before it: on an inner loop by the schedule, else whatever the schedule, because
    it depends on what they make. Until then one value of the same size lies there. A loop that carries a slot on works in it, and
    its result is the slot from then on.
    """
    before, reads = _dependence(kernels)
    made = {number: (i, bytes) for i, kernel in enumerate(kernels) for number, bytes in kernel.op.makes}
    slots = {m: slot for m, slot in slots.items() if m in made and slot not in results}

    def free(slot: int, i: int) -> bool:
        """No kernel but those before i reads the slot, or i itself does, point by point."""
        op, needs, over = kernels[i]
        done = (1 << i + 1) - 1 if inner else before[op.makes[0][0]] if op.makes else 0
        return (slot in over or slot not in needs) and not reads.get(slot, 0) & ~done

    carried: set[int] = set()
    holder = {slot: m for m, slot in slots.items()}
    for i, kernel in enumerate(kernels):
        for slot, number in _carried(kernel.op):
            if slot in holder and number not in results and free(slot, i):
                slots[holder[slot]] = number
                holder[number] = holder.pop(slot)
                carried.add(number)
    placed = carried | {m for m, slot in slots.items() if free(slot, made[m][0])}
    last = {number: i for i, kernel in enumerate(kernels) for number in kernel.needs}
    last.update(dict.fromkeys(results, len(kernels)))
    open_ = {slot: made[m] for m, slot in slots.items()}
    live: dict[int, int] = {}
    total, most = 0, Peak(0, 0)
    for i, (op, needs, over) in enumerate(kernels):
        for m, bytes in op.makes:
            if m in results or not bytes:
                continue
            for slot, (then, room) in open_.items():
                until = last.get(m, i)
                if room == bytes and free(slot, i) and i < until < then:
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


def _carried(op: Op) -> list[tuple[int, int]]:
    """(operand, result) of what a loop carries from turn to turn."""
    if op.name not in LOOPS:
        return []
    _, first, kept = loop(op.eqn)
    at = {place - first: r for r, (place, _) in zip(op.reads, op.seen, strict=True)}
    return [(at[k], op.makes[k - kept[0]][0]) for k in range(*kept) if k in at]


__all__ = ["Peak", "held"]
