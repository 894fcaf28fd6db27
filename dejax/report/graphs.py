"""The graphs of runs as plain values: what `graphs.json` of a run directory holds."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ..core.method import traits
from ..core.types import Method, Network
from ..topology import Topology
from ..topology._plot import on_a_circle, phases_drawn, places, union

NODES = 2_000  # of larger graphs nothing is kept: no page can show them
Phases = list[
    tuple[int, dict[str, Any]]
]  # (rounds done when it came into use, graph) of each phase with a graph of its own
EDGES = 6_000  # of graphs with more of them, evenly spaced ones are


def described(graph: Topology) -> dict[str, Any] | None:
    """Describe a graph for a picture: name, nodes, and the edges of all phases.

    Edges are a flat list, receiver and sender in turn; of an undirected graph each pair stands once.

    Returns:
      None of more than `NODES` nodes.
    """
    if not 0 < graph.n <= NODES:
        return None
    edges = union(phases_drawn(graph))
    if graph.symmetric:
        edges = edges[edges[:, 0] < edges[:, 1]]
    shown = edges[:: max(1, -(-len(edges) // EDGES))]
    out = {"name": graph.name, "n": int(graph.n), "period": int(graph.period), "symmetric": bool(graph.symmetric)}
    out |= {"circle": on_a_circle(graph), "edges": shown.ravel().tolist()}
    return out | ({"edges_in_all": len(edges)} if len(shown) < len(edges) else {})


def of_run(method: Method, network: Network | None) -> dict[str, Any] | None:
    """Describe the graph of a run; None where it has none, or its method talks to no neighbor."""
    graph = getattr(network, "topology", None)
    return described(graph) if isinstance(graph, Topology) and traits(method).gossips else None


def of_phases(phases: Iterable[tuple[int, Method, Network | None]]) -> Phases:
    """Describe the graphs of a run, each with the rounds done when it came into use.

    Args:
      phases: (the round where it begins, method, network) of each.
    Returns:
      Of phases in a row with one graph the first; nothing where a phase has no graph to be shown.
    """
    out: Phases = []
    for begin, method, network in phases:
        graph = of_run(method, network)
        if graph is None:
            return []
        if not out or graph != out[-1][1]:
            out.append((begin, graph))
    return out


def together(graphs: Mapping[str, Phases]) -> dict[str, Any]:
    """Hold each graph once, with the runs that have it.

    label -> [round where it begins, place in the list] of each phase.
    """
    kept: list[dict[str, Any]] = []
    for phases in graphs.values():
        kept += [graph for _, graph in phases if graph not in kept]
    of = {label: [[begin, kept.index(graph)] for begin, graph in phases] for label, phases in graphs.items()}
    return {"graphs": kept, "of": of}


def apart(held: Any) -> dict[str, Phases]:
    """The inverse of `together`; nothing of what is damaged."""
    graph = lambda at: _checked(held["graphs"][at])
    try:
        return {str(label): [(int(t), graph(at)) for t, at in phases] for label, phases in held["of"].items()}
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        return {}


def _checked(graph: dict[str, Any]) -> dict[str, Any]:
    """The known fields of a graph.

    Raises:
      ValueError, TypeError, KeyError: it is none.
    """
    n, edges = int(graph["n"]), [int(i) for i in graph["edges"]]
    if not 0 < n <= NODES or len(edges) % 2 or len(edges) > 2 * EDGES or not all(0 <= i < n for i in edges):
        raise ValueError("no graph")
    out = {"name": str(graph["name"]), "n": n, "period": int(graph["period"]), "symmetric": bool(graph["symmetric"])}
    out |= {"circle": bool(graph["circle"]), "edges": edges}
    return out | ({"edges_in_all": int(graph["edges_in_all"])} if "edges_in_all" in graph else {})


def placed(graph: dict[str, Any]) -> dict[str, Any]:
    """Add where the nodes stand, `xy`: flat, from 0 to 1, y downwards."""
    return graph | {"xy": _places(json.dumps(graph))}


@lru_cache(maxsize=64)  # springs take a while, and a page that lives asks again and again
def _places(text: str) -> list[float]:
    graph = json.loads(text)
    n, edges = graph["n"], np.asarray(graph["edges"], np.int64).reshape(-1, 2)
    xy = places(graph["name"], n, edges, graph["circle"]) * [1.0, -1.0]
    low, size = xy.min(0), np.ptp(xy, axis=0)
    if graph["name"] not in ("chain", "binary_tree"):  # circles stay round
        low, size = low - (size.max() - size) / 2, np.full(2, size.max())
    xy = np.where(size > 0, (xy - low) / np.where(size > 0, size, 1), 0.5)
    return np.round(xy, 4).ravel().tolist()


__all__ = ["Phases", "apart", "described", "of_phases", "of_run", "placed", "together"]
