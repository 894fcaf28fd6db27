"""Which values of a traced program devices divide among them, and what crosses between them for it.

Inputs, `shard_map` and sharding constraints say how their values lie. From there shares spread as they do in XLA's partitioner, with
the operations and against them, until nothing changes; what is still open lies whole on every device.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jax.extend.core import Literal

from ..core.byte_sizes import array_bytes
from .fusion import LOOPS, SUMMED
from .program import Op, carry, flat, loop

GATHERS = ("gather", "dynamic_slice")
TURNS = 8  # times that shares are carried on, forth and back


class Spread(NamedTuple):
    """How many devices divide values among them, and along which axis each input of a program lies (None: whole on each).

    own: the program is a device's own, within `shard_map`.
    """

    devices: int
    axes: tuple[int | None, ...]
    own: bool = False


class Divided(NamedTuple):
    """A program as one device sees it.

    Args:
      ops: operations with the bytes that the device holds. axes: by value, the axis that devices divide; None or absent: whole.
      same: values that are others under a new number.
    """

    ops: list[Op]
    axes: dict[int, int | None]
    same: dict[int, int]


def part(shape: Any, axis: int | None, devices: int) -> int:
    """Bytes of a device's part, the largest of them."""
    if axis is None or not array_bytes(shape):
        return array_bytes(shape)
    length = shape.shape[axis]
    return array_bytes(shape) // length * -(-length // devices)


def divide(ops: Iterable[Op], shapes: dict[int, Any], given: dict[int, int | None], devices: int) -> Divided:
    """The program of one device.

    Args:
      ops: of `flat(..., mesh=True)`. shapes: by number, the inputs. given: along which axis they are divided.
    """
    ops = list(ops)
    shapes = dict(shapes)
    for op in ops:
        shapes.update({number: made for (number, _), made in zip(op.makes, op.made, strict=True)})
    axes = _spread(ops, shapes, given)
    out, same, known = [], dict[int, int](), dict[Any, Op]()
    fresh = itertools.count(-1, -1)
    for op in ops:
        reads = tuple(same.get(r, r) for r in op.reads)
        twin = known.setdefault(_computed(op, reads), op)
        if twin is not op:  # the compiler computes, and sends, it once
            same.update(
                (mine, same.get(other, other)) for (mine, _), (other, _) in zip(op.makes, twin.makes, strict=True)
            )
            continue
        if op.name in ("enter", "leave", "lay"):
            have = op.axis if op.name == "leave" else _viewed(axes, shapes, op, 0)
            number, held = op.makes[0]
            if have == op.axis:
                same[number] = reads[0]
                continue
            name, crosses = ("slice", 0) if have is None else ("all_gather", array_bytes(op.seen[0][1]) * (devices - 1))
            held = held if op.name == "enter" else part(shapes[number], op.axis, devices)
            changed: dict[str, Any] = {"name": name, "makes": ((number, held),), "sent": crosses}
        elif op.own:
            changed = {"axes": (None,) * len(op.eqn.invars), "sent": _sent_by_device(op, devices)}
        else:
            makes = tuple((number, part(shapes[number], axes.get(number), devices)) for number, _ in op.makes)
            held, crosses = _exchange(op, axes, shapes, devices)
            operands: list[int | None] = [None] * len(op.eqn.invars)
            for i, (place, _) in enumerate(op.seen):
                operands[place] = _viewed(axes, shapes, op, i)
            changed = {"makes": makes, "inside": held, "sent": crosses, "axes": tuple(operands)}
            if op.reuse is not None:
                changed["reuse"] = sum(bytes for _, bytes in makes[: carry(op.eqn)[1]])
            moved = _moved(op, axes, shapes, devices)
            if moved:
                out.extend(_rows(dataclasses.replace(op, reads=reads, **changed), moved, devices, fresh))
                continue
        out.append(dataclasses.replace(op, reads=reads, **changed))
    return Divided(out, axes, same)


def _computed(op: Op, reads: tuple[int, ...]) -> Any:
    """What an operation computes: the same for two operations with the same results."""
    if op.name in (*LOOPS, "cond", "leave", "custom_vmap_call"):
        return op.makes
    literals = [(i, repr(v.val)) for i, v in enumerate(op.eqn.invars) if isinstance(v, Literal)] if op.seen else ()
    params = "" if op.name == "enter" else repr(sorted(op.eqn.params.items(), key=lambda item: item[0]))
    return op.name, op.axis, op.own, reads, op.seen, op.made, tuple(literals), params


