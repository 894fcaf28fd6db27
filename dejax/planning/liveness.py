"""How many bytes a traced program holds at its peak, estimated without compiling it; on a mesh, those of one device.

`_program` reads it as operations one after another, `_shares` takes one device's part of them, `_fusion` and `_held`
follow what XLA makes of them.
A loop holds one body at a time, and its stacked results whole.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jax.extend.core import Literal

from ..core.byte_sizes import array_bytes
from .fusion import LOOPS, Op
from .held import Peak, held
from .program import bare, flat, loop
from .shares import Spread, divide, part


def peak(jaxpr: Any, donated: Sequence[bool] | None = None, spread: Spread | None = None) -> int:
    """Bytes that a program holds at its peak beside its inputs, results included; see `parts`."""
    return parts(jaxpr, donated, spread=spread).bytes


def parts(jaxpr: Any, donated: Sequence[bool] | None = None, inner: bool = False, spread: Spread | None = None) -> Peak:
    """Bytes that a program holds at its peak beside its inputs, results included, and those of one turn of a loop.

    Args:
      jaxpr: of `jax.make_jaxpr(fn)(*args)`; closed or not.
      donated: per input, whether it is a slot that a result goes back into: the first result into the first of them, and so on (the
        carry of a loop); default: none.
      inner: the program is the body of a loop inside another one, whose slots XLA was seen to fill earlier.
      spread: on a mesh, how inputs are divided; the bytes are then those of one device.
    """
    jaxpr = bare(jaxpr)
    ops, values, written, same = _operations(jaxpr, spread)

    def number(v: Any) -> int:
        at: int = values[v]
        return same.get(at, at)

    results = {number(v) for v in jaxpr.outvars if not isinstance(v, Literal)}
    given = [number(v) for v, d in zip(jaxpr.invars, donated or (), strict=False) if d]
    slots = {number(v): g for v, g in zip(jaxpr.outvars, given, strict=False) if not isinstance(v, Literal)}
    written = {same.get(at, at) for at in written}
    return held(ops, results, written, slots, inner)


def sent(jaxpr: Any, spread: Spread) -> tuple[float, float]:
    """Bytes that all devices of a mesh send for a program: rows that it exchanges itself, and what the compiler adds, by estimate.

    Of branches the mean, since those are phases of a graph.
    """
    rows = others = 0.0
    for op in _operations(bare(jaxpr), spread)[0]:
        rows, others = (rows + op.sent, others) if op.own else (rows, others + op.sent)
        for body in _bodies(op, spread):
            if body.spread is not None:
                inside = sent(body.jaxpr, body.spread)
                rows, others = rows + body.times * inside[0], others + body.times * inside[1]
    return rows, others


def _operations(jaxpr: Any, spread: Spread | None) -> tuple[list[Op], dict[Any, Any], set[int], dict[int, int]]:
    """A program's operations and the numbers of its variables, those that it asks to have in memory, and those that are others."""
    fresh = itertools.count()
    inputs: dict[Any, int] = {v: next(fresh) for v in (*jaxpr.constvars, *jaxpr.invars)}
    values: dict[Any, Any] = dict(inputs)
    written: set[int] = set()
    ops = list(flat(jaxpr, values, fresh, written, spread is not None, spread is not None and spread.own))
    if spread is None:
        return [*_in_order((_filled(op, None) for op in ops), fresh, 1)], values, written, {}
    shapes = {number: v.aval for v, number in inputs.items()}
    given = dict.fromkeys((inputs[v] for v in jaxpr.constvars), None)
    given.update({inputs[v]: axis for v, axis in zip(jaxpr.invars, spread.axes, strict=True)})
    ops, _, same = divide(ops, shapes, given, spread.devices)
    filled = (_filled(op, spread) for op in ops)
    return [*_in_order(filled, fresh, spread.devices)], values, written, same


