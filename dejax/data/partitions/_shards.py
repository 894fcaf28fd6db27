"""Label skew by hand-out: sorted shards, or a fixed number of classes per node."""

import numpy as np

from ...core.checks import whole
from ...core.struct import frozen, static
from ...core.types import Ids
from ...errors import FieldError, bad
from ..parts import Parts, check_disjoint, classes_of
from ._dirichlet import rows_by_class


@frozen
class Shards:
    """Pathological label skew: sort by label, cut into shards, deal `per_node` to each node.

    There are nodes x per_node shards. Shards (so nodes) differ by at most one (so `per_node`)
    samples; every sample is used once. A shard may straddle two or more classes.

    Args:
      per_node: shards per node, >= 1; default 2, as published.
    Raises:
      ValueError: per_node < 1; fewer than `per_node` samples per node.
    Reference: McMahan et al., Communication-efficient learning of deep networks from decentralized
      data, 2017.
    Example:
      >>> parts = shards(per_node=2)(np.repeat(np.arange(5), 20), 10, np.random.default_rng(0))
      >>> {len(p) for p in parts}
      {10}
    """

    per_node: int = static(default=2, check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        labels, per_class = classes_of(self, labels)
        check_disjoint(self, len(labels), nodes, self.per_node)
        by_label = np.concatenate(rows_by_class(labels, per_class, rng))
        shards = nodes * self.per_node
        shard = np.arange(len(labels)) * shards // len(labels)  # sizes differ by at most one
        owner = np.empty(len(labels), np.int64)
        owner[by_label] = (rng.permutation(shards) // self.per_node)[shard]
        return Parts.from_owner(owner, nodes)


@frozen
class ClassesPerNode:
    """Label skew by a fixed number of classes: every node owns k classes, drawn at random.

    A class is divided evenly among its owners. Classes are drawn evenly (numbers of owners differ
    by at most one), so every sample is used once; sizes follow the sizes of the classes. Nodes may
    share some of their classes and not others.

    Args:
      k: classes per node, 1 <= k <= number of classes.
    Raises:
      ValueError: k out of range; nodes x k below the number of classes, so that a class would have
        no owner; a class with fewer samples than owners.
    Reference: Li et al., Federated learning on non-IID data silos: an experimental study, 2022
      (quantity-based label imbalance, "#C = k"; even numbers of owners are ours).
    Example:
      >>> parts = classes_per_node(k=2)(np.repeat(np.arange(5), 20), 10, np.random.default_rng(0))
      >>> {len(p) for p in parts}
      {10}
    """

    k: int = static(check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        labels, per_class = classes_of(self, labels)
        present = np.flatnonzero(per_class)
        classes = len(present)
        if self.k > classes:
            raise bad(
                "k",
                self.k,
                owner="ClassesPerNode",
                why=f"but the data have {classes} classes",
                instead=f"give 1 <= k <= {classes}",
            )
        if nodes * self.k < classes:
            raise bad(
                "nodes",
                nodes,
                says=f"is {nodes} with ClassesPerNode.k = {self.k}: {nodes * self.k} places for {classes} classes leave some without owner",
                instead=f"use k >= {-(-classes // nodes)}, or at least {-(-classes // self.k)} nodes",
            )
        owned = present[_even_draws(nodes, self.k, classes, rng)]  # [n, k]
        owner = np.empty(len(labels), np.int64)
        for c, rows in enumerate(rows_by_class(labels, per_class, rng)):
            if len(rows):
                owners = rng.permutation(np.flatnonzero((owned == c).any(1)))
                if len(owners) > len(rows):
                    raise FieldError(
                        f"class {c} has {len(rows)} samples but {len(owners)} owners (nodes = {nodes}, ClassesPerNode.k = "
                        f"{self.k}); use at most {len(rows) * classes // self.k} nodes, or a smaller k",
                        field="k",
                    )
                owner[rows] = owners[np.arange(len(rows)) * len(owners) // len(rows)]
        return Parts.from_owner(owner, nodes)


def _even_draws(nodes: int, k: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw [nodes, k] distinct classes per row, every class equally often up to one.

    They are cut from one random deck after another. A row that starts at the end of a deck goes on
    with classes of the next deck that it does not hold yet.
    """
    draws: list[np.ndarray] = []
    while len(draws) * classes < nodes * k:
        fresh = rng.permutation(classes)
        tail = len(draws) * classes % k  # cards of the last deck that began a row
        if tail:  # the next k - tail cards complete that row: they must differ from what it holds
            held = np.isin(fresh, draws[-1][-tail:])
            ends = fresh[~held][: k - tail]
            fresh = np.concatenate([ends, fresh[~np.isin(fresh, ends)]])
        draws.append(fresh)
    return rng.permutation(np.concatenate(draws)[: nodes * k].reshape(nodes, k))