def _spread(ops: list[Op], shapes: dict[int, Any], given: dict[int, int | None]) -> dict[int, int | None]:
    """By value, the axis that devices divide."""
    axes = dict(given)
    axes.update({op.makes[0][0]: op.axis for op in ops if op.name in ("leave", "lay")})
    ops = [op for op in ops if not op.own and op.name != "leave"]
    for _ in range(TURNS):
        before = len(axes)
        for op in ops:
            if op.name in LOOPS:
                _around(op, axes, shapes)
            for number, _ in op.makes:
                if number not in axes and op.name not in ("enter", *LOOPS):
                    operands = range(len(op.reads))
                    found = (_forth(op, i, _viewed(axes, shapes, op, i), shapes[number]) for i in operands)
                    axis = next((a for a in found if a is not None), None)
                    if axis is not None:
                        axes[number] = axis
        for op in reversed(ops):
            if op.name in ("enter", "lay"):
                wanted = [(op.axis, op.seen[0][1])]
            else:
                wanted = [(axes.get(number), shapes[number]) for number, _ in op.makes if op.name not in LOOPS]
            for axis, out in wanted:
                for i, (_, seen) in enumerate(op.seen):
                    if seen.shape == out.shape:
                        _back(op, i, axis, axes, shapes)
        if len(axes) == before:
            break
    return axes


def _back(op: Op, i: int, axis: int | None, axes: dict[int, int | None], shapes: dict[int, Any]) -> None:
    """Divide operand i along an axis, as the operation sees it, where nothing is said of it yet."""
    r = op.reads[i]
    if axis is not None and r not in axes:
        back = _along(op.seen[i][1].shape, shapes[r].shape, axis)
        if back is not None:
            axes[r] = back


def _around(op: Op, axes: dict[int, int | None], shapes: dict[int, Any]) -> None:
    """Carry shares through a loop: what its body says of its inputs and results holds outside, too."""
    body, first, kept = loop(op.eqn)
    into = {place - first: (i, _viewed(axes, shapes, op, i)) for i, (place, _) in enumerate(op.seen) if place >= first}
    values: dict[Any, Any] = {v: k for k, v in enumerate((*body.invars, *body.constvars))}
    rows = lambda k: k >= kept[1]  # of these the body sees one row at a time
    given = {k: a - rows(k) for k, (_, a) in into.items() if a is not None and (a or not rows(k))}
    for k, (i, _) in into.items():
        if op.reads[i] in axes and k not in given:
            given[k] = None
    ops = list(flat(body, values, itertools.count(len(values)), set(), True))
    inner = {k: v.aval for v, k in values.items() if k < len(body.invars) + len(body.constvars)}
    inner.update({number: made for o in ops for (number, _), made in zip(o.makes, o.made, strict=True)})
    results = [None if isinstance(v, Literal) else values[v] for v in body.outvars]
    carried, outs = kept[1] - kept[0], list[int | None]()
    for _ in range(2):
        found = _spread(ops, inner, given)
        outs = [None if r is None else found.get(r) for r in results]
        given = {k: a for k, a in found.items() if k < len(body.invars)} | {
            kept[0] + j: a for j, a in enumerate(outs[:carried]) if a is not None and kept[0] + j not in given
        }
    for k, axis in given.items():
        if axis is not None and k in into:
            _back(op, into[k][0], axis + rows(k), axes, shapes)
    for j, ((number, _), axis) in enumerate(zip(op.makes, outs, strict=True)):
        if axis is not None and number not in axes:
            axes[number] = axis + (j >= carried)


def _viewed(axes: dict[int, int | None], shapes: dict[int, Any], op: Op, i: int) -> int | None:
    """Along which axis operand i is divided, as the operation sees it (through a reshape, say)."""
    axis = axes.get(op.reads[i])
    return None if axis is None else _along(shapes[op.reads[i]].shape, op.seen[i][1].shape, axis)


def _along(old: Any, new: Any, axis: int) -> int | None:
    """Where an axis lies after a reshape; None where it does not survive."""
    if tuple(old) == tuple(new):
        return axis
    before = math.prod(old[:axis])
    for i, length in enumerate(new):
        if length == old[axis] and math.prod(new[:i]) == before:
            return i
    return None


def _forth(op: Op, i: int, axis: int | None, out: Any) -> int | None:
    """Along which axis a result is divided, for an operand that is divided along `axis`."""
    if axis is None:
        return None
    place, seen = op.seen[i]
    p, name = op.eqn.params, op.eqn.primitive.name
    length = seen.shape[axis]
    if name == "transpose":
        return p["permutation"].index(axis)
    if name == "broadcast_in_dim":
        return p["broadcast_dimensions"][axis]
    if name == "dot_general":
        return _product(p["dimension_numbers"], [v.aval.ndim for v in op.eqn.invars], place, axis)
    if name.startswith(("reduce", "arg")):
        gone = p.get("axes", ())
        return None if axis in gone else axis - sum(a < axis for a in gone)
    if seen.shape == out.shape:
        return axis
    return _along(seen.shape, out.shape, axis) if axis < len(out.shape) and out.shape[axis] == length else None


