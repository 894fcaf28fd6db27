"""What a run will take: bytes per node and in all, and the largest n that fits. By formula; nothing is computed.

Shapes come from tracing (`jax.eval_shape`): parameters from `task.init`, state from `method.init` for n and n + 1 nodes,
the network's memory from recording one round. Sizes of activations come from the traced loss.
"""

import dataclasses
import math
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .round.meters import LOW_BITS

KEEP = 0.9  # share of the machine's memory that a run may take; the rest is the program, Python and the allocator
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclasses.dataclass(frozen=True)
class Part:
    """One line of a plan: `per_node` bytes that grow with n, `shared` bytes that do not, `square` bytes per n^2."""

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
        return sum(p.per_node + p.square * self.n for p in self.parts)

    @property
    def total(self) -> float:
        """Bytes of the run."""
        return sum(p.total(self.n) for p in self.parts)

    @property
    def largest(self) -> int:
        """Most nodes that fit into KEEP of the memory, everything else equal."""
        room = self.memory * KEEP - sum(p.shared for p in self.parts)
        linear, square = sum(p.per_node for p in self.parts), sum(p.square for p in self.parts)
        if room <= 0:
            return 0
        if square > 0:
            return int((-linear + math.sqrt(linear * linear + 4 * square * room)) / (2 * square))
        return int(room / linear) if linear > 0 else 0

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
) -> Plan:
    """Bytes of one run, by formula.

    Args:
      method, problem, network, rounds: as for `simulate`.
      memory: bytes that there are; None asks the machine (the accelerator's, where there is one).
      label: name of the run. seeds: how many of them run at once; all but data and graph is held once for each.
    Returns:
      Plan. State, data, graph and the network's memory are exact; gradients, copies that the scan holds, activations
      and evaluation are estimates (within about a factor of 2 of what XLA allocates).
    Example:
      >>> plan(dsgd(lr=0.1), problem, network, rounds=100).largest
    """
    from . import engine, roles

    n = problem.n
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(problem.task.init, key)
    model = size(params)
    node_tree = lambda count: jax.tree.map(lambda s: jax.ShapeDtypeStruct((count, *s.shape), s.dtype), params)
    method, problem, network = engine.prepare(method, problem, network, rounds)
    state, more = (
        size(jax.eval_shape(method.init, roles.split(problem.rules, node_tree(count)).shared, key))
        for count in (n, n + 1)
    )
    per_node = more - state
    carry = jax.eval_shape(engine.start, method, problem, network, key)
    slots = (carry.slots, carry.sent)
    sent_by = sent_bytes(method, problem, network, carry)
    batch, activations = working(problem, params)
    together = min(n, problem.block or n, rows(method, n))
    share = together / n
    data = problem.data
    index = size([x for x in (data.index, data.count, data.test_index, data.test_count, data.facts) if x is not None])
    graph = Part("graph", *graph_bytes(network, n))
    slot_node, slot_shared = slot_bytes(slots, n)
    parts = (
        Part("state", per_node, state - per_node * n, note=f"{per_node / model:.3g} models per node" if model else ""),
        Part("memory of the network", slot_node, slot_shared, note="codecs, samplers, clocks"),
        Part("copy in the scan", per_node + slot_node, note="the loop holds one more of its carry"),
        Part("gradients, messages", model * (share + (1 if per_node else 0)), note="one gradient, one mixed model"),
        Part("activations", activations * share, note=f"{together:,} nodes at a time, estimate"),
        Part("batches", batch * share),
    )
    each = [dataclasses.replace(p, per_node=p.per_node * seeds, shared=p.shared * seeds) for p in parts]
    parts = (
        *each,
        Part("indices", index / n, note="which samples a node has"),
        Part("data", 0.0, size([data.arrays, data.test])),
        graph,
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


def size(tree: Any) -> int:
    """Bytes of all arrays (or shapes) in a tree."""
    return sum(math.prod(x.shape) * _item(x) for x in jax.tree.leaves(tree) if hasattr(x, "shape"))


def _item(x: Any) -> int:
    return 8 if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.dtype(x.dtype).itemsize


def rows(method: Any, n: int) -> int:
    """How many nodes compute in a round: the size of the cohort where the method samples one."""
    clients = getattr(method, "clients", None) or getattr(method, "sample", None)
    return min(n, clients) if isinstance(clients, int) and not isinstance(clients, bool) else n


def working(problem: Any, params: Any) -> tuple[int, int]:
    """Bytes of one node's batch, and of what its loss keeps for the backward pass (every intermediate once)."""
    data = problem.data
    count = problem.batch_size or data.index.shape[1]
    batch = {k: jax.ShapeDtypeStruct((count, *v.shape[1:]), v.dtype) for k, v in data.arrays.items()}
    key = jax.eval_shape(lambda: jax.random.key(0))
    jaxpr = jax.make_jaxpr(lambda p, b, k: problem.task.loss(p, b, k))(params, batch, key)
    return size(batch), _outputs(jaxpr.jaxpr)


def _outputs(jaxpr: Any) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        inner = [getattr(v, "jaxpr", v) for v in eqn.params.values()]
        inner = [j for j in inner if hasattr(j, "eqns")]
        if inner:
            times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
            total += times * sum(_outputs(j) for j in inner)
        else:
            total += sum(math.prod(v.aval.shape) * _item(v.aval) for v in eqn.outvars if hasattr(v.aval, "shape"))
    return total


def slot_bytes(slots: Any, n: int) -> tuple[float, float]:
    """(bytes per node, shared bytes) of recorded slots: leaves whose first axis is n are the nodes'."""
    leaves = [x for x in jax.tree.leaves(slots) if hasattr(x, "shape")]
    node = [x for x in leaves if x.shape[:1] == (n,)]
    return size(node) / n, float(size(leaves) - size(node))


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


def sent_bytes(method: Any, problem: Any, network: Any, carry: Any) -> dict[str, float] | None:
    """Bytes that all nodes send per round, by message name: the mean over one period of the graph.

    The meters' part of a traced round is cut out of it and evaluated alone: no gradient is computed. A codec whose sizes
    depend on the values counts as None (unknown).
    """
    from jax.extend.core import jaxpr_as_fun
    from jax.interpreters.partial_eval import dce_jaxpr

    from . import engine

    def counts(carry: Any, leaves: list[Any], key: Any, t: Any) -> Any:
        m, p, w = jax.tree.unflatten(shape, leaves)
        return engine._one_round(m, p, w, axis, key, carry, t, None)[1]

    leaves, shape = jax.tree.flatten((method, problem, network))
    key = jax.random.key(0)
    axis = engine.node_axis(method, problem, key)
    args = (carry, leaves, key, jax.ShapeDtypeStruct((), np.int32))
    closed, meters = jax.make_jaxpr(counts, return_shape=True)(*args)
    wanted = jax.tree.map(lambda _: False, meters)
    names = [name for name in meters.units if "/" in name]
    for name in names:
        wanted.counts[name] = jax.tree.map(lambda _: True, meters.counts[name])
    jaxpr, used = dce_jaxpr(closed.jaxpr, jax.tree.leaves(wanted))
    known = [*jax.tree.map(lambda _: None, jax.tree.leaves(carry)), *leaves, key]
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


__all__ = ["Part", "Plan", "machine_memory", "parse_bytes", "plan", "spoken_bytes"]
