"""Graphs and matrices of one's own."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..core.checks import choice, or_none, whole
from ..errors import bad
from ..mixing import Dense, Edges
from ._graph import Graph
from ._topology import TOLERANCE, Topology, build
from ._weights import Metropolis, UniformNeighbour, Weights, weighted


def from_edges(
    edges: Sequence[tuple[int, int]] | np.ndarray,
    n: int | None = None,
    *,
    directed: bool = False,
    weights: Weights | None = None,
    allow_disconnected: bool = False,
    name: str = "from_edges",
) -> Topology:
    """A graph from a list of pairs.

    Args:
      edges: m pairs of node ids in 0..n-1; (receiver, sender) where directed. Repeated pairs count
        once.
      n: number of nodes; left out, one more than the largest id.
      directed: whether (i, j) means only that i hears j.
      weights: weight rule; left out, metropolis(), or uniform_neighbour() where directed.
      allow_disconnected: accept a graph in several parts.
      name: what to call it.
    Raises:
      ValueError: an id out of range, a self loop, or a disconnected graph.
    Example:
      >>> from_edges([(0, 1), (1, 2)]).matrix()[0].round(3).tolist()
      [0.667, 0.333, 0.0]
    """
    pairs = np.asarray(edges)
    if pairs.size == 0:
        pairs = np.zeros((0, 2), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise bad(
            "edges",
            edges,
            owner="from_edges",
            says=f"has shape {pairs.shape} and dtype {pairs.dtype}",
            instead="give m pairs of whole numbers",
        )
    n = int(whole("from_edges.n", n if n is not None else int(pairs.max(initial=0)) + 1))
    outside = np.flatnonzero(((pairs < 0) | (pairs >= n)).any(1))
    if len(outside):
        raise bad(
            "edges",
            tuple(pairs[outside[0]].tolist()),
            owner="from_edges",
            says=f"[{outside[0]}] is {tuple(pairs[outside[0]].tolist())}",
            instead=f"ids must lie in 0..{n - 1} (n = {n})",
        )
    loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if len(loops):
        raise bad(
            "edges",
            tuple(pairs[loops[0]].tolist()),
            owner="from_edges",
            says=f"[{loops[0]}] is {tuple(pairs[loops[0]].tolist())}",
            why="a self loop",
            instead="leave it out, own weights are set by the weight rule",
        )
    graph = (Graph.directed if directed else Graph.undirected)(n, pairs[:, 0], pairs[:, 1])
    rule = weights if weights is not None else UniformNeighbour() if directed else Metropolis()
    return build(name, weighted(graph, rule), allow_disconnected)


def from_matrix(
    matrix: Any,
    *,
    kind: Literal["doubly", "row", "column"] | None = None,
    allow_disconnected: bool = False,
    allow_negative: bool = False,
    name: str = "from_matrix",
) -> Topology:
    """A topology from W itself: `matrix[i, j]` is the weight that receiver i gives to sender j.

    A traced matrix (under jit, vmap or grad) is taken as it is, as a dense kernel, so that one can
    differentiate through it; values are then not checked.

    Args:
      matrix: [n, n], or [P, n, n] for a sequence of period P; NumPy or JAX.
      kind: demand that W be "doubly", "row" or "column" stochastic; of a traced W it is believed
        ("doubly" if left out).
      allow_disconnected: accept a W whose graph falls into parts.
      allow_negative: accept negative weights.
      name: what to call it.
    Raises:
      ValueError: a wrong shape, a non-finite or negative weight, sums that are not 1 (the text
        names the furthest node), or a disconnected graph.
    Example:
      >>> from_matrix(np.full((2, 2), 0.5)).kind
      'doubly'
    """
    or_none(choice("doubly", "row", "column"), "or leave it out")("from_matrix.kind", kind)
    shape = tuple(np.shape(matrix))
    if len(shape) not in (2, 3) or shape[-1] != shape[-2] or 0 in shape:
        raise bad(
            "matrix",
            matrix,
            owner="from_matrix",
            says=f"has shape {shape}",
            instead="give [n, n], or [P, n, n] for a sequence",
        )
    if isinstance(matrix, jax.core.Tracer):
        stacked = matrix.reshape((-1, *shape[-2:]))
        stacked = stacked.astype(jnp.promote_types(stacked.dtype, jnp.float32))
        return Topology(
            Dense(stacked), name, kind or "doubly", symmetric=False, connected=True, period=stacked.shape[0],
            dtype=stacked.dtype.name,
        )  # fmt: skip
    given = np.asarray(matrix)
    dense = given.astype(np.float64).reshape((-1, *shape[-2:]))
    if not np.isfinite(dense).all():
        at = tuple(int(a) for a in np.argwhere(~np.isfinite(dense))[0][1:])
        raise bad(
            "matrix",
            dense[0][at] if len(dense) == 1 else None,
            owner="from_matrix",
            says=f"[{at[0]}, {at[1]}] is {(dense[0][at] if len(dense) == 1 else 'not finite')}",
            instead="give finite weights",
        )
    if not allow_negative and (dense < 0).any():
        at = tuple(int(a) for a in np.unravel_index(int(dense.argmin()), dense.shape))[1:]
        raise bad(
            "matrix",
            float(dense.min()),
            owner="from_matrix",
            says=f"[{at[0]}, {at[1]}] is {dense.min():.6g}",
            why="a negative weight",
            instead="give weights >= 0, or say allow_negative=True",
        )
    tolerance = TOLERANCE if given.dtype == np.float64 else 10 * shape[-1] ** 0.5 * 1.2e-7
    return build(name, [Edges.from_matrix(w) for w in dense], allow_disconnected, kind, tolerance)


def from_networkx(
    graph: Any, *, weights: Weights | None = None, allow_disconnected: bool = False, name: str = "from_networkx"
) -> Topology:
    """A topology from a networkx graph; its nodes are numbered in their order.

    An edge u -> v of a directed graph means that v hears u. Self loops and edge attributes are
    ignored.

    Args:
      graph: networkx Graph or DiGraph.
      weights: weight rule; left out, metropolis(), or uniform_neighbour() where directed.
      allow_disconnected: accept a graph in several parts.
      name: what to call it.
    Example:
      >>> import networkx as nx
      >>> from_networkx(nx.path_graph(3)).n
      3
    """
    at = {v: i for i, v in enumerate(graph.nodes())}
    if not at:
        raise bad("graph", graph, owner="from_networkx", says="has no nodes", instead="give at least one")
    pairs = [(at[v], at[u]) for u, v in graph.edges() if u != v]
    return from_edges(
        np.array(pairs, np.int64).reshape(-1, 2), len(at), directed=graph.is_directed(), weights=weights,
        allow_disconnected=allow_disconnected, name=name,
    )  # fmt: skip


__all__ = ["from_edges", "from_matrix", "from_networkx"]
