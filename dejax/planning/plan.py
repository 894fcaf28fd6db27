"""Plan: bytes per node and in all, and the largest n that fits, from shapes alone.

Shapes come from `jax.eval_shape`: parameters from `task.init`, state from `method.init` for n and
n + 1 nodes, the network's memory from recording one round. They are exact; what the rounds need
beside them only the compiled program tells (`compiled`).
"""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from .. import engine
from ..core.byte_sizes import array_bytes, machine_memory, parse_bytes, spoken_bytes
from ..core.types import MeshLike, Method, Network, Place, Problem, Tree
from ..devices import placement
from . import traffic
from .compiled import Allocated

PROGRAM, SCRATCH, TEST = "Python, JAX, compiler", "scratch of the rounds", "test set"
PROGRAM_BYTES = 480 * 10**6  # of a process that ran a tiny experiment on a CPU: docs/running.md
KEEP = (
    0.9  # share of the machine's memory that a run may take; the rest is evaluations, the allocator and other programs
)


@dataclasses.dataclass(frozen=True)
class Part:
    """One line of a plan: bytes `per_node`, bytes `shared` by all, bytes per n^2 (`square`)."""

    name: str
    per_node: float
    shared: float = 0.0
    square: float = 0.0
    note: str = ""

    def total(self, n: int) -> float:
        """Bytes for n nodes."""
        return self.shared + self.per_node * n + self.square * n * n


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run holds.

    Attributes:
      label, n, rounds: which run. parameters: numbers in one model.
      parts: where memory goes. memory: bytes of the machine, or as given. On a mesh both are those
        of one device.
      devices: (those over which seeds are divided, those over which nodes are) on a mesh; else
        None.
      allocated: what XLA allocates for the rounds; None before they are compiled.
      sent: bytes that all nodes send per round, by message name (None: unknown).
      crossing: bytes between the devices of a mesh in a round, of all seeds.
      cohort: nodes that a round computes; None: all.
    """

    label: str
    n: int
    rounds: int
    parameters: int
    parts: tuple[Part, ...]
    memory: int
    devices: tuple[int, int] | None = None
    allocated: Allocated | None = None
    sent: dict[str, float] | None = None
    crossing: traffic.Crossing | None = None
    cohort: int | None = None

    @property
    def per_node(self) -> float:
        """Bytes that one more node costs."""
        return self.at(self.n + 1) - self.at(self.n)

    @property
    def total(self) -> float:
        """Bytes of the run."""
        return self.at(self.n)

    def at(self, n: int) -> float:
        """Bytes for n nodes, everything else equal."""
        return sum(p.total(n) for p in self.parts)

    @property
    def largest(self) -> int:
        """Return the most nodes that fit into KEEP of the memory, everything else equal.

        At most 2^40; on a mesh as many on every device.
        """
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.at(middle) <= self.memory * KEEP else (low, middle - 1)
        return low - low % (1 if self.devices is None else self.devices[1])

    @property
    def fits(self) -> bool:
        """The run needs no more than KEEP of the memory."""
        return self.total <= self.memory * KEEP

    def compiled(self, allocated: Allocated) -> "Plan":
        """Return the plan with the memory that the compiled rounds need beside their arguments.

        It is taken to grow with the nodes that a round computes: with n, but for a cohort.
        """
        beside = allocated.beside
        grows = (beside / self.n, 0.0) if self.cohort is None else (0.0, float(beside))
        scratch = Part(SCRATCH, *grows, note="read from the compiled program")
        return dataclasses.replace(self, parts=(*self.parts, scratch), allocated=allocated)

    def plain(self) -> dict[str, Any]:
        """For `dejax plan --json`: bytes as whole numbers."""
        sent = None if self.sent is None else sum(self.sent.values())
        known = self.allocated
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
            "memory": self.memory,
            "fits": self.fits,
            "largest_n": self.largest,
            "between_devices_per_round": None
            if self.crossing is None
            else {k: v and round(v) for k, v in self.crossing._asdict().items()},
            "sent_per_round": None if sent is None else round(sent),
            "sent_per_round_by": {k: round(v) for k, v in (self.sent or {}).items()},
            "sent": None if sent is None else round(sent * self.rounds),
        } | ({} if known is None else {"compiled": known._asdict() | {"bytes": known.total}})


def plan(
    method: Method,
    problem: Problem,
    network: Network,
    rounds: int,
    *,
    memory: int | None = None,
    label: str = "run",
    seeds: int = 1,
    copies: float = 0.0,
    mesh: MeshLike = None,
    placed: Tree = None,
) -> Plan:
    """Bytes that one run holds on a device, from shapes; nothing is compiled or computed.

    Args:
      method, problem, network, rounds: as for `simulate`.
      memory: bytes that there are; None asks the machine (the accelerator's, where there is one).
        On a mesh those of one device: devices of a CPU share the memory of their host (before a
        run, all processes count as on one host).
      label: name of the run. seeds: how many of them run at once; all but data and graph is held
        once for each.
      copies: bytes of numbers that runs of one program have each for itself.
      mesh: as for `simulate`; the devices need not be there, unless they are named. Bytes are then
        those of the device that holds most.
      placed: method, problem and network as `engine.placed` laid them on devices, where that is
        done already.
    Returns:
      Plan, without `allocated`, `sent` and `crossing`.
    Example:
      >>> plan(dsgd(lr=0.1), problem, network, rounds=100).largest
    """
    n, key = problem.n, jax.random.key(0)
    given: tuple[Any, Any, Any] = engine.prepare(method, problem, network, rounds)
    ready, place = _ready(given, mesh, seeds, placed)
    axes, carry = engine.carry_axes(*given, key), jax.eval_shape(engine.start, *ready, key)
    runs, divided = (1, 1) if place is None else (place.mesh.shape[placement.RUNS], place.devices)
    at_once = seeds // runs
    has_axis = zip(jax.tree.leaves(carry.state), jax.tree.leaves(axes.state), strict=True)
    all_nodes = sum(size(x) for x, has in has_axis if has)
    node, shared = slot_bytes(axes, carry, ready[2], n, divided)
    data, model = given[1].data, given[1].of_model(size)
    on_cpu = jax.default_backend() == "cpu"
    parts = (
        Part(
            "state", at_once * all_nodes / n / divided, at_once * (size(carry.state) - all_nodes),
            note=_models(all_nodes / n / model) if model else "",
        ),
        Part("memory of the network", at_once * node, at_once * shared, note="codecs, samplers, clocks"),
        Part("indices", *index_bytes(data, n, divided, place is not None), note="which samples a node has"),
        Part("samples", 0.0, size([data.arrays, data.validation])),
        Part(TEST, 0.0, size(data.test)),
        Part("graph", *graph_bytes(ready[2], n)),
        Part("numbers", 0.0, size(ready[0]) + size(dataclasses.replace(ready[1], data=None, place=None)) + copies),
        Part(
            PROGRAM, 0.0, PROGRAM_BYTES / placement.here(place, host=False) if on_cpu else 0.0,
            note="measured: it does not follow from shapes",
        ),
    )  # fmt: skip
    return Plan(
        label=label,
        n=n,
        rounds=rounds,
        parameters=round(given[1].of_model(numbers)),
        parts=tuple(p for p in parts if p.total(n) > 0),
        memory=device_memory(place) if memory is None else memory,
        devices=None if place is None else (runs, divided),
        cohort=getattr(getattr(method, "traits", None), "cohort", None),
    )


def with_traffic(
    known: Plan, method: Method, problem: Problem, network: Network, *, seeds: int = 1, mesh: MeshLike = None
) -> Plan:
    """The plan with what nodes send in a round, and devices of a mesh; a round is traced for it."""
    key = jax.random.key(0)
    given: tuple[Any, Any, Any] = engine.prepare(method, problem, network, known.rounds)
    axes = engine.carry_axes(*given, key)
    traced = traffic.trace(*given, axes, jax.eval_shape(engine.start, *given, key))
    sent, crossing = traffic.sent_bytes(given[2], traced), None
    if mesh is not None:
        ready, _ = _ready(given, mesh, seeds)
        on_mesh = traffic.trace(*ready, axes, jax.eval_shape(engine.start, *ready, key))
        crossing = traffic.crossing(given, placement.on_paper(mesh), ready, on_mesh, seeds)
    return dataclasses.replace(known, sent=sent, crossing=crossing)


def _ready(
    given: tuple[Any, Any, Any], mesh: MeshLike, seeds: int, placed: Tree = None
) -> tuple[tuple[Any, Any, Any], Any]:
    """Return (method, problem, network) as they run, and the place of the nodes.

    The devices may be on paper.
    """
    layout = placement.on_paper(mesh)
    if layout is None:
        return given, None
    placement.check_runs(layout.mesh.shape[placement.RUNS], seeds)
    ready: tuple[Any, Any, Any] = placed or engine.placed(*given, layout)
    return ready, ready[1].place


def _models(count: float) -> str:
    """`1 model per node`, `2 models per node`."""
    return f"{count:.3g} model{'s' * (f'{count:.3g}' != '1')} per node"


def device_memory(place: Place | None) -> int:
    """Bytes of one device; devices of a CPU share the memory of their host."""
    return machine_memory() // (placement.here(place) if jax.default_backend() == "cpu" else 1)


def size(tree: Tree) -> int:
    """Bytes of all arrays (or shapes) in a tree."""
    return sum(array_bytes(x) for x in jax.tree.leaves(tree))


def numbers(model: Tree) -> int:
    """Numbers in a model, by its shapes."""
    return sum(math.prod(x.shape) for x in jax.tree.leaves(model))


def slot_bytes(axes: Tree, carry: Tree, network: Network, n: int, devices: int) -> tuple[float, float]:
    """(bytes per node, shared bytes) of slots on each of the devices that divide the nodes.

    Slots of nodes by their declared axes; rows of edges, as many per node as now, are whole on
    every device.
    """
    edges = () if network.edges is None else (network.edges.m,)
    slots, declared = jax.tree.leaves((carry.slots, carry.sent)), jax.tree.leaves((axes.slots, axes.sent))
    node = [x for x, has in zip(slots, declared, strict=True) if has]
    edge = [x for x, has in zip(slots, declared, strict=True) if not has and x.shape[:1] == edges]
    return size(node) / n / devices + size(edge) / n, float(size(slots) - size(node) - size(edge))


def index_bytes(data: Tree, n: int, devices: int, on_mesh: bool) -> tuple[float, float]:
    """(bytes per node, shared bytes) of the lists of samples.

    Where nodes divide the samples, more nodes have shorter lists: of those the counts alone grow
    with n. On a mesh each device has the lists of its own nodes, for rounds, and all of them, for
    evaluations.
    """
    lists = size([data.test_index, data.test_count, data.facts])
    per_device = 1 + 1 / devices if on_mesh else 1
    index = size([data.index, data.validation_index]) * per_device
    count = size([data.count, data.validation_count]) * per_device
    return (count / n, index + lists) if _divided(data) else ((index + count + lists) / n, 0.0)


def _divided(data: Tree) -> bool:
    """Whether nodes divide the samples: none has two nodes, and most have one."""
    index, count = np.asarray(data.index), np.asarray(data.count)
    rows = index[np.arange(index.shape[1]) < count[:, None]]
    samples = max((x.shape[0] for x in jax.tree.leaves(data.arrays)), default=0)
    return 2 * rows.size >= samples and len(np.unique(rows)) == rows.size


def graph_bytes(network: Network, n: int) -> tuple[float, float, float]:
    """Return (per node, shared, per n^2) bytes of the graph's arrays on a device.

    Their fields declare how they grow (`grows`).
    """
    held = [0.0, 0.0, 0.0]

    def add(value: Tree, power: int) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                if not field.metadata.get("static"):
                    add(getattr(value, field.name), field.metadata.get("grows", power))
        else:
            held[power] += sum(map(placement.bytes_of, jax.tree.leaves(value)))

    add(network, 0)
    return held[1] / n, held[0], held[2] / n**2


__all__ = [
    "Part",
    "Plan",
    "device_memory",
    "machine_memory",
    "parse_bytes",
    "plan",
    "spoken_bytes",
    "with_traffic",
]
