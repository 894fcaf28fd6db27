"""The split without skew: every node gets a random, equally large share."""

from dataclasses import dataclass

import numpy as np

from ...core.types import Ids
from ..parts import Parts, check_disjoint, deal, even_sizes


@dataclass(frozen=True)
class Iid:
    """Independent nodes: shuffle once, deal equal shares.

    Sizes differ by at most one; every sample is used once.

    Example:
      >>> parts = iid()(np.zeros(10, int), 3, np.random.default_rng(0))
      >>> sorted(len(p) for p in parts)
      [3, 3, 4]
    """

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        check_disjoint(self, len(labels), nodes)
        return deal(rng.permutation(len(labels)), even_sizes(len(labels), nodes, rng))
