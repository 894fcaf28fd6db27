"""Fixed graphs in closed form."""

import math
from typing import Any

import numpy as np

from ..core.checks import whole
from ..errors import bad
from ..mixing import Edges
from ._graph import Graph
from ._sized import FROM_DATA, sized
from ._topology import Topology, build, is_power_of
from ._weights import Metropolis, UniformNeighbour, Weights, weighted

COMPLETE_LISTED = 256  # nodes: beyond, the edges of the complete graph are not listed


@sized
def ring(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """Each node hears its two neighbors on a circle, with weight 1/3 each.

    rho = 1/3 + (2/3) cos(2 pi / n) for n >= 4; the gap shrinks as (4 pi^2 / 3) / n^2.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data. n = 2 has weights 1/2.
      weights: weight rule.
    Example:
      >>> ring(5).max_degree
      2
    """
    i = np.arange(n)
    return build("ring", weighted(Graph.undirected(n, i, (i + 1) % n), weights))


@sized
def directed_ring(n: int = FROM_DATA, *, weights: Weights = UniformNeighbour()) -> Topology:
    """Each node hears the one before it, with weight 1/2: directed, doubly stochastic.

    Eigenvalues (1 + exp(2 pi i k / n)) / 2; rho = cos(pi / n).

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule; one for directed graphs (uniform_neighbour, push_sum, constant).
    Example:
      >>> directed_ring(4).edges()[0].tolist()
      [0, 3]
    """
    i = np.arange(n)
    return build("directed_ring", weighted(Graph.directed(n, i, (i - 1) % n), weights))


@sized
def chain(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """A path: each node hears the one before and the one after it.

    With Metropolis weights rho = 1/3 + (2/3) cos(pi / n): a chain of n mixes like a ring of 2n.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> len(chain(5).edges())
      8
    """
    i = np.arange(n - 1)
    return build("chain", weighted(Graph.undirected(n, i, i + 1), weights))


def _sides(owner: str, n: Any, rows: int | None, columns: int | None) -> tuple[int, int]:
    """Rows and columns of n nodes; what is not given is filled in, as square as possible."""
    rows = None if rows is None else whole(f"{owner}.rows", rows)
    columns = None if columns is None else whole(f"{owner}.columns", columns)
    if rows is not None and columns is not None:
        if n is not None and rows * columns != n:
            raise bad("rows", rows, owner=owner, says=f'is {rows} and columns is {columns}', why=f'which make {rows * columns} nodes, not {n}', instead="leave one of them out")  # fmt: skip
        return rows, columns
    if rows is None and columns is None:
        rows = next(r for r in range(math.isqrt(n), 0, -1) if n % r == 0)
        if rows == 1 and n > 3:
            near = [m for m in (n - 1, n + 1) if m >= 4]  # a prime lies between two even numbers
            line = "ring" if owner == "torus" else "chain"
            raise bad(
                "n",
                n,
                owner=owner,
                why=f"a prime, which makes a single row, a {line}",
                instead=f"use {' or '.join(map(str, near))}, or give rows=1 where a {line} is meant",
            )
        return rows, n // rows
    field, side = ("rows", rows) if columns is None else ("columns", columns)
    if n % side:
        raise bad(
            field, side, owner=owner, why=f"which does not divide n = {n}", instead="give a divisor, or leave it out"
        )
    return (side, n // side) if columns is None else (n // side, side)


def _lattice_n(rows: int | None = None, columns: int | None = None, **_: object) -> int | None:
    return rows * columns if rows is not None and columns is not None else None


@sized(infer=_lattice_n)
def torus(
    n: int = FROM_DATA, rows: int | None = None, columns: int | None = None, *, weights: Weights = Metropolis()
) -> Topology:
    """A rows x columns lattice that wraps around: 4 neighbors with weight 1/5 each.

    Both sides are at least 3.

    rho = 1 - (2 - 2 cos(2 pi / max(rows, columns))) / 5 for 3 x 3, 4 x 4, 5 x 5, 4 x 8 and larger.

    Args:
      n: number of nodes >= 1, no prime beyond 3; left out, it is rows * columns, or filled in from
        the data.
      rows, columns: sides; what is left out is chosen, as square as possible.
      weights: weight rule.
    Example:
      >>> torus(16).mean_degree
      4.0
    """
    rows, columns = _sides("torus", n, rows, columns)
    i = np.arange(n).reshape(rows, columns)
    a = np.concatenate([i.ravel(), i.ravel()])
    b = np.concatenate([np.roll(i, -1, 0).ravel(), np.roll(i, -1, 1).ravel()])
    return build("torus", weighted(Graph.undirected(n, a, b), weights))


@sized(infer=_lattice_n)
def grid(
    n: int = FROM_DATA, rows: int | None = None, columns: int | None = None, *, weights: Weights = Metropolis()
) -> Topology:
    """A rows x columns lattice with borders: 2 to 4 neighbors.

    With `max_degree()` weights rho = 1 - (2 - 2 cos(pi / max(rows, columns))) / 5 (both
    sides >= 3).

    Args:
      n: number of nodes >= 1, no prime beyond 3; left out, it is rows * columns, or filled in from
        the data.
      rows, columns: sides; what is left out is chosen, as square as possible.
      weights: weight rule.
    Example:
      >>> grid(9).max_degree
      4
    """
    rows, columns = _sides("grid", n, rows, columns)
    i = np.arange(n).reshape(rows, columns)
    a = np.concatenate([i[:-1].ravel(), i[:, :-1].ravel()])
    b = np.concatenate([i[1:].ravel(), i[:, 1:].ravel()])
    return build("grid", weighted(Graph.undirected(n, a, b), weights))


def power_of_two(owner: str, n: int) -> int:
    """log2 n, or ValueError."""
    if not is_power_of(2, n):
        low = 2 ** (n.bit_length() - 1)
        raise bad(
            "n", n, owner=owner, why="which is not a power of two", instead=f"use {low} or {2 * low}, or another graph"
        )
    return n.bit_length() - 1


@sized
def hypercube(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """A hypercube of n = 2^k corners: each node hears the k that differ from it in one bit.

    All weights are 1 / (k + 1). Eigenvalues 1 - 2 h / (k + 1), h = 0..k; rho = (k - 1) / (k + 1)
    for k >= 2.

    Args:
      n: number of nodes, a power of two; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> hypercube(8).max_degree
      3
    """
    k = power_of_two("hypercube", n)
    i = np.arange(n)
    pairs = [(i, i ^ (1 << j)) for j in range(k)]
    a = np.concatenate([p[0] for p in pairs]) if pairs else np.zeros(0, np.int64)
    b = np.concatenate([p[1] for p in pairs]) if pairs else a
    return build("hypercube", weighted(Graph.undirected(n, a, b), weights))


@sized
def exponential(n: int = FROM_DATA, *, weights: Weights = UniformNeighbour()) -> Topology:
    """The exponential graph: each node hears those 1, 2, 4, ... places on.

    It has tau = ceil(log2 n) neighbors, with weight 1 / (tau + 1). Directed, circulant, doubly
    stochastic; rho = (tau - 1) / (tau + 1) for even n, smaller for odd n.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule; one for directed graphs (uniform_neighbour, push_sum, constant).
    Reference: Ying, Yuan, Chen, Hu, Pan and Yin, Exponential graph is provably efficient for
      decentralized deep training (NeurIPS 2021).
    Example:
      >>> exponential(16).max_degree
      4
    """
    tau = (n - 1).bit_length()
    i = np.arange(n)
    receivers = np.tile(i, tau)
    senders = (receivers + np.repeat(2 ** np.arange(tau), n)) % n
    return build("exponential", weighted(Graph.directed(n, receivers, senders), weights))


@sized
def complete(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """All nodes hear all others: W = 11^T / n, rho = 0.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> complete(4).matrix()[0].tolist()
      [0.25, 0.25, 0.25, 0.25]
    """
    mean = weights in (Metropolis, UniformNeighbour) or type(weights) in (Metropolis, UniformNeighbour)
    if n > COMPLETE_LISTED and mean:
        from ..mixing import Complete

        links = Complete(np.full(1, 1 / n), np.zeros(1), n)
        return Topology(links, "complete", "doubly", symmetric=True, connected=True)
    a, b = np.triu_indices(n, 1)
    return build("complete", weighted(Graph.undirected(n, a, b), weights))


@sized
def star(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """Node 0 hears all others, and they only it.

    With Metropolis weights (1/n on each edge) rho = 1 - 1/n. `best_constant()` gives (n -
    1) / (n + 1), but with a negative own weight at the hub for n > 3; of the non-negative ones
    `constant(1 / (n - 1))` is best: (n - 2) / (n - 1).

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> star(5).max_degree
      4
    """
    return build("star", weighted(Graph.undirected(n, np.zeros(n - 1), np.arange(1, n)), weights))


@sized
def binary_tree(n: int = FROM_DATA, *, weights: Weights = Metropolis()) -> Topology:
    """A balanced binary tree: node i is joined to 2i + 1 and 2i + 2. Its gap shrinks as 1/n.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> len(binary_tree(7).edges())
      12
    """
    child = np.arange(1, n)
    return build("binary_tree", weighted(Graph.undirected(n, child, (child - 1) // 2), weights))


@sized
def isolated(n: int = FROM_DATA) -> Topology:
    """No communication: W = I. What each node reaches alone.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
    Example:
      >>> isolated(3).matrix().tolist()
      [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    none = np.zeros(0, np.int64)
    return build("isolated", Edges(n, none, none, np.zeros(0), np.ones(n)), allow_disconnected=True)


__all__ = [
    "binary_tree", "chain", "complete", "directed_ring", "exponential", "grid", "hypercube", "isolated", "power_of_two",
    "ring", "star", "torus",
]  # fmt: skip
