"""How often each edge of a graph should be used where pairs meet at random times."""

from typing import NamedTuple

import numpy as np

from ..errors import bad


class EdgeRates(NamedTuple):
    """Meetings per second of each undirected edge.

    pairs: int [m, 2], i < j. rates: float [m], per second. resistance: chi_2, half the largest resistance
    between the ends of an edge. connectivity: chi_1, one over the least positive eigenvalue of the
    Laplacian of the rates, 1 / lambda_2.
    """

    pairs: np.ndarray
    rates: np.ndarray
    connectivity: float
    resistance: float


def fewest_meetings(n: int, edges: np.ndarray, steps: int = 300) -> EdgeRates:
    """Find the fewest meetings per second that accelerated gossip needs: sqrt(2 chi_1 chi_2).

    With shares p of the edges, p >= 0 and sum(p) = 1, sqrt(chi_1 chi_2) is what decentralized accelerated
    methods pay per graph. It is lowered from equal shares by multiplicative subgradient steps, the
    best found is kept; then rates are scaled so that chi_1 chi_2 = 1/2. On edge-transitive graphs (ring,
    complete graph, hypercube, star) equal shares are the best ones.

    Args:
      n: nodes. edges: int [m, 2], of a connected graph. steps: of the descent, 0 for equal shares.
    Raises:
      ValueError: a graph that is not connected.
    Reference: Nabli and Oyallon, DADAO: decoupled accelerated decentralized asynchronous optimization,
      2023, which solve a semidefinite program; the problem here is theirs, the solver is not.
    """
    pairs = np.unique(np.sort(edges, 1), axis=0)
    a, b = pairs.T

    def measured(p: np.ndarray) -> tuple[float, float, np.ndarray]:
        """chi_1, chi_2, and the subgradient of log(chi_1 chi_2) / 2 in p."""
        laplacian = np.zeros((n, n))
        np.add.at(laplacian, (a, b), -p)
        np.add.at(laplacian, (b, a), -p)
        np.fill_diagonal(laplacian, -laplacian.sum(1))
        values, vectors = np.linalg.eigh(laplacian)
        if not len(p) or values[1] < 1e-12 * values[-1]:
            raise bad("graph", owner="edge_rates", says="falls into parts", instead="give a connected one")
        inverse = (vectors[:, 1:] / values[1:]) @ vectors[:, 1:].T
        resistance = inverse[a, a] + inverse[b, b] - 2 * inverse[a, b]
        worst = int(np.argmax(resistance))
        flow = inverse[:, a[worst]] - inverse[:, b[worst]]
        slow = (vectors[a, 1] - vectors[b, 1]) ** 2 / values[1]
        return 1 / values[1], resistance[worst] / 2, -(slow + (flow[a] - flow[b]) ** 2 / resistance[worst]) / 2

    best = np.full(len(pairs), 1 / max(1, len(pairs)))
    first, second, slope = measured(best)
    p, cost = best, first * second
    for step in range(steps):
        p = p * np.exp(-slope / np.abs(slope).max() / np.sqrt(1 + step))
        p = np.maximum(p / p.sum(), 1e-9)
        p = p / p.sum()
        one, two, slope = measured(p)
        if one * two < cost:
            best, first, second, cost = p, one, two, one * two
    total = np.sqrt(2 * first * second)
    return EdgeRates(pairs, total * best, float(first / total), float(second / total))


__all__ = ["EdgeRates", "fewest_meetings"]