def _filled(op: Op, spread: Spread | None) -> Op:
    """With what a loop or branch holds beside its operands and results, and what XLA makes for an operation at the start."""
    start, p = 0, op.eqn.params
    if op.name == "random_bits":
        more = 3 * op.makes[0][1]  # two counters and two words for each
    elif op.name == "select_and_scatter_add":
        # XLA scatters into zeros, at places found in the padded operand among numbers of all of them: one per axis
        source, operand = (aval for _, aval in op.seen)
        share = op.makes[0][1] / max(1, array_bytes(op.made[0]))  # of a device
        padded = math.prod(n + sum(pad) for n, pad in zip(operand.shape, p["padding"], strict=True))
        start = int(share * padded * (4 * operand.ndim + operand.dtype.itemsize))
        more = int(share * source.size * 8 * operand.ndim)  # places per axis, and joined
    else:
        more = max((b.rows + parts(b.jaxpr, b.donated, b.loop, b.spread).bytes for b in _bodies(op, spread)), default=0)
        if op.name not in LOOPS:  # of a branch the results are those of the operation
            more = max(0, more - sum(bytes for _, bytes in op.makes))
    if op.name == "scan":  # XLA makes the zeros that stacked results start from before anything else
        start = sum(bytes for _, bytes in op.makes) - (op.reuse or 0)
    return dataclasses.replace(op, inside=op.inside + more, start=start) if more or start else op


def _in_order(ops: Iterable[Op], fresh: Iterator[int], devices: int) -> Iterator[Op]:
    """With transposes of those operands of products that XLA does not multiply as they lie."""
    for op in ops:
        if op.name != "dot_general":
            yield op
            continue
        reads = list(op.reads)
        for i, (k, aval) in enumerate(op.seen):
            contracted, batch = (axes[k] for axes in op.eqn.params["dimension_numbers"])
            if not _as_it_lies(aval.ndim, contracted, batch):
                reads[i], bytes = next(fresh), part(aval, op.axes[k] if op.axes else None, devices)
                yield Op("transpose", (op.reads[i],), ((reads[i], bytes),), 0, None, op.eqn, (aval,), ((0, aval),))
        yield dataclasses.replace(op, reads=tuple(reads))


def _as_it_lies(ndim: int, contracted: Sequence[int], batch: Sequence[int]) -> bool:
    """Batch axes lead, and contracted axes are the first or the last of the others."""
    b, c = len(batch), len(contracted)
    return tuple(batch) == tuple(range(b)) and tuple(contracted) in (
        tuple(range(b, b + c)),
        tuple(range(ndim - c, ndim)),
    )


class _Body(NamedTuple):
    """A program inside an operation; see `parts`. times: how often it runs. rows: bytes of the rows that a turn of a scan looks at."""

    jaxpr: Any
    spread: Spread | None
    donated: list[bool] | None = None
    loop: bool = False
    times: float = 1.0
    rows: int = 0


def _bodies(op: Op, spread: Spread | None) -> list[_Body]:
    """The programs of a loop, or of branches."""
    p, axes = op.eqn.params, op.axes
    within = lambda axes: None if spread is None else Spread(spread.devices, tuple(axes), op.own or spread.own)
    match op.name:
        case "scan" | "while":
            body, first, kept = loop(op.eqn)
            axes, inputs = axes[first:], len(body.invars)
            axes = [*axes[: kept[1]], *((a - 1 if a else None) for a in axes[kept[1] :])] or [None] * inputs
            devices = 1 if spread is None else spread.devices
            rows = sum(part(body.invars[k].aval, axes[k], devices) for k in range(kept[1], inputs))
            donated = [kept[0] <= k < kept[1] for k in range(inputs)]
            return [_Body(body, within(axes), donated, True, p.get("length", 1), rows)]
        case "cond":
            branches = p["branches"]
            return [_Body(bare(b), within(axes[1:]), times=1 / len(branches)) for b in branches]
        case "shard_map" | "custom_vmap_call":
            inner = p.get("jaxpr", p.get("call"))
            return [] if inner is None else [_Body(bare(inner), within(axes))]
    return []


__all__ = ["Peak", "parts", "peak", "sent"]
