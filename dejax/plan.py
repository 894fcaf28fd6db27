"""What a run will take: bytes per node and in all, and the largest n that fits. From shapes alone; nothing is compiled or computed.

Shapes come from tracing: parameters from `task.init`, state from `method.init` for n and n + 1 nodes, the network's memory
from recording one round. What a round holds beside them comes from the live ranges of its traced program (`_liveness`), what an
evaluation holds from that of the metrics.
"""

import dataclasses
import math
import os
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import _blocks, _liveness
from .round.meters import LOW_BITS

EVALUATION, PROGRAM = "evaluation", "Python, JAX, compiler"
PROGRAM_BYTES = 480 * 10**6  # of a process that ran a tiny experiment on a CPU: docs/running.md
KEEP = 0.9  # share of the machine's memory that a run may take; the rest is the program, Python and the allocator
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclasses.dataclass(frozen=True)
class Part:
    """One line of a plan: `per_node` bytes that grow with n up to `most`, `shared` bytes that do not, `square` bytes per n^2."""

    name: str
    per_node: float
    shared: float = 0.0
    square: float = 0.0
    note: str = ""
    most: float = math.inf

    def total(self, n: int) -> float:
        """Bytes for n nodes."""
        return self.shared + min(self.per_node * n, self.most) + self.square * n * n


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run takes.

    Attributes:
      label, n, rounds: which run. parameters: numbers in one model.
      parts: where memory goes. memory: bytes of the machine, or as given.
      sent: bytes that all nodes send per round in all (None: unknown), `sent_by` the same by message name.
    """

    label: str
    n: int
    rounds: int
    parameters: int
    parts: tuple[Part, ...]
    memory: int
    sent: float | None
    sent_by: dict[str, float]

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
        return sum(p.total(self.n) for p in self.parts if p.name not in (EVALUATION, PROGRAM))

    def at(self, n: int) -> float:
        """Bytes for n nodes, everything else equal."""
        return sum(p.total(n) for p in self.parts)

    @property
    def largest(self) -> int:
        """Most nodes that fit into KEEP of the memory, everything else equal (at most 2^40)."""
        low, high = 0, 1 << 40
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.at(middle) <= self.memory * KEEP else (low, middle - 1)
        return low

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
) -> Plan:
    """Bytes of one run at its peak, without compiling it.

    Args:
      method, problem, network, rounds: as for `simulate`.
      memory: bytes that there are; None asks the machine (the accelerator's, where there is one).
      label: name of the run. seeds: how many of them run at once; all but data and graph is held once for each.
      nodes: how many node models an evaluation takes at a time; None: all.
    Returns:
      Plan. State, data, graph and the network's memory are exact; what a round and an evaluation hold beside them is an estimate.
      The rounds in all (`rounds_alone`) mostly lie within 20 % of what XLA allocates on a CPU: docs/running.md has the table.
    Example:
      >>> plan(dsgd(lr=0.1), problem, network, rounds=100).largest
    """
    from . import engine

    n = problem.n
    method, problem, network = engine.prepare(method, problem, network, rounds)
    key = jax.random.key(0)
    params = jax.eval_shape(problem.task.init, key)
    model = size(params)
    carry = jax.eval_shape(engine.start, method, problem, network, key)
    state = size(carry.state)
    axes = engine.carry_axes(method, problem, network, key)
    has_axis = zip(jax.tree.leaves(carry.state), jax.tree.leaves(axes.state), strict=True)
    per_node = sum(size(x) for x, has in has_axis if has) / n
    slot_node, slot_shared = slot_bytes(axes, carry, network, n)
    traced = trace(method, problem, network, axes, carry)
    scratch, activations = round_parts(method, problem, network, axes, carry, traced)
    inspection = evaluation(method, problem, carry, nodes)
    beyond = max(0.0, inspection.total(n) - scratch.total(n) - activations.total(n))
    ratio = beyond / inspection.total(n) if beyond else 0.0
    parts = (
        Part("state", per_node, state - per_node * n, note=_models(per_node / model) if model else ""),
        Part("memory of the network", slot_node, slot_shared, note="codecs, samplers, clocks"),
        scratch,
        activations,
        dataclasses.replace(inspection, per_node=inspection.per_node * ratio, shared=inspection.shared * ratio),
    )
    each = [
        dataclasses.replace(p, per_node=p.per_node * seeds, shared=p.shared * seeds, most=p.most * seeds) for p in parts
    ]
    data = problem.data
    index = size([x for x in (data.index, data.count, data.test_index, data.test_count, data.facts) if x is not None])
    sent_by = sent_bytes(network, traced)
    parts = (
        *each,
        Part("indices", index / n, note="which samples a node has"),
        Part("data", 0.0, size([data.arrays, data.test])),
        Part("graph", *graph_bytes(network, n)),
        Part(
            PROGRAM,
            0.0,
            PROGRAM_BYTES if jax.default_backend() == "cpu" else 0,
            note="measured: it does not follow from shapes",
        ),
    )
    return Plan(
        label=label,
        n=n,
        rounds=rounds,
        parameters=sum(math.prod(x.shape) for x in jax.tree.leaves(params)),
        parts=tuple(p for p in parts if p.total(n) > 0),
        memory=machine_memory() if memory is None else memory,
        sent=sum(sent_by.values()) if sent_by is not None else None,
        sent_by=sent_by or {},
    )


def _models(count: float) -> str:
    """`1 model per node`, `2 models per node`."""
    return f"{count:.3g} model{'s' * (f'{count:.3g}' != '1')} per node"


def compiled_bytes(method: Any, problem: Any, network: Any, rounds: int) -> int:
    """Bytes of one run's rounds as XLA allocates them: arguments, results that are no arguments, and scratch. Compiles, does not run."""
    from . import engine

    parts, key, number = engine.prepare(method, problem, network, rounds), jax.random.key(0), jnp.int32(1)
    carry = jax.eval_shape(engine.start, *parts, key)
    m = engine.run_chunk.lower(*parts, carry, key, number, number, 1, number).compile().memory_analysis()
    if m is None:
        raise RuntimeError(f"the {jax.default_backend()} compiler does not say what it allocates; leave --compile out")
    return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


class Traced(NamedTuple):
    """One round as a traced program of (carry, leaves of method, problem and network, key, t)."""

    jaxpr: Any
    meters: Any
    leaves: list[Any]
    carried: int  # how many of its inputs are the carry


def trace(method: Any, problem: Any, network: Any, axes: Any, carry: Any) -> Traced:
    """Trace one round. axes: of `engine.carry_axes`; carry: of `engine.start`, or its shapes."""
    from . import engine

    leaves, shape = jax.tree.flatten((method, problem, network))

    def one(carry: Any, leaves: list[Any], key: Any, t: Any) -> Any:
        m, p, w = jax.tree.unflatten(shape, leaves)
        return engine.one_round(m, p, w, axes, key, carry, t, t)

    args = (carry, leaves, jax.random.key(0), jax.ShapeDtypeStruct((), np.int32))
    closed, out = jax.make_jaxpr(one, return_shape=True)(*args)
    return Traced(closed, out[1], leaves, len(jax.tree.leaves(carry)))


def round_parts(method: Any, problem: Any, network: Any, axes: Any, carry: Any, traced: Traced) -> tuple[Part, Part]:
    """What a round holds beside its carry: what grows with n, and what a block of nodes bounds."""
    n = problem.n

    def peak(traced: Traced) -> _liveness.Peak:
        inputs = len(traced.jaxpr.jaxpr.invars)
        return _liveness.parts(traced.jaxpr, [i < traced.carried for i in range(inputs)])

    whole = peak(traced)
    base, most = whole.bytes - whole.inside, float(whole.inside)
    if n >= 8 and not whole.inside:  # no blocks yet at this n: look at a quarter of the nodes at a time
        quarter = dataclasses.replace(problem, block=n // 4)
        blocked = peak(trace(method, quarter, network, axes, carry))
        base = min(whole.bytes, blocked.bytes - blocked.inside)
        most = max(whole.bytes - base, _blocks.budget(_blocks.TRAINING)) if problem.block == "auto" else math.inf
    held = whole.bytes - base
    at_a_time = "" if most == math.inf else f"at most {spoken_bytes(most)}, by blocks of nodes"
    return (
        Part("gradients, messages", base / n, note="estimate: live ranges of the traced round"),
        Part("activations, batches", held / n, note=at_a_time if held else "", most=most if held else math.inf),
    )


def evaluation(method: Any, problem: Any, carry: Any, nodes: int | None) -> Part:
    """What the usual metrics hold beside the state: the dearest of them."""
    from . import engine, population
    from .metrics import _models
    from .metrics._view import is_shared

    params = jax.eval_shape(lambda carry: engine.model(method, engine.state_of(carry)), carry)
    shared, n, data = is_shared(problem.task, params, problem.n), problem.n, problem.data
    found = [] if shared else [_liveness.parts(jax.make_jaxpr(population.consensus_distance)(params))]
    width = n if nodes is None else min(nodes, n)
    if data.test is not None and not shared:
        static = (problem.task, shared, False, data.num_classes, "auto")
        args = (static, params, data.test, None, None, jax.ShapeDtypeStruct((width,), np.int32), jax.random.key(0))
        found.append(_liveness.parts(jax.make_jaxpr(_models._nodes, static_argnums=0)(*args)))
    if not found:
        return Part(EVALUATION, 0.0)
    dear = max(found)
    grows = nodes is None or len(found) == 1 or dear is found[0]
    outside = dear.bytes - dear.inside
    return Part(
        EVALUATION,
        outside / n if grows else 0.0,
        dear.inside + (0 if grows else outside),
        note="beyond what a round holds",
    )


def size(tree: Any) -> int:
    """Bytes of all arrays (or shapes) in a tree."""
    return sum(_liveness.size(x) for x in jax.tree.leaves(tree))


def slot_bytes(axes: Any, carry: Any, network: Any, n: int) -> tuple[float, float]:
    """(bytes per node, shared bytes) of slots: the nodes' by their declared axes, and rows of edges, as many per node as now."""
    edges = () if network.edges is None else (network.edges.m,)
    slots, declared = jax.tree.leaves((carry.slots, carry.sent)), jax.tree.leaves((axes.slots, axes.sent))
    node = [x for x, has in zip(slots, declared, strict=True) if has or x.shape[:1] == edges]
    return size(node) / n, float(size(slots) - size(node))


def graph_bytes(network: Any, n: int) -> tuple[float, float, float]:
    """(per node, shared, per n^2) bytes of the graph's arrays, by how often n stands in their shapes."""
    per_node = shared = square = 0.0
    for x in jax.tree.leaves(network):
        if not hasattr(x, "shape"):
            continue
        times = sum(s == n for s in x.shape) if n > 1 else 0
        if times >= 2:
            square += size(x) / n**2
        elif times == 1:
            per_node += size(x) / n
        else:
            shared += size(x)
    return per_node, shared, square


def sent_bytes(network: Any, traced: Traced) -> dict[str, float] | None:
    """Bytes that all nodes send per round, by message name: the mean over one period of the graph.

    The meters' part of a traced round is cut out of it and evaluated alone: no gradient is computed. A codec whose sizes
    depend on the values counts as None (unknown).
    """
    from jax.extend.core import jaxpr_as_fun
    from jax.interpreters.partial_eval import dce_jaxpr

    closed, meters, leaves, carried = traced
    key = jax.random.key(0)
    wanted = jax.tree.map(lambda _: False, meters)
    names = [name for name in meters.units if "/" in name]
    for name in names:
        wanted.counts[name] = jax.tree.map(lambda _: True, meters.counts[name])
    outputs = len(closed.jaxpr.outvars) - len(jax.tree.leaves(meters))
    jaxpr, used = dce_jaxpr(closed.jaxpr, [False] * outputs + jax.tree.leaves(wanted))
    known = [*[None] * carried, *leaves, key]
    used_values = []
    for value, needed in zip([*known, "t"], used, strict=True):
        if needed and value is None:
            return None  # sizes depend on the values that are sent
        if needed:
            used_values.append(value)
    run: Any = jaxpr_as_fun(closed.replace(jaxpr=jaxpr))
    period = max(1, min(getattr(network.topology, "period", 1) or 1, 64))
    total = dict.fromkeys(names, 0.0)
    for t in range(period if names else 0):
        out = iter(run(*[np.int32(t) if isinstance(v, str) else v for v in used_values]))
        for name in sorted(names):  # dictionaries flatten in sorted order
            limbs = {limb: int(np.asarray(next(out)).astype(np.int64).sum()) for limb in sorted(meters.counts[name])}
            total[name] += (limbs["lo"] + (limbs["hi"] << LOW_BITS)) * meters.units[name] / 8 / period
    return total


def machine_memory() -> int:
    """Bytes of the device that JAX computes on: the accelerator's, else the machine's (or its container's limit)."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"])
    limits = []
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        limits.append(8 * 2**30)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):
            continue
    return min(limits)


def parse_bytes(text: str) -> int:
    """`16GB`, `16GiB`, `500M`, `1e9` -> bytes.

    Raises:
      ValueError: anything else.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][0-9]+)?)\s*([kKmMgGtT]?[iI]?)[bB]?\s*", text)
    if not found or found[2].lower() not in UNITS:
        raise ValueError(f"memory is {text!r}; give a number of bytes with a unit, e.g. 16GB or 512MiB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def spoken_bytes(value: float) -> str:
    """1536 -> `1.54 kB` (decimal units)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


__all__ = ["Part", "Plan", "compiled_bytes", "machine_memory", "parse_bytes", "plan", "spoken_bytes"]
