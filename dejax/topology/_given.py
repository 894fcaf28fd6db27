"""Graphs and matrices of one's own."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..core.checks import choice, or_none, whole
from ..core.made import recorded
from ..core.warn import warn
from ..errors import a_name, bad
from ..mixing import Dense, Edges
from ._graph import Graph
from ._topology import TOLERANCE, Topology, build
from ._weights import Metropolis, UniformNeighbour, Weights, weighted


@recorded()
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


@recorded()
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
      matrix: [n, n], or [P, n, n] for a sequence of period P; NumPy, JAX or sparse of SciPy.
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
    if callable(getattr(matrix, "is_directed", None)):
        says, instead = f"is {a_name(matrix)} of networkx", "give it to dejax.topology.from_networkx"
        raise bad("matrix", matrix, owner="from_matrix", says=says, instead=instead)
    matrix = [_as_dense(w) for w in matrix] if isinstance(matrix, (list, tuple)) else _as_dense(matrix)
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
    rounded = given.dtype != np.float64 or bool((given == given.astype(np.float32)).all())  # as `matrix()` gives them
    tolerance = TOLERANCE if not rounded else 10 * shape[-1] ** 0.5 * 1.2e-7
    return build(name, [Edges.from_matrix(w) for w in dense], allow_disconnected, kind, tolerance)


def _as_dense(matrix: Any) -> Any:
    """A sparse matrix of SciPy as an array; others as they are."""
    dense = getattr(matrix, "toarray", None)
    return matrix if dense is None else dense()


@recorded()
def from_networkx(
    graph: Any,
    *,
    weight: str | None = None,
    normalize: Literal["row", "column", "doubly"] | None = None,
    weights: Weights | None = None,
    allow_disconnected: bool = False,
    name: str = "from_networkx",
) -> Topology:
    """A topology from a networkx graph; its nodes are numbered in their order.

    An edge u -> v of a directed graph means that v hears u. Without `weight` the graph says who
    hears whom, a rule makes the weights, and a warning names what is not used: self loops, and
    numbers on edges unless `weights` says that a rule is meant.

    Args:
      graph: networkx Graph or DiGraph; weights of parallel edges of a multigraph add up.
      weight: edge attribute that holds the weight a_vu >= 0 that v gives to u, e.g. "weight"; that of
        a self loop is the node's own, a_vv.
      normalize: how weights become W. "row": W_vu = a_vu / sum_u a_vu. "column": W_vu = a_vu / sum_v
        a_vu. In both a sum of nothing is 1 at the node itself. "doubly": W_vu = a_vu / (s + a) with s
        the largest sum at a node and a the largest weight, and what is missing to 1 at the node
        itself, in place of self loops; equal weights give `max_degree()`. None: the weights are W.
      weights: weight rule where `weight` is left out; default metropolis(), or uniform_neighbour()
        where directed.
      allow_disconnected: accept a graph in several parts.
      name: what to call it.
    Raises:
      ValueError: no networkx graph, or one without nodes; an edge whose weight is missing, negative
        or no finite number; sums that are not 1 without `normalize`; "doubly" where a node gives more
        than it gets; `weight` and `weights` together.
    Example:
      >>> import networkx as nx
      >>> graph = nx.Graph([(0, 1, {"weight": 3.0}), (1, 2, {"weight": 1.0})])
      >>> from_networkx(graph, weight="weight", normalize="row").matrix()[1].tolist()
      [0.75, 0.0, 0.25]
    """
    bad_here = functools.partial(bad, owner="from_networkx")
    if not all(callable(getattr(graph, m, None)) for m in ("nodes", "edges", "is_directed")):
        shape = getattr(graph, "shape", None)
        says = f"is a {type(graph).__name__}" + ("" if shape is None else f" of shape {tuple(shape)}")
        instead = "give a networkx graph; a matrix goes to from_matrix, a list of pairs to from_edges"
        raise bad_here("graph", graph, says=says, instead=instead)
    at = {v: i for i, v in enumerate(graph.nodes())}
    if not at:
        raise bad_here("graph", graph, says="has no nodes", instead="give at least one")
    or_none(choice("row", "column", "doubly"), "or leave it out")("from_networkx.normalize", normalize)
    if weight is not None:
        if weights is not None:
            raise bad_here(
                "weights", weights, why=f"but weight={weight!r} takes those of the edges", instead="give one of them"
            )
        return build(name, _networkx_weights(graph, at, weight, normalize), allow_disconnected)
    if normalize is not None:
        raise bad_here(
            "normalize", normalize, why="but there is no weight to normalize", instead='give weight="weight", too'
        )
    _warn_unused(graph, weights is None)
    pairs = [(at[v], at[u]) for u, v in graph.edges() if u != v]
    return from_edges(
        np.array(pairs, np.int64).reshape(-1, 2), len(at), directed=graph.is_directed(), weights=weights,
        allow_disconnected=allow_disconnected, name=name,
    )  # fmt: skip


def _warn_unused(graph: Any, numbers: bool) -> None:
    """Warn of self loops and parallel edges, and where `numbers` of numbers on edges."""
    loops = sum(u == v for u, v in graph.edges())
    named = {k for *_, held in graph.edges(data=True) for k, v in held.items() if _is_number(v)} if numbers else set()
    unused = [f"{loops} self loop{'s' * (loops > 1)}"] if loops else []
    parallel = graph.number_of_edges() - len({(u, v) for u, v, *_ in graph.edges()}) if graph.is_multigraph() else 0
    unused += [f"{parallel} parallel edge{'s' * (parallel > 1)}"] if parallel else []
    unused += [f"the edge attribute {k!r}" for k in sorted(map(str, named))]
    if unused:
        key = "weight" if "weight" in named or not named else min(map(str, named))
        warn(
            f"from_networkx does not use {' and '.join(unused)} of the graph: the weights of W are made by a rule. Give weight={key!r} and "
            "normalize= to use them, or weights=metropolis() and a graph without self loops and parallel edges if a rule is meant."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _networkx_weights(graph: Any, at: dict[Any, int], weight: str, normalize: str | None) -> Edges:
    """W of the weights on a graph's edges."""
    n, sums = len(at), dict[tuple[int, int], float]()
    for u, v, held in graph.edges(data=True):
        value = held.get(weight)
        if not _is_number(value) or not 0 <= value < np.inf:
            says = f"has the edge ({u!r}, {v!r}) " + (
                f"with {weight} = {value!r}" if weight in held else f"without {weight!r}"
            )
            raise bad("graph", value, owner="from_networkx", says=says, instead="give every edge a finite weight >= 0")
        for pair in {(at[v], at[u])} if graph.is_directed() else {(at[v], at[u]), (at[u], at[v])}:
            sums[pair] = sums.get(pair, 0.0) + float(value)
    loops = {i: w for (i, j), w in sums.items() if i == j}
    pairs = np.array([p for p, w in sums.items() if p[0] != p[1] and w], np.int64).reshape(-1, 2)
    a = np.array([w for p, w in sums.items() if p[0] != p[1] and w], np.float64)
    own = np.array([loops.get(i, 0.0) for i in range(n)])
    row, column = (own + np.bincount(pairs[:, k], a, n) for k in (0, 1))
    if normalize in ("row", "column"):
        total, which = (row, 0) if normalize == "row" else (column, 1)
        safe = np.where(total > 0, total, 1)
        a, own = a / safe[pairs[:, which]], np.where(total > 0, own / safe, 1.0)
    elif normalize == "doubly":
        hears, sends = row - own, column - own
        far = int(np.abs(hears - sends).argmax())
        if abs(hears[far] - sends[far]) > 1e-9 * max(hears[far], sends[far]):
            says = f"has a node, {list(at)[far]!r}, that gets weights of {hears[far]:.6g} in all and gives {sends[far]:.6g}"
            raise bad("graph", graph, owner="from_networkx", says=says, instead='say normalize="row" or "column"')
        a = a / (hears.max(initial=0) + a.max(initial=0) or 1.0)
        own = 1.0 - np.bincount(pairs[:, 0], a, n)
        if loops:
            warn(
                f"from_networkx does not use {len(loops)} self loop{'s' * (len(loops) > 1)}: normalize='doubly' makes own weights"
            )
    elif min(np.abs(row - 1).max(), np.abs(column - 1).max()) > TOLERANCE:
        says = f"is None, but the weights that nodes hear sum to {row.min():.6g} to {row.max():.6g}"
        raise bad("normalize", owner="from_networkx", says=says, instead='give "row", "column" or "doubly"')
    return Edges.sorted(n, pairs[:, 0], pairs[:, 1], a, own)


__all__ = ["from_edges", "from_matrix", "from_networkx"]
