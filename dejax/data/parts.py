"""What a partitioner returns: which rows every node holds.

Stored flat, so that a million nodes cost no Python loop.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np

from ..errors import FieldError, bad


class Parts(Sequence[np.ndarray]):
    """A sequence of index arrays, one per node: node i has `rows[offsets[i]:offsets[i + 1]]`.

    Args:
      rows: int [total], row numbers of the data set, node after node.
      offsets: int [n + 1], 0 first, total last, not decreasing.
      facts: name -> [n] array of what the partitioner knows about every node ("drift": share of its
        samples that are not what it first drew; "turn": quarter turns of its images; "group": its
        group).
      shift: what changes the features node by node (`transform`, `transform_test`, as in
        `rotation`), or None.
      node_of_group: (group ids [G], node of each [G]) when nodes are groups, so that test samples
        can follow, or None.
    """

    def __init__(
        self,
        rows: np.ndarray,
        offsets: np.ndarray,
        facts: dict[str, np.ndarray] | None = None,
        *,
        shift: Any = None,
        node_of_group: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.rows, self.offsets, self.facts = (np.asarray(rows), np.asarray(offsets), dict(facts or {}))
        self.shift, self.node_of_group = shift, node_of_group

    @classmethod
    def from_owner(cls, owner: np.ndarray, nodes: int, facts: dict[str, np.ndarray] | None = None) -> "Parts":
        """Parts from the owner of every row, [N] in [0, nodes)."""
        return cls(np.argsort(owner, kind="stable"), _offsets(np.bincount(owner, minlength=nodes)), facts)

    @classmethod
    def from_matrix(cls, rows: np.ndarray, facts: dict[str, np.ndarray] | None = None) -> "Parts":
        """Parts of equal size from a matrix [n, s]."""
        return cls(rows.reshape(-1), np.arange(rows.shape[0] + 1) * rows.shape[1], facts)

    @classmethod
    def from_lists(cls, lists: Iterable[Any]) -> "Parts":
        """Parts from any list of index arrays: what a partitioner of your own returns."""
        arrays = [np.asarray(a) for a in lists]
        for i, a in enumerate(arrays):
            if a.ndim != 1 or (a.size and a.dtype.kind not in "iu"):
                raise FieldError(
                    f"the partitioner gave node {i} an array {a.dtype}{list(a.shape)}; give row numbers, int [s]",
                    field="partitioner",
                )
        sizes = np.array([a.size for a in arrays], np.int64)
        return cls(np.concatenate(arrays).astype(np.int64) if arrays else np.zeros(0, np.int64), _offsets(sizes))

    @property
    def sizes(self) -> np.ndarray:
        """[n] rows at each node."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> np.ndarray:
        """[total] the node of every entry of `rows`."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, i: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, i: slice) -> list[np.ndarray]: ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"node {i} of {len(self)}")
        i = i % len(self)
        return self.rows[self.offsets[i] : self.offsets[i + 1]]

    def check(self, total: int, nodes: int) -> "Parts":
        """Self, if every node holds at least one row and every row exists; else ValueError."""
        if len(self) != nodes:
            raise FieldError(
                f"the partitioner returned {len(self)} parts for nodes={nodes}; return one index array per node",
                field="partitioner",
            )
        if (self.sizes < 1).any():
            raise FieldError(
                f"node {int(self.sizes.argmin())} got no sample; every node needs at least one row", field="partitioner"
            )
        if self.rows.min() < 0 or self.rows.max() >= total:
            raise FieldError(
                f"the partitioner returned rows {self.rows.min()}..{self.rows.max()} of {total}; stay below {total}",
                field="partitioner",
            )
        return self

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """(index int32 [n, s_max], count int32 [n]): rows padded with the node's own first row."""
        sizes = self.sizes
        width = int(sizes.max())
        if len(self) * width > 2**31:
            raise FieldError(
                f"{len(self)} nodes of which one has {width} samples need a table of {len(self) * width / 1e9:.1f} billion "
                "row numbers; cap the largest node, or use fewer nodes",
                field="nodes",
            )
        index = np.repeat(self.rows[self.offsets[:-1]].astype(np.int32)[:, None], width, axis=1)
        index[np.arange(width)[None, :] < sizes[:, None]] = self.rows
        return index, sizes.astype(np.int32)


def _offsets(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)])


def even_sizes(total: int, nodes: int, rng: np.random.Generator) -> np.ndarray:
    """[n] sizes that differ by at most one; which nodes get one more is drawn."""
    sizes = np.full(nodes, total // nodes)
    sizes[rng.permutation(nodes)[: total % nodes]] += 1
    return sizes


def deal(order: np.ndarray, sizes: np.ndarray, facts: dict[str, np.ndarray] | None = None) -> Parts:
    """Hand out `order` [N] in runs of `sizes` [n]."""
    return Parts(order, _offsets(sizes), facts)


def spoken(owner: object) -> str:
    """Return the name of a partitioner in `dejax.data`: DirichletByClass -> dirichlet_by_class."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(owner).__name__).lower()


def check_disjoint(owner: object, total: int, nodes: int, least: int = 1) -> None:
    """ValueError when `total` samples cannot give every node `least` of its own."""
    if nodes * least > total:
        each = "a sample" if least == 1 else f"{least} samples"
        raise bad(
            "nodes",
            nodes,
            why=f"but {spoken(owner)} gives every node {each} of its own and there are only {total}",
            instead=f"use at most {total // least} nodes, or overlapping(samples=...)",
        )


def classes_of(owner: object, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels as int64 in 0..C-1, samples per class [C]) for a partitioner that looks at labels."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise FieldError(
            f"{spoken(owner)} splits by class, but labels are {labels.dtype}{list(labels.shape)}; give integer "
            "labels [N], or use iid, by_group or overlapping",
            field="labels",
        )
    if labels.size and labels.min() < 0:
        raise FieldError(f"labels go down to {labels.min()}; number the classes 0, 1, 2, ...", field="labels")
    return labels.astype(np.int64), np.bincount(labels)
