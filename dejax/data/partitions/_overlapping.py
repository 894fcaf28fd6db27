"""Openly overlapping draws: more nodes than samples, every node with rows of a common pool."""

import numpy as np

from ...core.byte_sizes import host_memory, spoken_bytes
from ...core.checks import or_none, whole
from ...core.struct import frozen, number, static
from ...core.types import Ids
from ...errors import TooLargeError, bad
from ..parts import Parts, classes_of
from ._dirichlet import ALPHA, rows_by_class, simplex

BYTES = 17  # of a row number while it is drawn (int64), made a table (int32, a flag) and laid on the device (int32)
BLOCK = 1 << 16  # nodes drawn at a time, so that the [nodes, classes] tables stay small


@frozen
class Overlapping:
    """More nodes than samples: every node draws `samples` different rows of all data.

    So nodes share samples openly. No row appears twice at a node; any row may be at many nodes.
    With `alpha` each node draws its class mix from Dir(alpha C q) first, q the overall mix. Rows of
    a class are taken along a random stride through its shuffled list: every row is equally likely,
    and the cost is linear in nodes x samples. Test results say how well the shared pool is learned,
    and nodes' data are not independent of each other: use `dirichlet` where the samples suffice.

    Args:
      samples: rows per node, 1 <= samples <= N; default 16.
      alpha: concentration > 0 of the class mix, or None for no label skew.
    Raises:
      ValueError: samples < 1 or above the number of samples; alpha <= 0.
      TooLargeError: more nodes than the machine's memory holds.
    Example:
      >>> parts = overlapping(samples=8)(np.zeros(20, int), 100, np.random.default_rng(0))
      >>> {len(set(p.tolist())) for p in parts}
      {8}
    """

    samples: int = static(default=16, check=whole)
    alpha: float | None = number(default=None, check=or_none(ALPHA))

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        total = len(labels)
        if self.samples > total:
            raise bad(
                "samples",
                self.samples,
                owner="Overlapping",
                why=f"but there are {total} samples",
                instead=f"give 1 <= samples <= {total}",
            )
        self._check_memory(nodes)
        if self.alpha is None:
            pools = [rng.permutation(total)]
        else:
            labels, per_class = classes_of(self, labels)
            pools = rows_by_class(labels, per_class, rng)
        supply = np.array([len(p) for p in pools])
        rows = np.empty((nodes, self.samples), np.int64)
        for first in range(0, nodes, BLOCK):
            size = min(BLOCK, nodes - first)
            if self.alpha is None:
                counts = np.full((size, 1), self.samples)
            else:
                counts = _counts(simplex(self.alpha, supply / total, size, rng), self.samples, supply, rng)
            rows[first : first + size] = draw_rows(counts, pools, rng).reshape(size, self.samples)
        return Parts.from_matrix(rows)

    def _check_memory(self, nodes: int) -> None:
        """Check, before minutes of drawing, that the numbers of all samples find room.

        They are the first thing that grows with nodes.

        Raises:
          TooLargeError: there is none.
        """
        each, memory = BYTES * self.samples, host_memory()
        if nodes * each > memory:
            raise TooLargeError(
                f"nodes is {nodes:,}, but the numbers of their {self.samples} samples alone take {spoken_bytes(nodes * each)} of the "
                f"{spoken_bytes(memory)} that there are; give nodes <= {memory // each:,}, or Overlapping.samples below {self.samples}",
                nodes * each,
                memory,
                memory // each,
            )


def _counts(mixes: np.ndarray, samples: int, supply: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw counts [n, C] with row sums `samples` from `mixes`.

    What exceeds a class is drawn again among the others.
    """
    got = np.zeros(mixes.shape, np.int64)
    need = np.full(len(mixes), samples)
    while need.any():  # each pass meets a node's wish or fills a class at it: at most C passes
        who = np.flatnonzero(need)
        left = supply[None, :] - got[who]
        odds = mixes[who] * (left > 0)
        total = odds.sum(1, keepdims=True)
        gone = total[:, 0] < 1e-12
        odds[gone] = left[gone]
        total[gone] = left[gone].sum(1, keepdims=True)
        met = np.minimum(rng.multinomial(need[who], odds / total), left)
        got[who] += met
        need[who] -= met.sum(1)
    return got


def draw_rows(counts: np.ndarray, pools: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Draw counts [n, C] different entries of each class's pool.

    Returns flat rows, node after node and class after class. Entry j of a run is
    pool[(start + j stride) mod size] with start and stride drawn per run, stride coprime to the
    size: no entry comes twice before all came once.
    """
    n, classes = counts.shape
    size = np.array([len(p) for p in pools])
    start = np.floor(rng.random((n, classes)) * size).astype(np.int64)
    stride = np.ones((n, classes), np.int64)
    for c, s in enumerate(size):
        if s > 1:
            coprime = np.flatnonzero(np.gcd(np.arange(s), s) == 1)
            stride[:, c] = coprime[np.floor(rng.random(n) * len(coprime)).astype(np.int64)]
    runs = counts.reshape(-1)
    kind = np.repeat(np.tile(np.arange(classes), n), runs)
    step = np.arange(runs.sum()) - np.repeat(np.cumsum(runs) - runs, runs)
    place = (np.repeat(start.reshape(-1), runs) + step * np.repeat(stride.reshape(-1), runs)) % size[kind]
    return np.concatenate(pools)[(np.cumsum(size) - size)[kind] + place]
