"""Refuse, before anything is compiled, a run that the memory cannot hold."""

import functools
import math
from typing import Any

import jax
import numpy as np

from ..core.abstract import model_like
from ..core.byte_sizes import array_bytes
from ..devices import node_blocks, placement
from ..errors import TooLargeError, Words, keyword
from ..planning import plan as planning
from ..planning.program import largest

SURE = 0.2  # runs that a rough count puts below this share of the memory are not looked at closer
MODELS, CARRIES, ARRAYS = (
    16,
    3,
    8,
)  # the rough count's multiples of a model per node, of the carry, of the largest array


def check(run: Any, schedule: Any) -> None:
    """Raise TooLargeError where the plan of a run does not fit into the memory of the device.

    Args:
      run: a `Run`, or other `Lanes`. schedule: its `Schedule`, for the rounds and the models evaluated on the way and at the end.
    """
    memory = planning.machine_memory()
    if jax.default_backend() == "cpu":
        memory //= placement.here(run.place)
    memory = max(0, memory - int(run.copies / planning.KEEP))
    if _rough(run) <= SURE * memory:
        return
    label, seeds = run.labels[0], run.width
    method, problem, network = run.given
    nodes, final_nodes = schedule.nodes, schedule.final_nodes
    width = None if final_nodes is None and nodes is None else nodes or final_nodes
    plan = planning.plan(
        method, problem, network, schedule.rounds, memory=memory, label=label, seeds=seeds, nodes=width, mesh=run.layout,
        placed=None if run.layout is None else run.ready,
    )  # fmt: skip
    if plan.fits:
        return
    say = planning.spoken_bytes
    parts = sorted(plan.parts, key=lambda p: -p.total(plan.n))[:3]
    where = ", ".join(f"{p.name} {say(p.total(plan.n))}" for p in parts)
    names = {p.name for p in parts}
    each = "" if plan.devices is None else f" on each of {math.prod(plan.devices)} devices"
    change = ["fewer nodes"] if plan.devices is None else ["fewer nodes", "more devices"]
    if problem.block != 1 and "activations, batches" in names:
        change.append(
            f"a smaller block (now {problem.block})" if problem.block is not None else keyword("block", "auto")
        )
    if width is None and planning.EVALUATION in names:
        change.append("fewer evaluated nodes (" + Words("nodes=", "eval.nodes") + ")")
    if seeds > 1:
        change.append(run.fewer or f"fewer runs at once (now {seeds})")
    raise TooLargeError(
        f"{label}: {plan.n:,} nodes need about {say(plan.total)}{each} ({where}), but a run may take {say(plan.memory * planning.KEEP)} of "
        f"the {say(plan.memory)} that there are{each}; {plan.largest:,} nodes would fit. Take "
        + functools.reduce(lambda a, b: a + ", or " + b, change)
        + "; or try all the same with "
        + Words("check_memory=False (--anyway)", "--anyway"),
        plan.total,
        plan.memory,
        plan.largest,
    )


def _rough(run: Any) -> float:
    """A generous count of bytes that costs milliseconds, for it reads a trace that the run needs anyway.

    Models, the carry (what edges and codecs hold is in it), the largest array of a round (of a robust rule over many
    neighbors, say), data and graph; activations where no block bounds them.
    """
    method, problem, network = run.given
    one = model_like(problem.task)
    models = sum(array_bytes(x) for x in jax.tree.leaves(one)) * problem.n * run.width
    given = sum(array_bytes(x) for x in jax.tree.leaves((method, problem, network)) if hasattr(x, "shape"))
    start = run.recorded()
    carry = sum(array_bytes(x) for x in start.out_avals)
    total = MODELS * models + CARRIES * carry + ARRAYS * largest(start) + 2 * given
    total += 8 * node_blocks.budget(node_blocks.TRAINING)
    if problem.block != "auto":
        rows = problem.batch_size or problem.data.index.shape[1]
        sample = sum(math.prod(x.shape[1:]) * np.dtype(x.dtype).itemsize for x in problem.data.arrays.values())
        total += min(problem.block or problem.n, problem.n) * run.width * 100 * rows * sample
    return total


__all__ = ["check"]
