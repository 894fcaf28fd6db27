"""Weight rules: from a graph to a mixing matrix on its edges.

A rule is a small frozen object called with the graph: `ring(8, weights=lazy(metropolis()))`. All
sums are taken in float64; W_ii is what is missing to a row sum (column sum for push-sum) of 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.checks import Several, above, in_
from ..core.struct import frozen, number, static
from ..errors import bad
from ..mixing import Edges
from ._graph import Graph

Weights = Callable[[Graph], Edges]


def weighted(graph: Graph, weights: Weights | type) -> Edges:
    """Apply a rule, given as an object or as its class without arguments."""
    if isinstance(weights, str) or not callable(weights):
        raise bad("weights", weights, instead="give a rule such as dejax.topology.metropolis()")
    rule = weights() if isinstance(weights, type) else weights
    return rule(graph)


def rows_of(graph: Graph, weights: np.ndarray) -> Edges:
    """Edges of these weights; nodes keep what is missing to row sums of 1."""
    own = 1.0 - np.bincount(graph.receivers, weights, graph.n)
    return Edges(graph.n, graph.receivers, graph.senders, weights, own)


def undirected(rule: Any, graph: Graph) -> None:
    """Raise ValueError where some edge goes one way only."""
    if not graph.is_undirected:
        raise ValueError(
            f"{type(rule).__name__.lower()} needs an undirected graph, and this one has edges that go one way only. "
            "Use uniform_neighbour() (row-stochastic), or push_sum() with a push-sum method."
        )


@frozen
class Metropolis:
    """Metropolis-Hastings weights 1 / (1 + max(d_i, d_j)) on edges.

    Symmetric and doubly stochastic; a node's own weight is > 0. The default on undirected graphs:
    nodes need only their neighbors' degrees.

    Reference: Xiao, Boyd and Lall, A scheme for robust distributed sensor fusion based on average
      consensus (2005).
    Example:
      >>> star(4, weights=metropolis()).matrix()[0].tolist()
      [0.25, 0.25, 0.25, 0.25]
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        undirected(self, graph)
        d = graph.in_degrees
        return rows_of(graph, 1.0 / (1 + np.maximum(d[graph.receivers], d[graph.senders])))


@frozen
class DegreeSorted:
    """Weights fixed from nodes of high degree down: SWIFT's, for uniform influence.

    A node takes the weights that neighbors of higher degree gave it, and offers what is left, in equal
    parts, to itself and its other neighbors. An edge between equal degrees gets the smaller offer.
    Symmetric and doubly stochastic. Graphs where a node would be given more than 1 are refused.

    Raises:
      ValueError: an edge that goes one way only; a graph where an own weight would be negative.
    Reference: Bornstein, Rabbani, Wang, Bedi and Huang, SWIFT: rapid decentralized federated learning
      via wait-free model communication (2023). Their public code gives a node that meets a smaller offer
      of an equal that offer on all its edges left, which need not be symmetric where several equals meet.
    Example:
      >>> chain(3, weights=degree_sorted()).matrix().round(3).tolist()
      [[0.667, 0.333, 0.0], [0.333, 0.333, 0.333], [0.0, 0.333, 0.667]]
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        undirected(self, graph)
        d, offer = graph.in_degrees, np.zeros(graph.n)
        receives, sends = d[graph.receivers], d[graph.senders]
        left = d + 1 - np.bincount(graph.receivers, sends > receives, graph.n)
        taken = lambda: np.bincount(graph.receivers, np.where(sends > receives, offer[graph.senders], 0.0), graph.n)
        for degree in np.unique(d)[::-1]:  # offers of higher degrees are known
            offer = np.where(d == degree, (1 - taken()) / left, offer)
        from_sender, from_receiver = offer[graph.senders], offer[graph.receivers]
        equal = np.minimum(from_sender, from_receiver)
        found = rows_of(
            graph, np.where(sends > receives, from_sender, np.where(sends < receives, from_receiver, equal))
        )
        if (found.own < 0).any():
            node = int(np.argmin(found.own))
            raise ValueError(
                f"degree_sorted() gives node {node} of this graph more than 1 in all: its neighbors of higher degree "
                "have too few others to share with. Use metropolis()."
            )
        return found


@frozen
class Constant:
    """The same weight on every edge: W = I - eps L with L the graph's Laplacian.

    Args:
      eps: edge weight > 0; contracts for eps < 2 / lambda_max(L), and W >= 0 for eps <= 1 / max
        degree.
    Example:
      >>> ring(4, weights=constant(0.25)).matrix()[0].tolist()
      [0.5, 0.25, 0.0, 0.25]
    """

    eps: float = number(check=above(0, "an edge weight > 0, e.g. 1 / (1 + max degree)"))

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        return rows_of(graph, np.full(len(graph.receivers), float(self.eps)))


@frozen
class MaxDegree:
    """The same weight 1 / (1 + max degree) on every edge: W = I - L / (1 + d_max).

    Example:
      >>> chain(3, weights=max_degree()).matrix()[0].round(3).tolist()
      [0.667, 0.333, 0.0]
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        undirected(self, graph)
        return rows_of(graph, np.full(len(graph.receivers), 1.0 / (1 + graph.in_degrees.max(initial=0))))


