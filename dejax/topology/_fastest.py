"""The weights with which a graph mixes fastest: a small convex problem, solved on the host.

    minimize s  over s and edge weights w >= 0  with  -s I <= W - J <= s I,  W = I - sum_l w_l a_l a_l^T,
    a_l = e_i - e_j of edge l, and at each node at most 1 given away.

A barrier method: log determinants stand for the two matrix inequalities, logarithms for the signs,
and Newton steps follow the minimum while the barrier fades.
"""

import numpy as np

from ..core.struct import frozen
from ..errors import bad
from ..mixing import Edges
from ._graph import Graph
from ._weights import BestConstant, MaxDegree, Metropolis, rows_of, undirected

GAP = 1e-9  # how far s is from its minimum at the end, at most
EDGES = 4000  # a Newton step solves a system of this many unknowns
UNUSED = 1e-7  # weights below are those of edges that the optimum leaves out
FADING = 5.0  # by how much the barrier fades from one problem to the next


@frozen
class FastestMixing:
    """The symmetric weights >= 0 of least rho on a graph (fastest mixing Markov chain, FMMC).

    Found on the host by a convex solve, to 1e-9 in rho; made for graphs of up to a few hundred
    nodes. Nodes must know the whole graph. Edges that the optimum leaves out carry no messages.

    Raises:
      ValueError: a directed graph, or more than 4,000 edges.
    Identity: never slower than Metropolis, the largest degree, or the best constant weight where
      that leaves own weights >= 0; equal to the latter on edge-transitive graphs. 1/2 on each edge
      of a chain, so that rho = cos(pi / n).
    Reference: Boyd, Diaconis and Xiao, Fastest mixing Markov chain on a graph (2004).
    Example:
      >>> chain(4, weights=fmmc()).matrix()[0].round(6).tolist()
      [0.5, 0.5, 0.0, 0.0]
    """

    def __call__(self, graph: Graph) -> Edges:
        """Weights of the graph's edges."""
        undirected(self, graph)
        one = graph.receivers < graph.senders
        a, b = graph.receivers[one], graph.senders[one]
        if len(a) > EDGES:
            raise bad(
                "weights", self, owner=self, says=f"is given {len(a)} edges",
                why=f"and solves a dense system of as many unknowns, at most {EDGES}",
                instead="use metropolis(), or best_constant() on regular graphs",
            )  # fmt: skip
        known = [Metropolis()(graph), MaxDegree()(graph)]
        if len(a) and graph.n <= 2 * EDGES and _connected(graph):
            known.append(BestConstant()(graph))
            known.append(_of(graph, _solve(graph.n, a, b)))
        fit = [e for e in known if e.own.min(initial=0) >= -1e-12]
        return min(fit, key=_rho)


def _connected(graph: Graph) -> bool:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = coo_array((np.ones(len(graph.receivers)), (graph.receivers, graph.senders)), shape=(graph.n, graph.n))
    return connected_components(pairs, directed=False, return_labels=False) == 1


def _of(graph: Graph, w: np.ndarray) -> Edges:
    """Make Edges from the weights of undirected edges (i, j), i < j; unused ones are left out."""
    matrix = np.zeros((graph.n, graph.n))
    one = graph.receivers < graph.senders
    matrix[graph.receivers[one], graph.senders[one]] = np.where(w > UNUSED, w, 0)
    matrix += matrix.T
    used = matrix[graph.receivers, graph.senders] > 0
    graph = Graph(graph.n, graph.receivers[used], graph.senders[used])
    return rows_of(graph, matrix[graph.receivers, graph.senders])


def _rho(e: Edges) -> float:
    return float(np.abs(np.linalg.eigvalsh(e.matrix() - 1 / e.n)).max())


def _solve(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the optimal weights [m] of the edges (a_l, b_l)."""
    m, mean = len(a), np.full((n, n), 1 / n)
    degree = np.bincount(np.concatenate([a, b]), minlength=n)
    x = np.append(1 / (1 + np.maximum(degree[a], degree[b])), 1.5)  # weights, then s
    ends = np.zeros((m, n))
    ends[np.arange(m), a] = ends[np.arange(m), b] = 1

    def parts(x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The two matrices that stay positive definite, and what each node keeps."""
        laplacian = np.zeros((n, n))
        laplacian[a, b] = laplacian[b, a] = -x[:-1]
        given = -laplacian.sum(1)
        laplacian[np.diag_indices(n)] = given
        gap = np.eye(n) - laplacian - mean
        return [x[-1] * np.eye(n) - gap, x[-1] * np.eye(n) + gap], 1 - given

    def value(x: np.ndarray, t: float) -> float:
        sides, kept = parts(x)
        if x[:-1].min() <= 0 or kept.min() <= 0:
            return np.inf
        try:
            logs = sum(2 * np.log(np.diagonal(np.linalg.cholesky(side))).sum() for side in sides)
        except np.linalg.LinAlgError:
            return np.inf
        return t * x[-1] - logs - np.log(x[:-1]).sum() - np.log(kept).sum()

    def newton(x: np.ndarray, t: float) -> tuple[np.ndarray, float]:
        """The Newton step, and how much it promises."""
        sides, kept = parts(x)
        gradient, hessian = np.zeros(m + 1), np.zeros((m + 1, m + 1))
        gradient[-1] = t
        for side, sign in zip(sides, (1.0, -1.0), strict=True):
            inverse = np.linalg.inv(side)
            half = inverse[:, a] - inverse[:, b]  # [n, m]: the inverse times a_l
            pairs = half[a] - half[b]  # [m, m]
            gradient[:-1] -= sign * np.diagonal(pairs)
            gradient[-1] -= np.trace(inverse)
            hessian[:-1, :-1] += pairs**2
            cross = sign * (half**2).sum(0)
            hessian[:-1, -1] += cross
            hessian[-1, :-1] += cross
            hessian[-1, -1] += (inverse**2).sum()
        gradient[:-1] += ends @ (1 / kept) - 1 / x[:-1]
        hessian[:-1, :-1] += (ends / kept**2) @ ends.T + np.diag(1 / x[:-1] ** 2)
        scale = 1 / np.sqrt(np.diagonal(hessian))  # weights near 0 have huge second derivatives
        step = -scale * np.linalg.solve(hessian * scale * scale[:, None], gradient * scale)
        return step, float(-gradient @ step)

    t, count = 10.0, 3 * n + m  # logarithms in the barrier: s is within count / t of its minimum
    while True:
        for _ in range(200):
            step, promise = newton(x, t)
            if promise < 1e-3:  # s is then within 1e-3 / t of this problem's minimum
                break
            size, here = 1.0, value(x, t)
            while size > 1e-6 and not value(x + size * step, t) <= here - 1e-4 * size * promise + 1e-14 * abs(here):
                size /= 2
            x = x + size * step
        if count / t < GAP:
            return x[:-1]
        t *= FADING


__all__ = ["FastestMixing"]
