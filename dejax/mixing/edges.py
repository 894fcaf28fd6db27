"""W on the host: directed edges with weights in float64, sorted by receiver, then sender."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Edges:
    """A sparse W: W[receivers[e], senders[e]] = weights[e], W[i, i] = own[i].

    Args:
      n: number of nodes.
      receivers, senders: int [m], no self loops, no repeated pair.
      weights: float64 [m].
      own: float64 [n].
    """

    n: int
    receivers: np.ndarray
    senders: np.ndarray
    weights: np.ndarray
    own: np.ndarray

    @staticmethod
    def sorted(n: int, receivers: np.ndarray, senders: np.ndarray, weights: np.ndarray, own: np.ndarray) -> "Edges":
        """Edges in any order, put in order."""
        order = np.lexsort((senders, receivers))
        weights = np.asarray(weights, np.float64)[order]
        return Edges(n, receivers[order], senders[order], weights, np.asarray(own, np.float64))

    @staticmethod
    def from_matrix(matrix: np.ndarray) -> "Edges":
        """The non-zero entries of a dense [n, n] W."""
        matrix = np.asarray(matrix, np.float64)
        off = matrix.copy()
        np.fill_diagonal(off, 0)
        receivers, senders = np.nonzero(off)
        return Edges(len(matrix), receivers, senders, off[receivers, senders], np.diagonal(matrix).copy())

    def matrix(self) -> np.ndarray:
        """Dense [n, n] float64."""
        out = np.diag(self.own).astype(np.float64)
        out[self.receivers, self.senders] += self.weights
        return out

    def row_sums(self) -> np.ndarray:
        """[n]: total weight that each receiver gives."""
        return self.own + np.bincount(self.receivers, self.weights, self.n)

    def column_sums(self) -> np.ndarray:
        """[n]: total weight that each sender gets."""
        return self.own + np.bincount(self.senders, self.weights, self.n)

    def in_degrees(self) -> np.ndarray:
        """[n]: senders that each node hears."""
        return np.bincount(self.receivers, minlength=self.n)

    def out_degrees(self) -> np.ndarray:
        """[n]: receivers that each node sends to."""
        return np.bincount(self.senders, minlength=self.n)

    def positions(self) -> np.ndarray:
        """[m]: place of each edge among the edges of its receiver: the port it goes into."""
        starts = np.concatenate([[0], np.cumsum(self.in_degrees())[:-1]])
        return np.arange(len(self.receivers)) - starts[self.receivers]


__all__ = ["Edges"]