@frozen
class BestConstant:
    """The constant edge weight that contracts fastest, 2 / (lambda_2(L) + lambda_n(L)).

    rho = (lambda_n - lambda_2) / (lambda_n + lambda_2). It may make own weights negative (the hub
    of a star).

    Reference: Xiao and Boyd, Fast linear iterations for distributed averaging (2004).
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        from ._spectrum import laplacian_extremes

        undirected(self, graph)
        if graph.n == 1:
            return rows_of(graph, np.zeros(0))
        low, high = laplacian_extremes(graph)
        return rows_of(graph, np.full(len(graph.receivers), 2.0 / (low + high)))


@frozen
class UniformNeighbour:
    """Average of all that is held: 1 / (1 + d_i) on each neighbor and on oneself.

    Row-stochastic; doubly stochastic only on regular graphs. Elsewhere the nodes agree on the mean
    weighted by 1 + d_i.

    Example:
      >>> chain(3, weights=uniform_neighbour()).kind
      'row'
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        d = graph.in_degrees
        return Edges(graph.n, graph.receivers, graph.senders, 1.0 / (1 + d[graph.receivers]), 1.0 / (1 + d))


@frozen
class DataSize:
    """Weights proportional to the senders' numbers of samples, over the closed neighborhood.

    Row-stochastic. The value agreed on is not the mean weighted by size in general.

    Args:
      sizes: n positive numbers, one per node.
    Example:
      >>> complete(2, weights=data_size((1, 3))).matrix().tolist()
      [[0.25, 0.75], [0.25, 0.75]]
    """

    sizes: Sequence[float] = static(check=Several(above(0), "a positive number of samples per node"))

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        size = np.asarray(self.sizes)
        if len(size) != graph.n:
            raise bad(
                "sizes",
                self.sizes,
                owner=self,
                says=f"holds {len(size)} numbers",
                why=f"but there are n = {graph.n} nodes",
                instead="give one per node",
            )
        total = size + np.bincount(graph.receivers, size[graph.senders], graph.n)
        return Edges(
            graph.n, graph.receivers, graph.senders, size[graph.senders] / total[graph.receivers], size / total
        )


@frozen
class PushSum:
    """Column-stochastic weights 1 / (1 + out-degree of the sender).

    Each node splits what it has evenly. Keeps sums but no consensus: only for methods that carry a
    push-sum weight. On regular graphs it is doubly stochastic.

    Reference: Kempe, Dobra and Gehrke, Gossip-based computation of aggregate information (2003).
    Example:
      >>> random_digraph(8, degree=2, weights=push_sum()).kind
      'column'
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        d = graph.out_degrees
        return Edges(graph.n, graph.receivers, graph.senders, 1.0 / (1 + d[graph.senders]), 1.0 / (1 + d))


@frozen
class Lazy:
    """A slower W that keeps more of the own value: W' = (1 - a) I + a W.

    a = 1/2 maps an eigenvalue lambda to (1 + lambda) / 2, so that none is negative (needed by EXTRA
    and exact diffusion).

    Args:
      weights: the rule for W.
      a: in (0, 1].
    Example:
      >>> ring(4, weights=lazy(metropolis(), 0.5)).matrix()[0].round(3).tolist()
      [0.667, 0.167, 0.0, 0.167]
    """

    weights: Weights = static(default_factory=Metropolis)
    a: float = number(default=0.5, check=in_(0, 1, "(]"))

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        e = weighted(graph, self.weights)
        return Edges(e.n, e.receivers, e.senders, self.a * e.weights, 1.0 - self.a + self.a * e.own)


__all__ = [
    "BestConstant", "Constant", "DataSize", "DegreeSorted", "Lazy", "MaxDegree", "Metropolis", "PushSum", "UniformNeighbour",
    "Weights", "rows_of", "undirected", "weighted",
]  # fmt: skip