def _product(numbers: Any, ndims: list[int], place: int, axis: int) -> int | None:
    """Where an axis of an operand of a product lies in the result."""
    (left, right), (left_batch, right_batch) = numbers
    contracted, batch = ((left, left_batch), (right, right_batch))[place]
    if axis in contracted:
        return None
    if axis in batch:
        return list(batch).index(axis)
    free = [a for a in range(ndims[place]) if a not in contracted and a not in batch]
    first = len(batch) + (ndims[0] - len(left) - len(left_batch) if place else 0)
    return first + free.index(axis)


def _exchange(op: Op, axes: dict[int, int | None], shapes: dict[int, Any], devices: int) -> tuple[int, int]:
    """Bytes that a device holds while it hears from others, and that all send, for an operation on values that are divided."""
    name = op.eqn.primitive.name
    divided = [_viewed(axes, shapes, op, i) for i in range(len(op.reads))]
    if all(axis is None for axis in divided) or not op.makes:
        return 0, 0
    out = shapes[op.makes[0][0]]
    whole = axes.get(op.makes[0][0]) is None
    if name == "dot_general":
        numbers = op.eqn.params["dimension_numbers"][0]
        summed = [
            axis is not None and axis in numbers[place] for axis, (place, _) in zip(divided, op.seen, strict=True)
        ]
        for i, over in enumerate(summed):
            if over and not whole:  # rows of one factor are divided, and each needs all of the other
                held = array_bytes(op.seen[i][1])
                return held, held * (devices - 1)
        return 0, 2 * (devices - 1) * array_bytes(out) if any(summed) else 0
    if name == "top_k":  # not divided by the compiler, whatever its rows are
        held = array_bytes(op.seen[0][1])
        return held, held * (devices - 1)
    if name.startswith("reduce") and divided[0] in op.eqn.params.get("axes", ()):
        return 0, 2 * (devices - 1) * array_bytes(out)
    return 0, 0


def _moved(op: Op, axes: dict[int, int | None], shapes: dict[int, Any], devices: int) -> str:
    """How rows that are divided are taken or put at places of a table: "" as they lie; by "all_gather" or as a sum over devices."""
    name = op.eqn.primitive.name
    divided = [_viewed(axes, shapes, op, i) for i in range(len(op.reads))]
    whole = axes.get(op.makes[0][0]) is None if op.makes else True
    if name in GATHERS and op.seen[0][0] == 0 and divided[0] is not None and _picks(op, divided[0]):
        return "all_gather" if not whole and array_bytes(op.made[0]) >= array_bytes(op.seen[0][1]) else SUMMED
    if name.startswith("scatter") and op.seen[-1][0] == 2 and divided[-1] is not None and not whole:
        return "all_gather"
    return ""


def _rows(op: Op, moved: str, devices: int, fresh: Iterator[int]) -> list[Op]:
    """The operations that a device does for one whose rows lie on others.

    All rows of an operand come to all devices; or each device fills in the rows that it has, and all are summed.
    """
    between, change = next(fresh), dataclasses.replace
    if moved == "all_gather":
        i = 0 if op.eqn.primitive.name in GATHERS else len(op.reads) - 1
        aval, whole = op.seen[i][1], array_bytes(op.seen[i][1])
        reads = (*op.reads[:i], between, *op.reads[i + 1 :])
        sent = change(op, name=moved, reads=(op.reads[i],), makes=((between, whole),), made=(aval,), seen=(op.seen[i],))
        return [change(sent, sent=whole * (devices - 1)), change(op, reads=reads)]
    aval, whole, last = op.made[0], array_bytes(op.made[0]), next(fresh)
    filled = change(op, makes=((between, whole),))
    summed = change(filled, name=SUMMED, reads=(between,), makes=((last, whole),), seen=((0, aval),))
    mine = change(summed, name="slice", reads=(last,), makes=op.makes)
    return [filled, change(summed, sent=2 * (devices - 1) * whole), mine]


def _picks(op: Op, axis: int) -> bool:
    """Whether a gather or slice takes some places of an axis only, each row not only its own."""
    numbers = op.eqn.params.get("dimension_numbers")
    own = getattr(numbers, "operand_batching_dims", ())
    return axis not in own and op.eqn.params["slice_sizes"][axis] < op.seen[0][1].shape[axis]


def _sent_by_device(op: Op, devices: int) -> int:
    """Bytes that all devices send for an operation that they do together within `shard_map`."""
    p, held = op.eqn.params, sum(array_bytes(v.aval) for v in op.eqn.invars)
    match op.eqn.primitive.name:
        case "ppermute":
            return held * sum(a != b for a, b in p["perm"])
        case "all_gather":
            return held * devices * (devices - 1)
        case "psum" | "psum_invariant":
            return 2 * (devices - 1) * held
    return 0


__all__ = ["Divided", "Spread", "divide", "part"]
