"""Checkpoints of runs that advance together: written between chunks, and gone back to."""

from typing import Any

import jax

from ..core import tree
from ..core.types import PathLike
from ..devices import placement, processes
from ..errors import CheckpointError, Words
from ..report.arrays import Arrays
from . import checkpoint, vmapped
from .batch import Batch
from .counters import Counters
from .directory import RunDir
from .end import End
from .fingerprint import difference


def save(run: Batch, directory: RunDir) -> None:
    """Write a checkpoint of this moment."""
    facts = {
        "label": run.label,
        "experiment": run.prints(),
        "wall": run.wall,
        "compile": run.compile,
        "pace": run.pace,
        "width": run.width,
        "records": len(run.records),
        "arrays": len(run.arrays),
        "counters": [c.plain() for c in run.counters],
        "broken": [[at, *where, at in run.closed] for at, where in run.broken.items()],
        "ended": [[at, *end] for at, end in run.ended.items()],
        "shape": run.shape,
    }
    directory.save(run.label, run.round, run.moved("in_order", run.carry), facts, run.labels)


def restore(run: Batch, directory: RunDir) -> bool:
    """Go back to the newest checkpoint; False if there is none.

    Raises:
      CheckpointError: damaged, of another experiment, or arrays of evaluations before it are gone.
    """
    path = directory.saved(run.label)
    if path is None:
        return False
    manifest = processes.led(checkpoint.read_manifest)(path)
    theirs, mine = manifest["facts"].get("experiment", {}), run.prints()
    with processes.everyone():
        if (other := difference(theirs, mine)) is not None:
            way = Words(
                "the same method, problem, network and seeds; to go on from its models with others, start anew with params=",
                "the config and the code that it was made with, or start anew with another --out",
            )
            raise CheckpointError(f"{path} is of another experiment: its {other}. Resume with " + way)
    run.stage = run.stage_of(checkpoint.round_of(path))
    carry, facts = _load(run, path, manifest["facts"].get("width", run.width))
    run.carry = run.moved("to_places", carry)
    run.round, run.started = checkpoint.round_of(path), True
    run.arrays = Arrays(directory.arrays(run.labels, run.round, facts.get("arrays", 0)))
    run.counters = [Counters.from_plain(c) for c in facts["counters"]]
    run.broken = {at: (round, node) for at, round, node, _ in facts.get("broken", ())}
    run.closed = {at for at, _, _, closed in facts.get("broken", ()) if closed}
    run.ended = {at: End(*end) for at, *end in facts.get("ended", ())}
    run.closed |= run.ended.keys()
    run.shape, run.held = facts.get("shape", {}), facts["records"]
    run.wall, run.compile = run.wall + float(facts["wall"]), run.compile + float(facts["compile"])
    run.pace = tuple(facts.get("pace", run.pace))
    return True


def _load(run: Batch, path: PathLike | None, width: int) -> tuple[Any, Any]:
    """Load the carry of a checkpoint that holds `width` runs.

    On another mesh the number of runs beyond the lanes, which fill up the devices, may differ.
    """
    like = run.abstract()
    if width == run.width:
        return checkpoint.load(path, like)
    place = run.place
    there = lambda has, x: None if place is None else place.of(has, x, (None,))
    theirs = tree.map(
        lambda has, x: jax.ShapeDtypeStruct((width, *x.shape[1:]), x.dtype, sharding=there(has, x)), run.axes, like
    )
    carry, facts = checkpoint.load(path, theirs)
    carry = vmapped.refilled(len(run.lanes), run.width, carry)
    return carry if place is None else tree.map(lambda x, to: placement.place_array(x, to.sharding), carry, like), facts


__all__ = ["restore", "save"]
