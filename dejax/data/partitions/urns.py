"""Dirichlet draws where classes are many, without a table of nodes and classes.

A table of n nodes and C classes costs n C numbers, whatever few of them are used. Both laws here are those of
`_dirichlet`, drawn another way, in time and memory that grow with the samples.
"""

import math

import numpy as np

MANY = 256  # classes; below, tables are quick, and splits are those that they always were

Served = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def serve_by_urns(alpha: float, supply: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> Served:
    """Serve nodes from classes, each by a mix of its own that is never drawn.

    The mix is p_i ~ Dir(alpha C q). Draws from a mix that is itself drawn are those of Polya's urn: the j-th is a copy of
    one of the j before it with probability j / (alpha C + j), else a fresh one from q. Restricted to classes that are
    left, a Dirichlet mix is one again, so that the urn goes on with what it holds of them, or with a fresh one. Nodes are
    served in random order; what was not met is drawn again, as in `serve`.

    Args:
      supply: samples of each class [C], > 0. sizes: of nodes [n], their sum at most that of supply.
    Returns:
      (node, class, count) of what nodes get, sorted by node, then class; and drift [n].
    Reference: Blackwell and MacQueen, Ferguson distributions via Polya urn schemes, 1973.
    """
    n, classes = len(sizes), len(supply)
    order = rng.permutation(n)  # who is served first; below, nodes are places in it
    left, need, first_met = supply.astype(np.int64).copy(), sizes[order].astype(np.int64), None
    held = np.zeros(0, np.int64), np.zeros(0, np.int64)  # place and class of each draw so far, sorted by place
    got: list[tuple[np.ndarray, np.ndarray]] = []
    while need.any():
        keep = (need[held[0]] > 0) & (left[held[1]] > 0)
        place, kind = held[0][keep], held[1][keep]
        before = np.bincount(place, minlength=n)
        start = np.cumsum(before + need) - (before + need)  # each node's urn: its old draws, then the new ones
        who = np.repeat(np.arange(n), need)
        rank = before[who] + np.arange(len(who)) - np.repeat(np.cumsum(need) - need, need)
        new, old = start[who] + rank, start[place] + np.arange(len(place)) - (np.cumsum(before) - before)[place]
        odds = np.cumsum(np.where(left > 0, supply, 0).astype(np.float64))
        mass = alpha * classes * odds[-1] / supply.sum()
        fresh = (rank == 0) | (rng.random(len(who)) * (mass + rank) < mass) if math.isfinite(mass) else rank >= 0
        source, found = np.arange(len(who) + len(place)), np.empty(len(who) + len(place), np.int64)
        source[new[~fresh]] = (start[who] + (rng.random(len(who)) * rank).astype(np.int64))[~fresh]
        found[old] = kind
        found[new[fresh]] = np.searchsorted(odds, rng.random(int(fresh.sum())) * odds[-1], side="right")
        while ((further := source[source]) != source).any():
            source = further
        found = found[source]
        wish, wished = np.unique(who * classes + found[new], return_counts=True)
        row, kind = wish // classes, wish % classes
        met = np.clip(left[kind] - sums_before(kind, wished), 0, wished)
        got.append((wish, met))
        left -= np.bincount(kind, met, classes).astype(np.int64)
        served = np.bincount(row, met, n).astype(np.int64)
        need -= served
        first_met = served if first_met is None else first_met
        everyone = np.repeat(np.arange(n), before + np.bincount(who, minlength=n))
        held = everyone, found
    wish, at = np.unique(np.concatenate([w for w, _ in got]), return_inverse=True)
    count = np.bincount(at, np.concatenate([m for _, m in got])).astype(np.int64)
    node, kind = order[wish // classes], wish % classes
    rows = np.lexsort((kind, node))
    rows = rows[count[rows] > 0]
    drift = np.zeros(n)
    drift[order] = 1 - (sizes[order] if first_met is None else first_met) / sizes[order]
    return node[rows], kind[rows], count[rows], drift


def owners_by_halves(alpha: float, per_class: np.ndarray, nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Divide each class over the nodes by p_c ~ Dir(alpha 1_n): owners [N], class after class.

    Sample j of the m of a class goes where the cumulative sum of p_c passes (j + 1/2) / m. That sum is drawn at these
    places alone: the share of the first half of some nodes is Beta distributed, then that of half of them, and so on.

    Args:
      per_class: samples of each class [C].
    """
    kind = np.repeat(np.arange(len(per_class)), per_class)
    rank = np.arange(len(kind)) - np.repeat(np.cumsum(per_class) - per_class, per_class)
    at = (rank + 0.5) / np.repeat(np.maximum(per_class, 1), per_class)
    low, high = np.zeros(len(kind), np.int64), np.full(len(kind), nodes)
    while (open_ := np.flatnonzero(high - low > 1)).size:
        cell, first, of = np.unique(kind[open_] * nodes + low[open_], return_index=True, return_inverse=True)
        a, b = low[open_][first], high[open_][first]
        middle = (a + b) // 2
        share = (middle - a) / (b - a)
        if math.isfinite(alpha) and alpha <= 1e12:
            one, two = (np.maximum(alpha * k, 1e-300) for k in (middle - a, b - middle))
            with np.errstate(all="ignore"):
                drawn = rng.beta(one, two)
            share = np.where(np.isnan(drawn), rng.random(len(cell)) < share, drawn)
        cut, here = share[of], at[open_]
        lower = here < cut
        with np.errstate(all="ignore"):
            at[open_] = np.clip(np.where(lower, here / cut, (here - cut) / (1 - cut)), 0, 1 - 2**-53)
        high[open_[lower]] = middle[of][lower]
        low[open_[~lower]] = middle[of][~lower]
    return low


def sums_before(kind: np.ndarray, count: np.ndarray) -> np.ndarray:
    """For each entry [m], the sum of the counts of its kind that come before it."""
    order = np.argsort(kind, kind="stable")
    total = np.cumsum(count[order]) - count[order]
    fresh = np.flatnonzero(np.diff(kind[order], prepend=-1))  # where a kind begins
    out = np.empty_like(total)
    out[order] = total - np.repeat(total[fresh], np.diff(fresh, append=len(order)))
    return out


__all__ = ["MANY", "owners_by_halves", "serve_by_urns", "sums_before"]
