"""Label skew by Dirichlet draws.

Over the classes of a node (equal sizes), or over the nodes of a class (sizes vary).
"""

import math

import numpy as np

from ...core.checks import above, whole
from ...core.struct import frozen, number, static
from ...core.types import Ids
from ..parts import Parts, check_disjoint, classes_of, even_sizes
from .urns import MANY, owners_by_halves, serve_by_urns, sums_before

ALPHA = above(0, "a number > 0 (0.1 strong skew, 100 nearly none)", infinite=True)


@frozen
class Dirichlet:
    """Label skew with equal sizes: every node draws its class mix, p_i ~ Dir(alpha C q).

    q is the overall mix, C the number of classes. With balanced classes this is
    Dir(alpha, ..., alpha). Nodes are served in random order, each from what is left; a node whose
    class ran out draws again among the classes that are left. `drift` (in the summary) is the share
    of samples drawn again. Every sample is used once; sizes differ by at most one. Not the split of
    the same name in which every class is spread over the nodes and sizes vary: that is
    `dirichlet_by_class`.

    Args:
      alpha: concentration > 0; towards infinity every node draws from the overall mix, though not
        as `iid` does (those served last get what is left), towards 0 it has one class. No default.
    Raises:
      ValueError: alpha <= 0 or not a number; more nodes than samples.
    Reference: Hsu, Qi and Brown, Measuring the effects of non-identical data distribution for
      federated visual classification, 2019 (the law of the mix; serving all nodes from one finite
      pool is ours).
    Example:
      >>> parts = dirichlet(alpha=0.3)(np.repeat(np.arange(5), 20), 10, np.random.default_rng(0))
      >>> sorted({len(p) for p in parts})
      [10]
    """

    alpha: float = number(check=ALPHA)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        check_disjoint(self, len(labels), nodes)
        return skewed(labels, even_sizes(len(labels), nodes, rng), self.alpha, rng, self)


