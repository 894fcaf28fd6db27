"""Base-(k+1) graphs: exact averaging after a short period, for any n, at degree <= k.

Reference: Takezawa, Sato, Bao, Niwa and Yamada, Beyond exponential graph: communication-efficient
topologies for decentralized learning via finite-time convergence (NeurIPS 2023).
"""

import math

import numpy as np

from ..core.checks import whole
from ..errors import bad
from ..mixing import Edges
from ._graph import Graph
from ._sized import FROM_DATA, sized
from ._topology import Topology, build

Round = dict[tuple[int, int], float]  # weight of each undirected edge (i < j)


def _factors(m: int, b: int) -> list[int] | None:
    """Factorize m greedily into b, b - 1, ..., 2; None if it has a prime factor beyond b."""
    out = []
    for q in range(b, 1, -1):
        while m % q == 0:
            out.append(q)
            m //= q
    return out if m == 1 else None


def _average(round: Round, group: list[int]) -> None:
    """All of the group average uniformly."""
    for place, i in enumerate(group):
        for j in group[place + 1 :]:
            round[min(i, j), max(i, j)] = 1 / len(group)


def _hyper(nodes: list[int], b: int) -> list[list[list[int]]]:
    """Hyper-hypercube: per round the groups that average; one mixed-radix digit after another."""
    factors = _factors(len(nodes), b)
    if factors is None:
        raise ValueError(f"{len(nodes)} nodes have a prime factor above {b}")
    rounds, stride = [], 1
    for q in factors:
        index = np.arange(len(nodes)).reshape(-1, q, stride)
        rounds.append([[nodes[k] for k in index[a, :, c]] for a in range(index.shape[0]) for c in range(stride)])
        stride *= q
    return rounds


def _run(round: Round, schedule: list[list[list[int]]], t: int) -> None:
    """Round t of a schedule that repeats; nothing if it is empty."""
    if schedule:
        for group in schedule[t % len(schedule)]:
            _average(round, group)


def _simple(nodes: list[int], b: int) -> list[Round]:
    """Simple base graph of `nodes`."""
    if _factors(len(nodes), b) is not None:
        rounds: list[Round] = []
        for groups in _hyper(nodes, b):
            rounds.append({})
            for group in groups:
                _average(rounds[-1], group)
        return rounds
    parts: list[list[int]] = []  # V_l, consecutive nodes
    blocks: list[list[list[int]]] = []  # each V_l in a_l blocks of b^p_l
    start, rest = 0, len(nodes)
    for p in range(int(math.log(rest, b)) + 1, -1, -1):
        a, rest = divmod(rest, b**p)
        if a:
            parts.append(nodes[start : start + a * b**p])
            blocks.append([parts[-1][c * b**p : (c + 1) * b**p] for c in range(a)])
            start += a * b**p
    whole_part = [_hyper(v, b) for v in parts]
    within = []  # what V_l cycles after its matching round: all its blocks side by side
    for v, bl in zip(parts, blocks, strict=True):
        if len(v) < b:
            within.append(_hyper(v, b))
        else:
            each = [_hyper(x, b) for x in bl]
            within.append([[g for one in each for g in one[t]] for t in range(len(each[0]))])
    out: list[Round] = []
    for t in range(len(whole_part[0])):
        out.append({})
        for schedule in whole_part:
            _run(out[-1], schedule, t)
    last = len(parts) - 1
    for e in range(1 + len(within[0])):
        out.append({})
        if e < last:
            later = [i for v in parts[e + 1 :] for i in v]
            w = len(parts[e]) / sum(len(v) for v in parts[e:]) / len(blocks[e])
            for block in blocks[e]:
                for i, j in zip(later, block, strict=False):
                    out[-1][min(i, j), max(i, j)] = w
        for index in range(min(e, last)):
            _run(out[-1], within[index], e - index - 1)
        if e >= last:
            _run(out[-1], within[last], e - last)
    return out


def _rounds(n: int, b: int) -> list[Round]:
    smooth = math.prod(j ** int(math.log(n, j) + 1e-9) for j in range(2, b + 1))
    p = math.gcd(n, smooth)
    q = n // p
    simple = _simple(list(range(n)), b)
    groups = [_simple(list(range(g * q, (g + 1) * q)), b) for g in range(p)]
    out: list[Round] = []
    for t in range(len(groups[0])):
        out.append({edge: w for g in groups for edge, w in g[t].items()})
    transversal = [_hyper(list(range(c, n, q)), b) for c in range(q)]
    for t in range(len(transversal[0])):
        out.append({})
        for schedule in transversal:
            _run(out[-1], schedule, t)
    return simple if len(simple) < len(out) else out


@sized
def base_graph(n: int = FROM_DATA, *, degree: int = 1) -> Topology:
    """The Base-(k+1) graph: after one short period all nodes hold the exact mean, for any n.

    A node sends at most k = degree messages in each phase. Every W_t is symmetric and doubly
    stochastic; the period is at most 2 log_{k+1}(n) + 2.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      degree: k >= 1, the largest number of neighbors in a phase, below n.
    Identity: the product of one period is 11^T / n.
    Reference: Takezawa, Sato, Bao, Niwa and Yamada, Beyond exponential graph:
      communication-efficient topologies for decentralized learning via finite-time convergence
      (NeurIPS 2023).
    Example:
      >>> base_graph(25).period
      9
    """
    degree = whole("base_graph.degree", degree)
    if n > 1 and degree >= n:
        raise bad(
            "degree",
            degree,
            owner="base_graph",
            says=f"is {degree} but n is {n}",
            instead=f"give a degree below n, {n - 1} is the complete graph",
        )
    phases = []
    for round in _rounds(n, degree + 1) or [{}]:
        pairs = np.array(list(round), np.int64).reshape(-1, 2)
        graph = Graph.undirected(n, *pairs.T)
        weights = np.array(
            [round[min(i, j), max(i, j)] for i, j in zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True)]
        ).reshape(-1)
        own = 1 - np.bincount(graph.receivers, weights, n)
        phases.append(Edges(n, graph.receivers, graph.senders, weights, own))
    return build("base_graph", phases)


__all__ = ["base_graph"]
