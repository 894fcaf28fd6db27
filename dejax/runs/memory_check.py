"""Refuse a run that does not fit in memory.

First by its shapes, before it compiles; then by its compiled rounds, before the first of them runs.
"""

import functools
import math
from typing import Any

import jax

from ..core.byte_sizes import spoken_bytes
from ..devices import placement
from ..errors import TooLargeError, Words, keyword
from ..planning import plan as planning
from ..planning.compiled import Allocated, allocated

CLOSE = 0.5  # runs that take less than this share of the memory are not planned part by part


def check_shapes(run: Any) -> None:
    """Refuse a run whose models, slots, data and graph alone exceed a device.

    Nothing is compiled or drawn.

    Args:
      run: a `SingleRun`, or other `Batch`.
    """
    for stage in run.stages:
        with run.within(stage):
            _check(run, None)


def check_compiled(run: Any) -> None:
    """Compile the rounds of a run; raise TooLargeError where they exceed the device.

    All else that lies on the device counts, too.
    """
    known = allocated(run.compiled())
    if known is not None:
        _check(run, known)


def _check(run: Any, known: Allocated | None) -> None:
    memory = planning.device_memory(run.place)
    if _held(run) + (0 if known is None else known.beside) <= CLOSE * planning.KEEP * memory:
        return
    given: tuple[Any, Any, Any] = run.given
    plan = planning.plan(
        *given, run.rounds, memory=memory, label=run.labels[0], seeds=run.width, copies=run.copies, mesh=run.layout,
        placed=None if run.layout is None else run.ready,
    )  # fmt: skip
    plan = plan if known is None else plan.compiled(known)
    if not plan.fits:
        raise _too_large(run, plan)


def _held(run: Any) -> int:
    """Bytes of all arrays of a run on one device, from a trace that it needs anyway."""
    data = run.given[1].data
    arrays = (run.abstract(), run.ready, data.test, data.validation, run.values_like)
    held = sum(placement.bytes_of(x) for x in jax.tree.leaves(arrays))
    return held + (planning.PROGRAM_BYTES if jax.default_backend() == "cpu" else 0)


def _too_large(run: Any, plan: planning.Plan) -> TooLargeError:
    compiled, block = plan.allocated is not None, run.given[1].block
    parts = sorted(plan.parts, key=lambda p: -p.total(plan.n))[:3]
    where = ", ".join(f"{p.name} {spoken_bytes(p.total(plan.n))}" for p in parts)
    each = "" if plan.devices is None else f" on each of {math.prod(plan.devices)} devices"
    change = ["fewer nodes"] if plan.devices is None else ["fewer nodes", "more devices"]
    if plan.cohort is not None and planning.SCRATCH in {p.name for p in parts[:1]}:
        change = change[1:]  # a round computes as many, whatever n is
    batch, held = run.given[1].batch_size, run.given[1].data.index.shape[1]
    if batch is not None and (batch > held or planning.SCRATCH in {p.name for p in parts}):
        change.insert(0, f"a smaller batch_size (now {batch:,}; the largest node holds {held:,} samples)")
    if block != 1 and planning.SCRATCH in {p.name for p in parts}:
        change.append(keyword("block", "auto") if block is None else f"a smaller block (now {block})")
    if run.width > 1:
        change.append(run.fewer or f"fewer runs at once (now {run.width})")
    return TooLargeError(
        f"{plan.label}: {plan.n:,} nodes need {'' if compiled else 'at least '}{spoken_bytes(plan.total)}{each} ({where}), but a run may "
        f"take {spoken_bytes(plan.memory * planning.KEEP)} of the {spoken_bytes(plan.memory)} that there are{each}; "
        f"{'about' if compiled else 'at most'} {plan.largest:,} nodes would fit. Take "
        + functools.reduce(lambda a, b: a + ", or " + b, change)
        + "; or try all the same with "
        + Words("check_memory=False (--anyway)", "--anyway"),
        plan.total,
        plan.memory,
        plan.largest,
    )


__all__ = ["check_compiled", "check_shapes"]
