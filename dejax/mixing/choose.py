"""Which kernel a W gets: one rule, from measured costs (see scripts/bench.py)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .edges import Edges
from .kernels.circulant import Circulant, CirculantSequence
from .kernels.dense import Complete, Dense
from .kernels.hubs import Hubs
from .kernels.neighbor_lists import NeighborLists
from .links import Links

CIRCULANT_UP_TO = 64  # offsets that are written into the program
DENSE_FROM = 1 / 3  # share of all pairs that are edges: from here one matrix product beats a pass per neighbor
HUBS_FROM = 3.0  # padded ports per real edge


def choose(w: Edges | np.ndarray | Sequence[Edges | np.ndarray]) -> Links:
    """Choose the kernel for W, or for a sequence of W_t.

    Its leaves are float64 and int32 NumPy arrays on the host. No edges, or constant weights along
    few offsets: Circulant. All pairs with one weight: Complete. At least a third of all pairs:
    Dense. Degrees so unequal that padding to the largest would triple the work: Hubs. Else
    NeighborLists. A sequence gets CirculantSequence or NeighborLists, with a leading axis for the
    phase on every leaf.

    Args:
      w: edges, or a dense [n, n] matrix (its non-zero entries are the edges), or a sequence of
        either.
    Returns:
      A kernel; of a sequence, a kernel whose leaves are stacked [P, ...].
    Example:
      >>> type(choose(np.full((4, 4), 0.25))).__name__
      'Complete'
    """
    if isinstance(w, (Edges, np.ndarray)):
        return _choose_one(_edges(w))
    phases = [_edges(x) for x in w]
    if len({e.n for e in phases}) != 1:
        raise ValueError(f"a sequence of W has sizes {sorted({e.n for e in phases})}; give matrices of one size")
    return _choose_sequence(phases)


def _edges(w: Edges | np.ndarray) -> Edges:
    return w if isinstance(w, Edges) else Edges.from_matrix(w)


def _constant(x: np.ndarray) -> bool:
    return len(x) == 0 or bool(np.ptp(x) <= 4 * np.finfo(np.float64).eps * max(1.0, float(np.abs(x).max())))


def _offsets(e: Edges) -> tuple[np.ndarray, np.ndarray] | None:
    """(offsets, weights) of a circulant W, or None."""
    n, m = e.n, len(e.receivers)
    if not _constant(e.own) or m % n:
        return None
    if m == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    offset = (e.senders - e.receivers) % n
    known, at, count = np.unique(offset, return_inverse=True, return_counts=True)
    if len(known) != m // n or (count != n).any():
        return None
    low, high = np.full(len(known), np.inf), np.full(len(known), -np.inf)
    np.minimum.at(low, at, e.weights)
    np.maximum.at(high, at, e.weights)
    if (high - low > 4 * np.finfo(np.float64).eps).any():
        return None
    return known, high


def _choose_one(e: Edges) -> Any:
    n, m = e.n, len(e.receivers)
    if n > 2 and m == n * (n - 1) and _constant(e.weights) and _constant(e.own):
        share = e.weights[0]
        extra = e.own[0] - share
        return Complete(np.float64(share), np.float64(0.0 if abs(extra) < 1e-15 else extra), n)
    circulant = _offsets(e)
    if circulant is not None and len(circulant[0]) <= CIRCULANT_UP_TO:
        offsets, share = circulant
        return Circulant(share, np.float64(e.own[0]), n, tuple(int(o) for o in offsets))
    if m >= DENSE_FROM * n * (n - 1) and n > 4:
        return Dense(e.matrix())
    widest = int(e.in_degrees().max())
    if n * widest > HUBS_FROM * (m + n):
        return Hubs.build(e)
    return _ports(e, widest)


def _choose_sequence(phases: list[Edges]) -> Any:
    if len(phases) == 1:
        one = _choose_one(phases[0])
        return _stack([one])
    circulant = [c for c in map(_offsets, phases) if c is not None]
    if len(circulant) == len(phases) and len({len(offsets) for offsets, _ in circulant}) == 1:
        rows = [(w, np.float64(e.own[0]), at.astype(np.int32)) for (at, w), e in zip(circulant, phases, strict=True)]
        share, own, offsets = _stack(rows)
        return CirculantSequence(share, own, offsets, phases[0].n)
    n, widest = phases[0].n, max(1, max(int(e.in_degrees().max()) for e in phases))
    if widest >= DENSE_FROM * n and n > 8:
        return _stack([Dense(e.matrix()) for e in phases])
    return _stack([_ports(e, widest) for e in phases])


def _ports(e: Edges, width: int) -> NeighborLists:
    index = np.repeat(np.arange(e.n, dtype=np.int32)[:, None], width, 1)
    weight = np.zeros((e.n, width))
    at = e.positions()
    index[e.receivers, at] = e.senders
    weight[e.receivers, at] = e.weights
    return NeighborLists(index, weight, e.own.copy())


def _stack(kernels: list[Any]) -> Any:
    import jax

    return jax.tree.map(lambda *x: np.stack(x), *kernels)


__all__ = ["choose"]
