"""Pictures of a topology: its graph and its spectrum."""

import math
from typing import Any

import numpy as np

from ..core.types import Axes
from ._spectrum import eigenvalues_known, facts, spectrum
from ._topology import Topology

BLUE, ORANGE, GREY = "#2f6f9f", "#d1702c", "#9aa5ad"
LINES_UP_TO = 20_000  # edges that are drawn


def places(name: str, n: int, edges: np.ndarray, circle: bool = False) -> np.ndarray:
    """Return positions [n, 2] for a drawing.

    Lattices as lattices, trees by level, stars around their hub, others on a circle or by springs.

    Args:
      name: of the topology. edges: [m, 2], those of all phases. circle: see `on_a_circle`.
    """
    i = np.arange(n)
    if name in ("grid", "torus"):
        reach = np.abs(edges[:, 0] - edges[:, 1])
        steps = np.unique(reach[reach > 1])
        columns = int(steps[0]) if len(steps) else n
        columns = next(
            (int(s) for s in steps if n % s == 0 and s + 1 not in steps and s * (n // s - 1) in (*steps, s)), columns
        )
        return np.stack([i % columns, -(i // columns)], 1).astype(float)
    if name == "binary_tree":
        level = np.floor(np.log2(i + 1)).astype(int)
        return np.stack([(i + 1 - 2.0**level + 0.5) / 2.0**level, -level.astype(float)], 1)
    if name == "chain":
        return np.stack([i, np.sin(i * 0.0)], 1).astype(float)
    angle = 0.5 * math.pi - 2 * math.pi * i / max(n, 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    if name == "star":
        angle = 2 * math.pi * (i - 1) / max(n - 1, 1)
        return np.where(i[:, None] == 0, 0.0, np.stack([np.cos(angle), np.sin(angle)], 1))
    if circle or n > 400:
        return ring
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(map(tuple, edges.tolist()))
    place = nx.spring_layout(graph, seed=0, pos=dict(enumerate(ring)), iterations=150, k=1.6 / math.sqrt(n))
    return np.array([place[v] for v in range(n)])


def on_a_circle(top: Topology) -> bool:
    """Whether a graph is drawn on a circle.

    That is where each node has neighbors at the same distances, or the name says so.
    """
    circulant = bool(top.period) and top.links.offset_weights() is not None
    return circulant or top.name in ("complete", "one_peer_ring", "base_graph", "watts_strogatz")


def phases_drawn(top: Topology) -> list[np.ndarray]:
    """Edges [m, 2] of each phase that a picture shows.

    None of graphs that are drawn afresh in each phase, nor of large graphs in which all are joined: the picture would be full.
    """
    known = top.period and not (top.n > 200 and top.links.pair_weights() is not None)
    return [top.edges(t) for t in range(top.period)] if known else []


def union(phases: list[np.ndarray]) -> np.ndarray:
    """Edges [m, 2] of all phases, each once."""
    return np.unique(np.concatenate([*phases, np.zeros((0, 2), np.int64)]), axis=0)


def plot_graph(top: Topology, ax: Any = None) -> Any:
    """Draw nodes and edges.

    Each phase of a sequence has its own color; edges of a directed graph bend to the receiver's
    left.

    Args:
      top: any topology of period >= 1.
      ax: matplotlib axes; left out, a new figure is made.
    Returns:
      The matplotlib Figure.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    figure, ax = _axes(ax, (5, 5))
    phases = phases_drawn(top)
    place = places(top.name, top.n, union(phases), on_a_circle(top))
    hues = (
        [BLUE] if len(phases) <= 1 else [colormaps["viridis"](0.9 * t / (len(phases) - 1)) for t in range(len(phases))]
    )
    for t, e in enumerate(phases):
        if top.symmetric:
            e = e[e[:, 0] < e[:, 1]]
        shown = e if len(e) <= LINES_UP_TO else e[:: -(-len(e) // LINES_UP_TO)]
        alpha = float(np.clip(60 / max(len(shown), 1), 0.06, 0.8))
        a, b = place[shown[:, 1]], place[shown[:, 0]]
        wraps = (top.name == "torus") & (np.abs(a - b).max(1, initial=0) > 1.5)  # or they would hide behind the lattice
        bend = np.where(wraps | (not top.symmetric), 0.12, 0.0)[:, None, None]
        s = np.linspace(0, 1, 12 if bend.any() else 2)[None, :, None]
        normal = np.stack([-(b - a)[:, 1], (b - a)[:, 0]], 1)[:, None] * bend
        curve = a[:, None] * (1 - s) + b[:, None] * s + 4 * s * (1 - s) * normal
        label = f"phase {t}" if len(phases) > 1 else None
        ax.add_collection(LineCollection(curve, colors=[hues[t]], linewidths=1.2, alpha=alpha, label=label, zorder=1))
    area = float(np.clip(4000 / top.n, 2, 120))
    ax.scatter(
        place[:, 0],
        place[:, 1],
        s=area,
        color="white",
        edgecolor=BLUE,
        linewidth=1.2 if top.n <= 200 else 0.4,
        zorder=2,
    )
    if top.n <= 32:
        for i, (x, y) in enumerate(place):
            ax.text(x, y, str(i), ha="center", va="center", fontsize=7, color="#33424d", zorder=3)
    ax.set_title(f"{top.name}, n = {top.n}" + (f", {top.period} phases" if top.period > 1 else ""), fontsize=11)
    if 1 < len(phases) <= 8:
        for handle in ax.legend(
            loc="upper left", bbox_to_anchor=(0, 0), ncols=4, frameon=False, fontsize=7
        ).legend_handles:
            handle.set_alpha(1)
    ax.margins(0.08)
    ax.set_axis_off()
    if top.name not in ("chain", "binary_tree"):
        ax.set_aspect("equal")
    return figure


def plot_spectrum(top: Topology, ax: Any = None) -> Any:
    """Eigenvalues by rank where they are real, in the unit disc where they are complex.

    Args:
      top: a topology of period >= 1 whose spectrum is known (at most 2,000 nodes, or circulant).
      ax: matplotlib axes; left out, a new figure is made.
    Returns:
      The matplotlib Figure.
    """
    figure, ax = _axes(ax, (5, 4))
    if not eigenvalues_known(top):
        ax.text(0.5, 0.5, "spectrum not computed", ha="center", va="center", color=GREY, transform=ax.transAxes)
        ax.set_axis_off()
        return figure
    values, known_facts = spectrum(top), facts(top)
    what = "W" if top.period == 1 else f"the product of {top.period} phases"
    if np.iscomplexobj(values):
        angle = np.linspace(0, 2 * math.pi, 400)
        ax.plot(np.cos(angle), np.sin(angle), color=GREY, lw=0.8)
        ax.scatter(values.real[1:], values.imag[1:], s=14, color=BLUE, alpha=0.7, lw=0)
        ax.scatter(values.real[:1], values.imag[:1], s=26, color=ORANGE, lw=0)
        ax.set_aspect("equal")
        ax.set_xlabel("real part")
        ax.set_ylabel("imaginary part")
    else:
        ordered = np.sort(values)[::-1]
        ax.axhline(0, color=GREY, lw=0.6)
        ax.plot(np.arange(1, top.n + 1), ordered, color=BLUE, lw=1.2, marker="o" if top.n <= 64 else None, ms=3.5)
        ax.scatter([1], ordered[:1], s=26, color=ORANGE, zorder=3, lw=0)
        ax.set_ylim(min(-0.05, float(ordered[-1]) - 0.05), 1.05)
        ax.set_xlabel("rank")
        ax.set_ylabel("eigenvalue")
    r = known_facts["rho"]
    ax.set_title(
        f"eigenvalues of {what}"
        + ("" if r is None else f": ρ = {r:.4g}" if r > 1e-12 else ": ρ = 0 (exact averaging)"),
        fontsize=10,
    )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return figure


def plot(top: Topology) -> Any:
    """The graph and its spectrum side by side.

    Args:
      top: any topology.
    Returns:
      The matplotlib Figure (5 x 10 inches); save it with `.savefig`.
    """
    figure, (left, right) = _figure((10, 5), 2)
    plot_graph(top, left)
    plot_spectrum(top, right)
    return figure


def _figure(size: tuple[float, float], columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, columns)


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Any, Any]:
    return (ax.figure, ax) if ax is not None else _figure(size, 1)


__all__ = ["plot", "plot_graph", "plot_spectrum"]
