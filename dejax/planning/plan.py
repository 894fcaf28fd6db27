"""What a run will take: bytes per node and in all, and the largest n that fits. From shapes alone; nothing is compiled or computed.

Shapes come from tracing: parameters from `task.init`, state from `method.init` for n and n + 1 nodes, the network's memory
from recording one round. What a round holds beside them comes from the live ranges of its traced program (`_liveness`), what an
evaluation holds from that of the metrics.
"""

import dataclasses
import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp

from ..core.abstract import model_like
from ..core.byte_sizes import machine_memory, parse_bytes, spoken_bytes
from ..devices import placement
from . import parts as parts_of
from .parts import EVALUATION, REORDERING, Part, size

PROGRAM, TEST = "Python, JAX, compiler", "test set"
PROGRAM_BYTES = 480 * 10**6  # of a process that ran a tiny experiment on a CPU: docs/running.md
OUTSIDE = (EVALUATION, REORDERING, TEST, PROGRAM)  # of the compiled rounds
KEEP = 0.9  # share of the machine's memory that a run may take; the rest is the program, Python and the allocator


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run takes.

    Attributes:
      label, n, rounds: which run. parameters: numbers in one model.
      parts: where memory goes. memory: bytes of the machine, or as given. On a mesh both are those of one device.
      sent: bytes that all nodes send per round in all (None: unknown), `sent_by` the same by message name.
      devices: (those over which seeds are divided, those over which nodes are) on a mesh; else None.
      crossing: bytes between the devices of a mesh in a round, of all seeds.
    """

    label: str
    n: int
    rounds: int
    parameters: int
    parts: tuple[Part, ...]
    memory: int
    sent: float | None
    sent_by: dict[str, float]
    devices: tuple[int, int] | None = None
    crossing: parts_of.Crossing | None = None

    @property
    def per_node(self) -> float:
        """Bytes that one more node costs."""
        return sum(p.total(self.n + 1) - p.total(self.n) for p in self.parts)

    @property
    def total(self) -> float:
        """Bytes of the run."""
        return self.at(self.n)

    @property
    def rounds_alone(self) -> float:
        """Bytes of the compiled rounds: without evaluations and the program around them."""
        return sum(p.total(self.n) for p in self.parts if p.name not in OUTSIDE)

    def at(self, n: int) -> float:
        """Bytes for n nodes, everything else equal."""
        return sum(p.total(n) for p in self.parts)

    @property
    def largest(self) -> int:
        """Most nodes that fit into KEEP of the memory, everything else equal (at most 2^40); on a mesh as many on every device."""
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.at(middle) <= self.memory * KEEP else (low, middle - 1)
        return low - low % (1 if self.devices is None else self.devices[1])

    @property
    def fits(self) -> bool:
        """The run needs no more than KEEP of the memory."""
        return self.total <= self.memory * KEEP

    def plain(self) -> dict[str, Any]:
        """For `dejax plan --json`: bytes as whole numbers."""
        return {
            "run": self.label,
            "nodes": self.n,
            "rounds": self.rounds,
            "parameters": self.parameters,
            "devices": None if self.devices is None else dict(zip(("runs", "nodes"), self.devices, strict=True)),
            "parts": [
                {
                    "name": p.name,
                    "bytes_per_node": round(p.per_node + p.square * self.n),
                    "bytes": round(p.total(self.n)),
                    "note": p.note,
                }
                for p in self.parts
            ],
            "bytes_per_node": round(self.per_node),
            "bytes": round(self.total),
            "bytes_of_rounds": round(self.rounds_alone),
            "memory": self.memory,
            "fits": self.fits,
            "largest_n": self.largest,
            "between_devices_per_round": None
            if self.crossing is None
            else {k: v and round(v) for k, v in self.crossing._asdict().items()},
            "sent_per_round": None if self.sent is None else round(self.sent),
            "sent_per_round_by": {k: round(v) for k, v in self.sent_by.items()},
            "sent": None if self.sent is None else round(self.sent * self.rounds),
        }


def plan(
    method: Any,
    problem: Any,
    network: Any,
    rounds: int,
    *,
    memory: int | None = None,
    label: str = "run",
    seeds: int = 1,
    nodes: int | None = None,
    mesh: Any = None,
    placed: Any = None,
) -> Plan:
    """Bytes of one run at its peak, without compiling it.

    Args:
      method, problem, network, rounds: as for `simulate`.
      memory: bytes that there are; None asks the machine (the accelerator's, where there is one). On a mesh those of one device:
        devices of a CPU share the memory of their host (before a run, all processes count as on one host).
      label: name of the run. seeds: how many of them run at once; all but data and graph is held once for each.
      nodes: how many node models an evaluation takes at a time; None: all.
      mesh: as for `simulate`; the devices need not be there, unless they are named. Bytes are then those of the device that holds most.
      placed: method, problem and network as `engine.placed` laid them on devices, where that is done already; then no `crossing`.
    Returns:
      Plan. State, data, graph and the network's memory are exact; what a round and an evaluation hold beside them is an estimate.
      The rounds in all (`rounds_alone`) mostly lie within 20 % of what XLA allocates on a CPU: docs/running.md has the table.
    Example:
      >>> plan(dsgd(lr=0.1), problem, network, rounds=100).largest
    """
    from .. import engine

    n, key = problem.n, jax.random.key(0)
    given = engine.prepare(method, problem, network, rounds)
    axes = engine.carry_axes(*given, key)
    layout = placement.on_paper(mesh)
    if layout is not None:
        placement.check_runs(layout.mesh.shape[placement.RUNS], seeds)
    ready: tuple[Any, Any, Any] = given if layout is None else placed or engine.placed(*given, layout)
    place = ready[1].place
    runs, divided = (1, 1) if place is None else (place.mesh.shape[placement.RUNS], place.devices)
    params = model_like(given[1].task)
    model = size(params)
    carry = jax.eval_shape(engine.start, *ready, key)
    has_axis = zip(jax.tree.leaves(carry.state), jax.tree.leaves(axes.state), strict=True)
    all_nodes = sum(size(x) for x, has in has_axis if has)
    slot_node, slot_shared = parts_of.slot_bytes(axes, carry, ready[2], n, divided)
    traced = parts_of.trace(*ready, axes, carry)
    scratch, activations = parts_of.round_parts(*ready, axes, carry, traced)
    others = [parts_of.evaluation(*ready, given[1].data, carry, nodes), parts_of.reordering(place, axes, carry)]
    most = max(others, key=lambda p: p.total(n))  # one after another
    beyond = max(0.0, most.total(n) - scratch.total(n) - activations.total(n))
    ratio = beyond / most.total(n) if beyond else 0.0
    note = _models(all_nodes / n / model) if model else ""
    parts = (
        Part("state", all_nodes / n / divided, size(carry.state) - all_nodes, note=note),
        Part("memory of the network", slot_node, slot_shared, note="codecs, samplers, clocks"),
        scratch,
        activations,
        dataclasses.replace(most, per_node=most.per_node * ratio, shared=most.shared * ratio),
    )
    seeds //= runs
    each = [
        dataclasses.replace(p, per_node=p.per_node * seeds, shared=p.shared * seeds, most=p.most * seeds) for p in parts
    ]
    data = given[1].data
    index = size([x for x in (data.index, data.count, data.test_index, data.test_count, data.facts) if x is not None])
    index += 0 if place is None else size([data.index, data.count]) / divided  # rounds read a part, evaluations all
    sent_by = parts_of.sent_bytes(given[2], traced if place is None else parts_of.trace(*given, axes, carry))
    on_cpu = jax.default_backend() == "cpu"
    crossing = None
    if layout is not None and placed is None:
        crossing = parts_of.crossing(given, layout, ready, axes, carry, traced, seeds * runs)
    parts = (
        *each,
        Part("indices", index / n, note="which samples a node has"),
        Part("samples", 0.0, size(data.arrays)),
        Part(TEST, 0.0, size(data.test)),
        Part("graph", *parts_of.graph_bytes(ready[2], n)),
        Part(
            PROGRAM,
            0.0,
            PROGRAM_BYTES / placement.here(place, host=False) if on_cpu else 0.0,
            note="measured: it does not follow from shapes",
        ),
    )
    return Plan(
        label=label,
        n=n,
        rounds=rounds,
        parameters=sum(math.prod(x.shape) for x in jax.tree.leaves(params)),
        parts=tuple(p for p in parts if p.total(n) > 0),
        memory=machine_memory() // (placement.here(place) if on_cpu else 1) if memory is None else memory,
        sent=sum(sent_by.values()) if sent_by is not None else None,
        sent_by=sent_by or {},
        devices=None if place is None else (runs, divided),
        crossing=crossing,
    )


def _models(count: float) -> str:
    """`1 model per node`, `2 models per node`."""
    return f"{count:.3g} model{'s' * (f'{count:.3g}' != '1')} per node"


def compiled_bytes(method: Any, problem: Any, network: Any, rounds: int, mesh: Any = None) -> int:
    """Bytes of one run's rounds as XLA allocates them: arguments, results that are no arguments, and scratch; of one device of a mesh.

    Compiles, does not run.
    """
    from .. import engine

    key, number = jax.random.key(0), jnp.int32(1)
    given = engine.prepare(method, problem, network, rounds)
    layout = placement.as_layout(mesh)
    ready = given if layout is None else engine.placed(*given, layout)
    carry = jax.eval_shape(engine.start, *ready, key)
    place = ready[1].place
    if place is not None:
        key = placement.everywhere(key, place.mesh)
        lay = lambda has, x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place.sharding(has))
        carry = jax.tree.map(lay, engine.carry_axes(*given, key), carry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of donated arguments that nothing takes
        m = engine.run_chunk.lower(*ready, carry, key, number, number, 1, number).compile().memory_analysis()
    if m is None:
        raise RuntimeError(f"the {jax.default_backend()} compiler does not say what it allocates; leave --compile out")
    return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


__all__ = ["Part", "Plan", "compiled_bytes", "machine_memory", "parse_bytes", "plan", "spoken_bytes"]
