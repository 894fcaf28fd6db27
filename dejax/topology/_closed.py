"""Fixed graphs in closed form."""

import math

import numpy as np

from ._graph import Graph
from ._sized import sized, whole
from ._topology import Topology, build, is_power_of
from ._weights import Metropolis, UniformNeighbour, WeightRule, weighted


@sized
def ring(n: int | None = None, *, weights: WeightRule = Metropolis()) -> Topology:
    """Each node hears its two neighbors on a circle, with 1/3 each.

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
def complete(n: int | None = None, *, weights: WeightRule = Metropolis()) -> Topology:
    """All nodes hear all others: W = 11^T / n, rho = 0.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      weights: weight rule.
    Example:
      >>> complete(4).matrix()[0].tolist()
      [0.25, 0.25, 0.25, 0.25]
    """
    if n > COMPLETE_LISTED and type(weights) in (Metropolis, UniformNeighbour, type):
        from ..mixing import Complete

        links = Complete(np.full(1, 1 / n), np.zeros(1), n)
        return Topology(links, "complete", "doubly", symmetric=True, connected=True)
    a, b = np.triu_indices(n, 1)
    e = weighted(Graph.undirected(n, a, b), weights)
    return build("complete", e)


COMPLETE_LISTED = 256  # nodes: beyond, the edges of the complete graph are not listed
__all__ = ["complete", "ring"]