@frozen
class DirichletByClass:
    """Label skew with unequal sizes: each class is divided over nodes by p_c ~ Dir(alpha 1_n).

    Every sample is used once. A node left with fewer than `min_size` samples takes random ones from
    the largest nodes; `drift` (in the summary) is the share of a node's samples that came so.

    Args:
      alpha: concentration > 0; infinity gives equal nodes, towards 0 every class goes to one node.
        No default.
      min_size: smallest node, >= 1; default 1.
    Raises:
      ValueError: alpha <= 0 or not a number; fewer than `min_size` samples per node.
    Reference: Yurochkin et al., Bayesian nonparametric federated learning of neural networks, 2019
      (who redraw until every node has 10 samples).
    Example:
      >>> parts = dirichlet_by_class(alpha=0.3)(np.repeat(np.arange(5), 20), 10, np.random.default_rng(0))
      >>> sum(len(p) for p in parts)
      100
    """

    alpha: float = number(check=ALPHA)
    min_size: int = static(default=1, check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        labels, per_class = classes_of(self, labels)
        check_disjoint(self, len(labels), nodes, self.min_size)
        owner = np.empty(len(labels), np.int64)
        if (per_class > 0).sum() > MANY:
            lists = rows_by_class(labels, per_class, rng)
            owner[np.concatenate(lists)] = owners_by_halves(self.alpha, per_class, nodes, rng)
            return Parts.from_owner(*raise_to(owner, nodes, self.min_size, rng))
        share = simplex(self.alpha, np.full(nodes, 1 / nodes), len(per_class), rng)
        for c, rows in enumerate(rows_by_class(labels, per_class, rng)):
            cuts = np.floor(np.cumsum(share[c])[:-1] * len(rows) + 0.5).astype(np.int64)
            owner[rows] = np.searchsorted(cuts, np.arange(len(rows)), side="right")
        return Parts.from_owner(*raise_to(owner, nodes, self.min_size, rng))


def simplex(alpha: float, base: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw [draws, C] rows of Dir(alpha C base); entries with base 0 stay 0.

    Tiny and infinite alpha are safe.
    """
    live = np.flatnonzero(base > 0)
    if math.isinf(alpha) or alpha > 1e12:
        return np.tile(base, (draws, 1))
    with np.errstate(all="ignore"):
        p = rng.dirichlet(np.maximum(alpha * len(live) * base[live], 1e-300), size=draws)
    broken = np.flatnonzero(~(np.abs(p.sum(1) - 1) < 1e-6))  # all gammas underflowed: the limit is one class
    p[broken] = 0
    p[broken, rng.choice(len(live), size=len(broken), p=base[live] / base[live].sum())] = 1
    if len(live) == len(base):
        return p
    out = np.zeros((draws, len(base)))
    out[:, live] = p
    return out


def rows_by_class(labels: np.ndarray, per_class: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffled row numbers of each class."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return np.split(order, np.cumsum(per_class)[:-1])


def skewed(labels: np.ndarray, sizes: np.ndarray, alpha: float, rng: np.random.Generator, owner: object) -> Parts:
    """Return disjoint parts of given sizes [n] with class mixes Dir(alpha C q).

    facts: drift [n].

    sizes: their sum is at most N.
    """
    labels, per_class = classes_of(owner, labels)
    present, labels = (
        np.flatnonzero(per_class),
        (np.cumsum(per_class > 0) - 1)[labels],
    )  # classes without samples cost nothing
    per_class = per_class[present]
    if len(per_class) > MANY:
        node, kind, runs, drift = serve_by_urns(alpha, per_class, sizes, rng)
    else:
        got, drift = serve(simplex(alpha, per_class / per_class.sum(), len(sizes), rng), sizes, per_class, rng)
        node, kind = np.nonzero(got)
        runs = got[node, kind]
    pools = np.concatenate(rows_by_class(labels, per_class, rng))
    start = np.concatenate([[0], np.cumsum(per_class)[:-1]])  # class c owns pools[start[c]:start[c] + per_class[c]]
    first = start[kind] + sums_before(kind, runs)  # where node i's run of class c begins
    rows = pools[np.repeat(first - (np.cumsum(runs) - runs), runs) + np.arange(runs.sum())]
    return Parts(rows, np.concatenate([[0], np.cumsum(sizes)]), {"drift": drift})


def serve(
    mixes: np.ndarray, sizes: np.ndarray, supply: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts [n, C] close to draws from `mixes`, and their drift [n].

    Row sums are `sizes`, column sums at most `supply`. Every node draws its wish; classes are
    handed out in random node order; what was not met is wished again among the classes that are
    left. A pass either meets all wishes or empties a class, so there are at most C passes.
    """
    n, classes = mixes.shape
    got = np.zeros((n, classes), np.int64)
    left, need, first_met = (supply.astype(np.int64).copy(), sizes.astype(np.int64).copy(), None)
    order = rng.permutation(n)  # who is served first
    while need.any():
        who = order[need[order] > 0]
        odds = mixes[who]
        odds[:, left == 0] = 0
        total = odds.sum(1, keepdims=True)
        gone = total[:, 0] < 1e-12  # none of its classes is left: take what there is
        odds[gone], total[gone] = left / left.sum(), 1.0
        odds /= total
        wish = rng.multinomial(need[who], odds)
        row, kind = np.nonzero(wish)  # few of [n, C]: as many as samples, at most
        wished = wish[row, kind]
        met = np.clip(left[kind] - sums_before(kind, wished), 0, wished)
        got[who[row], kind] += met
        left -= np.bincount(kind, met, classes).astype(np.int64)
        served = np.bincount(row, met, len(who)).astype(np.int64)
        need[who] -= served
        first_met = served if first_met is None else first_met
    drift = np.zeros(n)
    drift[order] = 1 - first_met / sizes[order]
    return got, drift


def raise_to(
    owner: np.ndarray, nodes: int, min_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, int, dict[str, np.ndarray]]:
    """Move random rows of the largest nodes until everybody has min_size.

    Returns (owner [N], nodes, facts).
    """
    sizes = np.bincount(owner, minlength=nodes)
    missing = np.maximum(min_size - sizes, 0)
    moved = int(missing.sum())
    if moved:
        order = rng.permutation(len(owner))
        order = order[np.argsort(owner[order], kind="stable")]  # rows by owner, shuffled inside
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # the highest ranks give first, so the largest nodes shrink evenly; a rank below min_size
        # never moves
        givers = order[np.argsort(-rank, kind="stable")[:moved]]
        owner = owner.copy()
        owner[givers] = rng.permutation(np.repeat(np.arange(nodes), missing))
    return owner, nodes, {"drift": missing / np.maximum(sizes, min_size)}
