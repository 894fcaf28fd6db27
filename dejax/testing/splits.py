"""What a partition must satisfy."""

from typing import Any

import numpy as np

from ..data.parts import Parts
from .promise import Promises, require, same

LABELS, PEOPLE, NODES = 400, 8, 8


def check_partition(partition: Any, nodes: int = NODES, shared: bool = False) -> None:
    """Check that a partition gives every node samples that exist, by its generator alone.

    Args:
      partition: `p(labels [N], nodes, rng, groups) -> rows of each node`, a member of `dejax.data`
        or your own; it is called with 400 labels of 10 classes and 8 groups.
      nodes: among which they are split. shared: a sample may be at several nodes.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it.
    Example:
      >>> check_partition(dejax.data.dirichlet(alpha=0.5))
    """
    promises = Promises(partition)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, LABELS).astype(np.int32)
    groups = rng.permutation(np.arange(LABELS) % PEOPLE)

    def split(seed: int) -> Parts:
        parts = partition(labels.copy(), nodes, np.random.default_rng(seed), groups.copy())
        return parts if isinstance(parts, Parts) else Parts.from_lists(parts)

    with promises(
        "every node has samples that exist", "return one array of row numbers for each node, none of them empty"
    ):
        parts = split(1).check(LABELS, nodes)
        require(np.issubdtype(parts.rows.dtype, np.integer), f"rows are {parts.rows.dtype}")
    with promises(
        "the same generator gives the same split", "draw from the `rng` that is given, and from nothing else"
    ):
        np.random.random()  # noqa: NPY002 moves NumPy's global generator, which nobody may read
        again = split(1)
        same(again.rows, parts.rows, "a second call with an equal generator gives other rows")
        same(again.offsets, parts.offsets, "a second call with an equal generator gives other sizes")
    with promises("no sample stands twice at a node", "draw without replacement"):
        for i in range(nodes):
            require(len(np.unique(parts[i])) == len(parts[i]), f"node {i} has a row more than once")
    if not shared:
        with promises("no sample is at two nodes", "deal each row once, or check with shared=True"):
            require(len(np.unique(parts.rows)) == len(parts.rows), "two nodes hold one row")
    with promises("what it is given is left alone", "copy labels and groups before you sort or shuffle them"):
        mine, theirs = labels.copy(), groups.copy()
        partition(mine, nodes, np.random.default_rng(2), theirs)
        same((mine, theirs), (labels, groups), "labels or groups have changed")
    with promises("facts are per node", "give facts as arrays [nodes]"):
        for name, fact in parts.facts.items():
            require(np.shape(fact)[:1] == (nodes,), f"fact {name!r} has shape {np.shape(fact)}")


__all__ = ["check_partition"]
