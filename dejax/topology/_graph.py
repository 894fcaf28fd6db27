"""A graph on the host: who may send to whom, before weights."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Graph:
    """Directed edges sender -> receiver; an undirected graph has both directions of each.

    Args:
      n: number of nodes.
      receivers, senders: int64 [m], sorted by receiver, then sender; no self loops, no repeated
        pair.
    """

    n: int
    receivers: np.ndarray
    senders: np.ndarray

    @staticmethod
    def undirected(n: int, a: np.ndarray, b: np.ndarray) -> "Graph":
        """From undirected edges (a[e], b[e]), each given once or more; self loops are dropped."""
        a, b = np.asarray(a, np.int64).ravel(), np.asarray(b, np.int64).ravel()
        return Graph.directed(n, np.concatenate([a, b]), np.concatenate([b, a]))

    @staticmethod
    def directed(n: int, receivers: np.ndarray, senders: np.ndarray) -> "Graph":
        """From directed edges in any order; repeated ones count once, self loops are dropped."""
        receivers, senders = np.asarray(receivers, np.int64).ravel(), np.asarray(senders, np.int64).ravel()
        keep = receivers != senders
        code = np.unique(receivers[keep] * n + senders[keep])
        return Graph(n, code // n, code % n)

    @property
    def in_degrees(self) -> np.ndarray:
        """[n]."""
        return np.bincount(self.receivers, minlength=self.n)

    @property
    def out_degrees(self) -> np.ndarray:
        """[n]."""
        return np.bincount(self.senders, minlength=self.n)

    @property
    def is_undirected(self) -> bool:
        """Every edge goes both ways."""
        order = np.lexsort((self.receivers, self.senders))
        return np.array_equal(self.receivers, self.senders[order]) and np.array_equal(
            self.senders, self.receivers[order]
        )


__all__ = ["Graph"]
