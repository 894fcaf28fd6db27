"""What a round sends, read off its traced program.

Bytes between nodes, and bytes between the devices of a mesh.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from .. import engine, mixing
from ..core.byte_sizes import array_bytes
from ..core.types import Keys, Method, Network, Problem, Tree
from ..devices import placement
from ..round.meters import LOW_BITS
from ..xla.traced import inner_programs


class Traced(NamedTuple):
    """One round as a traced program of (carry, leaves of method, problem and network, key, t)."""

    jaxpr: Any
    meters: Any
    leaves: list[Any]
    carried: int  # how many of its inputs are the carry


class Crossing(NamedTuple):
    """Bytes of rows that devices send each other in a round, by exchanges that dejax builds.

    All devices together. What the compiler adds (sums, gathers of cohorts) only the compiled
    program tells.

    Args:
      rows: as they are sent. must: what of that must cross, each row once per device that hears it;
        None where dejax builds none.
    """

    rows: float
    must: float | None


def trace(method: Method, problem: Problem, network: Network, axes: Tree, carry: Tree) -> Traced:
    """Trace one round. axes: of `engine.carry_axes`; carry: of `engine.start`, or its shapes."""
    leaves, shape = jax.tree.flatten((method, problem, network))

    def one(carry: Tree, leaves: list[Any], key: Keys, t: Any) -> Any:
        m, p, w = jax.tree.unflatten(shape, leaves)
        return engine.one_round(m, p, w, axes, key, carry, t, t)

    args = (carry, leaves, jax.random.key(0), jax.ShapeDtypeStruct((), np.int32))
    closed, out = jax.make_jaxpr(one, return_shape=True)(*args)
    return Traced(closed, out[1], leaves, len(jax.tree.leaves(carry)))


def sent_bytes(network: Network, traced: Traced, rounds: range | None = None) -> dict[str, float] | None:
    """Count the bytes that all nodes send per round, by message name.

    It is the mean over `rounds`, by default one period of the graph. The meters' part of a traced round is cut out of it
    and evaluated alone: no gradient is computed. A codec whose sizes depend on the values counts as
    None (unknown).
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
    if rounds is None:
        rounds = range(max(1, min(getattr(network.topology, "period", 1) or 1, 64)))
    total = dict.fromkeys(names, 0.0)
    for t in rounds if names else ():
        out = iter(run(*[np.int32(t) if isinstance(v, str) else v for v in used_values]))
        for name in sorted(names):  # dictionaries flatten in sorted order
            limbs = {limb: int(np.asarray(next(out)).astype(np.int64).sum()) for limb in sorted(meters.counts[name])}
            total[name] += (limbs["lo"] + (limbs["hi"] << LOW_BITS)) * meters.units[name] / 8 / len(rounds)
    return total


def crossing(given: tuple[Any, Any, Any], layout: Any, ready: Tree, traced: Traced, runs: int) -> Crossing:
    """What one round of so many runs sends between devices.

    Args:
      given, ready: method, problem and network before and after they were placed. traced: the round
        of `ready`.
    """
    n, devices = given[1].n, ready[1].place.devices
    rows = runs * _exchanged(traced.jaxpr.jaxpr, devices)
    links = None if ready[2].topology is None else ready[2].topology.links
    if not isinstance(links, mixing.Halo):
        return Crossing(rows, None)
    routes = links.routes
    _, _, order, phases = placement.order_of(*given, layout)
    if not phases:  # drawn afresh: all rows go to all devices
        return Crossing(rows, rows)
    at = np.arange(n) if order is None else np.argsort(order)
    must = sum(mixing.crossing(at[e.senders], at[e.receivers], n, devices) for e in phases)
    if routes.rounds is None:
        sent = len(phases) * n * (devices - 1)
    else:
        sent = sum(len(pairs) * width for phase in routes.rounds for pairs, width in phase)
        sent *= len(phases) // len(routes.rounds)  # one list of rounds may serve all phases
    return Crossing(rows, rows * must / sent if sent else 0.0)


def _exchanged(jaxpr: Any, devices: int) -> float:
    """Count the bytes that all devices send in the exchanges of a traced program.

    Of branches the mean, since those are phases of a graph.
    """
    total = 0.0
    for eqn in jaxpr.eqns:
        name, held = eqn.primitive.name, sum(array_bytes(v.aval) for v in eqn.invars)
        if name == "ppermute":
            total += held * sum(a != b for a, b in eqn.params["perm"])
        elif name == "all_gather":
            total += held * devices * (devices - 1)
        inner = [_exchanged(program, devices) for program in inner_programs(eqn)]
        if inner:
            total += sum(inner) * eqn.params.get("length", 1) / (len(inner) if name == "cond" else 1)
    return total


__all__ = ["Crossing", "Traced", "crossing", "sent_bytes", "trace"]
