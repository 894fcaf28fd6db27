"""Natural heterogeneity: a node is a writer, a user or a station."""

from dataclasses import dataclass

import numpy as np

from ...core.types import Ids
from ...errors import bad
from ..parts import Parts


@dataclass(frozen=True)
class ByGroup:
    """One node per group id of the data set (writer, user, station).

    With fewer nodes, groups are dealt to them evenly. With nodes = number of groups, node i is the
    i-th group in sorted order (`facts["group"]`: its id, where ids are whole numbers). Otherwise
    groups are dealt in random order, `groups / nodes` each up to one. Own test rows follow where
    the data set has `test_groups`, own validation rows where it has `validation_groups`.

    Raises:
      ValueError: the data set has no groups; more nodes than groups; a node without a row of its own in such a part.
    Example:
      >>> parts = by_group()(np.zeros(4, int), 2, np.random.default_rng(0), groups=np.array([7, 9, 7, 7]))
      >>> [p.tolist() for p in parts]
      [[0, 2, 3], [1]]
    """

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes by `groups` [N]."""
        if groups is None:
            raise bad(
                "by_group",
                None,
                says="needs group ids",
                why="but the data set has none",
                instead="give from_arrays(x, y, groups=...) [N]",
            )
        ids, which = np.unique(np.asarray(groups), return_inverse=True)
        if nodes > len(ids):
            raise bad("nodes", nodes, why=f"but there are {len(ids)} groups", instead=f"use at most {len(ids)} nodes")
        exact = nodes == len(ids)
        node = np.arange(nodes) if exact else rng.permutation(np.arange(len(ids)) % nodes)
        parts = Parts.from_owner(node[which], nodes)
        facts = {"group": ids} if exact and ids.dtype.kind in "iu" and abs(ids).max() < 2**31 else {}
        return Parts(parts.rows, parts.offsets, facts, node_of_group=(ids, node))
