"""The parts of a plan: what state, slots, graph, a round and an evaluation hold, by shapes and traced programs."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import mixing
from ..core.abstract import model_like
from ..core.byte_sizes import array_bytes, spoken_bytes
from ..devices import node_blocks, placement
from ..round.meters import LOW_BITS
from . import liveness
from .shares import Spread

EVALUATION, REORDERING = "evaluation", "reordering"


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


class Traced(NamedTuple):
    """One round as a traced program of (carry, leaves of method, problem and network, key, t)."""

    jaxpr: Any
    meters: Any
    leaves: list[Any]
    carried: int  # how many of its inputs are the carry


def trace(method: Any, problem: Any, network: Any, axes: Any, carry: Any) -> Traced:
    """Trace one round. axes: of `engine.carry_axes`; carry: of `engine.start`, or its shapes."""
    from .. import engine

    leaves, shape = jax.tree.flatten((method, problem, network))

    def one(carry: Any, leaves: list[Any], key: Any, t: Any) -> Any:
        m, p, w = jax.tree.unflatten(shape, leaves)
        return engine.one_round(m, p, w, axes, key, carry, t, t)

    args = (carry, leaves, jax.random.key(0), jax.ShapeDtypeStruct((), np.int32))
    closed, out = jax.make_jaxpr(one, return_shape=True)(*args)
    return Traced(closed, out[1], leaves, len(jax.tree.leaves(carry)))


class Crossing(NamedTuple):
    """Bytes that devices send each other in a round, all together.

    Args:
      rows: of nodes, as the round sends them. must: what of that must cross, each row once per device that hears it; None where the
        round sends no rows itself. others: what the compiler adds, by estimate.
    """

    rows: float
    must: float | None
    others: float


def crossing(
    given: tuple[Any, Any, Any], layout: Any, ready: Any, axes: Any, carry: Any, traced: Traced, runs: int
) -> Crossing:
    """What one round of so many runs sends between devices. given, ready: method, problem and network before and after they were placed."""
    spread = spread_of(ready[1].place, axes, carry, traced.leaves, None, None)
    if spread is None:
        return Crossing(0.0, None, 0.0)
    rows, others = (runs * sent for sent in liveness.sent(traced.jaxpr, spread))
    wires = getattr(getattr(ready[2].topology, "links", None), "wires", None)
    if wires is None:
        return Crossing(rows, None, others)
    _, _, order, phases = placement.order_of(*given, layout)
    n, devices = given[1].n, spread.devices
    if not phases:  # drawn afresh: all rows go to all devices
        return Crossing(rows, rows, others)
    at = np.arange(n) if order is None else np.argsort(order)
    must = sum(mixing.crossing(at[e.senders], at[e.receivers], n, devices) for e in phases)
    if wires.rounds is None:
        sent = len(phases) * n * (devices - 1)
    else:
        sent = sum(len(pairs) * width for phase in wires.rounds for pairs, width in phase)
        sent *= len(phases) // len(wires.rounds)  # one list of rounds may serve all phases
    return Crossing(rows, rows * must / sent if sent else 0.0, others)


def round_parts(method: Any, problem: Any, network: Any, axes: Any, carry: Any, traced: Traced) -> tuple[Part, Part]:
    """What a round holds beside its carry: what grows with n, and what a block of nodes bounds."""
    n, spread = problem.n, spread_of(problem.place, axes, carry, traced.leaves, None, None)

    def peak(traced: Traced) -> liveness.Peak:
        inputs = len(traced.jaxpr.jaxpr.invars)
        return liveness.parts(traced.jaxpr, [i < traced.carried for i in range(inputs)], spread=spread)

    whole = peak(traced)
    base, most = whole.bytes - whole.inside, float(whole.inside)
    rows = n if problem.place is None else problem.place.rows(n)
    if rows >= 8 and not whole.inside:  # no blocks yet at this n: look at a quarter of the nodes at a time
        quarter = dataclasses.replace(problem, block=rows // 4)
        blocked = peak(trace(method, quarter, network, axes, carry))
        base = min(whole.bytes, blocked.bytes - blocked.inside)
        most = math.inf
        if problem.block == "auto" and node_blocks.comes_in_blocks((whole.bytes - base) / n, _model_bytes(problem)):
            most = max(whole.bytes - base, node_blocks.budget(node_blocks.TRAINING))
    held = whole.bytes - base
    at_a_time = "" if most == math.inf else f"at most {spoken_bytes(most)}, by blocks of nodes"
    return (
        Part("gradients, messages", base / n, note="estimate: live ranges of the traced round"),
        Part("activations, batches", held / n, note=at_a_time if held else "", most=most if held else math.inf),
    )


def _model_bytes(problem: Any) -> int:
    return sum(array_bytes(x) for x in jax.tree.leaves(model_like(problem.task)))


def spread_of(place: Any, axes: Any, carry: Any, *more: Any) -> Spread | None:
    """How the inputs of a program of a carry and more trees lie on devices; None without a mesh. A None in `more` is one input."""
    if place is None:
        return None
    flags = jax.tree.leaves(jax.tree.map(lambda has, x: [has] * len(jax.tree.leaves(x)), axes, carry))
    leaves = [x for tree in more for x in ([None] if tree is None else jax.tree.leaves(tree))]
    return Spread(place.devices, (*(0 if has else None for has in flags), *map(placement.axis_of, leaves)))


def evaluation(method: Any, problem: Any, network: Any, data: Any, carry: Any, nodes: int | None) -> Part:
    """What the usual metrics hold beside the state: the dearest of them. data: of the problem before it was placed."""
    from .. import engine, population
    from ..metrics import _models
    from ..metrics.view import is_shared

    del network
    params = jax.eval_shape(lambda carry: engine.model(method, engine.state_of(carry)), carry)
    shared, n, place = is_shared(problem.task, params, problem.n), problem.n, problem.place
    rows = jax.tree.map(lambda _: not shared, params)
    found = []
    if not shared:
        jaxpr = jax.make_jaxpr(population.consensus_distance)(params)
        found.append(liveness.parts(jaxpr, spread=spread_of(place, rows, params)))
    width = n if nodes is None else min(nodes, n)
    if data.test is not None and not shared:
        static = (problem.task, shared, False, data.num_classes, "auto")
        ids, key = jax.ShapeDtypeStruct((width,), np.int32), jax.random.key(0)

        def numbers(params: Any, test: Any, ids: Any, key: Any, place: Any) -> Any:
            return _models._nodes(static, params, key, test, None, None, ids, place, None if width == n else ids)

        jaxpr = jax.make_jaxpr(numbers)(params, data.test, ids, key, place)
        found.append(liveness.parts(jaxpr, spread=spread_of(place, rows, params, data.test, None, None, place)))
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


def reordering(place: Any, axes: Any, carry: Any) -> Part:
    """What it takes beside the carry to put it in order for a checkpoint, where nodes have changed places."""
    if place is None or place.ids is None:
        return Part(REORDERING, 0.0)
    jaxpr = jax.make_jaxpr(lambda carry, place: place.in_order(axes, carry))(carry, place)
    held = liveness.peak(jaxpr, spread=spread_of(place, axes, carry, place))
    return Part(
        REORDERING, held / place.ids.shape[0], note="rows by node id, for checkpoints; beyond what a round holds"
    )


def size(tree: Any) -> int:
    """Bytes of all arrays (or shapes) in a tree."""
    return sum(array_bytes(x) for x in jax.tree.leaves(tree))


def slot_bytes(axes: Any, carry: Any, network: Any, n: int, devices: int) -> tuple[float, float]:
    """(bytes per node, shared bytes) of slots on each of the devices that divide the nodes.

    Slots of nodes by their declared axes; rows of edges, as many per node as now, are whole on every device.
    """
    edges = () if network.edges is None else (network.edges.m,)
    slots, declared = jax.tree.leaves((carry.slots, carry.sent)), jax.tree.leaves((axes.slots, axes.sent))
    node = [x for x, has in zip(slots, declared, strict=True) if has]
    edge = [x for x, has in zip(slots, declared, strict=True) if not has and x.shape[:1] == edges]
    return size(node) / n / devices + size(edge) / n, float(size(slots) - size(node) - size(edge))


def graph_bytes(network: Any, n: int) -> tuple[float, float, float]:
    """(per node, shared, per n^2) bytes of the graph's arrays on a device, by what their fields declare (`grows`)."""
    held = [0.0, 0.0, 0.0]

    def add(value: Any, power: int) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                if not field.metadata.get("static"):
                    add(getattr(value, field.name), field.metadata.get("grows", power))
        else:
            held[power] += sum(map(placement.bytes_of, jax.tree.leaves(value)))

    add(network, 0)
    return held[1] / n, held[0], held[2] / n**2


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
