"""Routes: which rows each device must send to which other, found once, on the host.

Nodes are relabelled so that few edges cross between devices, each device's missing rows are listed,
and the device x device matrix of row counts is taken apart into permutation rounds: in a round
every device sends to at most one other and hears from at most one, so that a round is one
collective permute. Its buffers have the size of its largest pair, so that pairs of like size are
put together by repeated linear assignment.
"""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

Pairs = tuple[tuple[int, int], ...]
MOST_ROUNDS = 64  # permutation rounds that phases of a period may have of their own: each is compiled (docs/scale.md)


@dataclass(frozen=True)
class Routes:
    """The static part of an exchange: part of the program.

    Args:
      mesh: the devices. axis: its node axis.
      rounds: per phase of the topology, or once for all of them, per permutation round: (pairs of
        devices (source, target), rows sent); None: every device gets all rows (an all-gather).
      extra: received rows per device and phase, the largest of the phases.
    """

    mesh: Any
    axis: str
    rounds: tuple[tuple[tuple[Pairs, int], ...], ...] | None
    extra: int

    @property
    def devices(self) -> int:
        """Devices along the node axis."""
        return self.mesh.shape[self.axis]


Needed = list[list[np.ndarray]]  # [p][q]: sorted rows of device q that device p must get


def needed(senders: np.ndarray, receivers: np.ndarray, n: int, devices: int) -> Needed:
    """The rows that must cross for edges [m] between positions 0..n-1."""
    block = n // devices
    target, source = receivers // block, senders // block
    far = target != source
    unique = np.unique(target[far].astype(np.int64) * n + senders[far])
    target, rows = unique // n, unique % n
    cut = np.searchsorted(target * devices + rows // block, np.arange(devices * devices + 1))
    return [[rows[cut[p * devices + q] : cut[p * devices + q + 1]] for q in range(devices)] for p in range(devices)]


def crossing(senders: np.ndarray, receivers: np.ndarray, n: int, devices: int) -> int:
    """Count the rows that must cross between devices in one exchange.

    Each pair of a row and another device that needs it counts once.
    """
    return sum(len(rows) for row in needed(senders, receivers, n, devices) for rows in row)


def permutation_rounds(counts: np.ndarray) -> list[tuple[Pairs, int]]:
    """Take a matrix counts[target, source] >= 0 apart into rounds of one-to-one sends.

    Each round is the assignment of largest total of what is left; its width is a quantile of its
    pairs, and what a larger pair has beyond it waits for a later round. Of a few quantiles the one
    that moves the fewest rows, padding included, wins, among those with at most three rounds per
    other device (each round costs a latency).

    Returns:
      (pairs (source, target), width) per round: every pair of a round moves `width` rows, padding
      included.
    """
    devices = len(counts)
    tried = [_take_apart(counts, quantile, power) for quantile in (1.0, 0.75, 0.5, 0.25) for power in (1, 2)]
    few = [r for r in tried if len(r) <= 3 * (devices - 1)] or tried[:1]
    return min(few, key=lambda r: (sum(len(pairs) * width for pairs, width in r), len(r)))


def _take_apart(counts: np.ndarray, quantile: float, power: int) -> list[tuple[Pairs, int]]:
    from scipy.optimize import linear_sum_assignment

    left, rounds = counts.astype(np.int64).copy(), []
    while left.any():
        targets, sources = linear_sum_assignment(left.astype(float) ** power, maximize=True)
        pairs = [(int(q), int(p)) for p, q in zip(targets, sources) if left[p, q] > 0]
        sizes = [int(left[p, q]) for q, p in pairs]
        last = np.count_nonzero(left) == len(pairs)
        width = max(sizes) if last else int(np.quantile(sizes, quantile, method="higher"))
        rounds.append((tuple(pairs), width))
        for q, p in pairs:
            left[p, q] = max(0, left[p, q] - width)
    return rounds


def rounds_of(needs: list[Needed]) -> list[list[tuple[Pairs, int]]]:
    """Return the permutation rounds of each phase of a period.

    Where these are many in all, return one list of rounds that carries any of the phases.

    Args:
      needs: per phase, of `needed`.
    """
    counts = [np.array([[len(rows) for rows in row] for row in need]) for need in needs]
    if len(needs) > 1:
        apart = [permutation_rounds(c) for c in counts]
        if sum(map(len, apart)) <= MOST_ROUNDS:
            return apart
    return [permutation_rounds(np.max(counts, 0))]


def schedule(
    senders: np.ndarray, receivers: np.ndarray, n: int, need: Needed, rounds: list[tuple[Pairs, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """What each device sends in the rounds of one phase, and where each row lies at each device.

    Args:
      senders, receivers: int [m] edges between positions; device p of D holds positions p n/D ...
        (p+1) n/D - 1.
      need: of `needed`, for these edges.
      rounds: of `rounds_of`; they carry all rows that must cross.
    Returns:
      (send int32 [D, W]: local rows in order of rounds, where int32 [m]: place of each edge's
      sender in the rows of its receiver's device, own rows first, then received ones in order of
      rounds).
    """
    devices = len(need)
    block = n // devices
    send = np.zeros((devices, sum(width for _, width in rounds)), np.int32)
    place = [[np.zeros(len(rows), np.int32) for rows in row] for row in need]  # of each row of `need`
    start, sent = 0, np.zeros((devices, devices), np.int64)
    for pairs, width in rounds:
        for source, target in pairs:
            first = sent[target, source]
            rows = need[target][source][first : first + width]
            sent[target, source] += len(rows)
            send[source, start : start + len(rows)] = rows - source * block
            place[target][source][first : first + len(rows)] = block + start + np.arange(len(rows))
        start += width
    heard = np.concatenate([p * n + rows for p, row in enumerate(need) for rows in row])  # ascending
    target, where = receivers // block, (senders % block).astype(np.int32)
    far = target != senders // block
    at = np.searchsorted(heard, target[far].astype(np.int64) * n + senders[far])
    where[far] = np.concatenate([rows for row in place for rows in row])[at]
    return send, where


def relabelling(senders: np.ndarray, receivers: np.ndarray, n: int, devices: int) -> np.ndarray | None:
    """Return int32 [n], the node at each position, so that few rows cross; None: as they are.

    Tries the given order, reverse Cuthill-McKee (scipy) and, where it is installed, a multilevel
    partition (pymetis); the order with the fewest crossing rows wins, the given one in a tie.
    """
    best, order = crossing(senders, receivers, n, devices), None
    for candidate in (_cuthill_mckee, _metis):
        got = candidate(senders, receivers, n, devices)
        if got is None:
            continue
        at = np.empty(n, np.int64)
        at[got] = np.arange(n)
        rows = crossing(at[senders], at[receivers], n, devices)
        if rows < best:
            best, order = rows, got
    return None if order is None else order.astype(np.int32)


def _graph(senders: np.ndarray, receivers: np.ndarray, n: int) -> Any:
    from scipy.sparse import coo_array

    both = np.concatenate([senders, receivers]), np.concatenate([receivers, senders])
    graph = coo_array((np.ones(2 * len(senders), np.int32), both), shape=(n, n)).tocsr()
    graph.sum_duplicates()
    return graph


def _cuthill_mckee(senders: np.ndarray, receivers: np.ndarray, n: int, devices: int) -> np.ndarray:
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    del devices
    return np.asarray(reverse_cuthill_mckee(_graph(senders, receivers, n), symmetric_mode=True), np.int64)


def _metis(senders: np.ndarray, receivers: np.ndarray, n: int, devices: int) -> np.ndarray | None:
    """Order nodes by the parts of a multilevel partition.

    Parts are made equal in size by moving the nodes that add the fewest cut edges.
    """
    try:
        import pymetis  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    graph = _graph(senders, receivers, n)
    _, part = pymetis.part_graph(devices, pymetis.CSRAdjacency(graph.indptr.tolist(), graph.indices.tolist()))
    part = balanced(graph, np.asarray(part), devices)
    return np.argsort(part, kind="stable")


def balanced(graph: Any, part: np.ndarray, devices: int) -> np.ndarray:
    """Move nodes between parts until each has exactly n / devices.

    Nodes of too large parts go, one by one, where they add the fewest cut edges.
    """
    part, size = part.copy(), len(part) // devices
    counts = np.bincount(part, minlength=devices)

    def move(node: int) -> tuple[int, int]:
        """(cut edges added, part) of the best move of a node."""
        links = np.bincount(part[_around(graph, node)], minlength=devices)
        new = int(np.argmax(np.where(counts < size, links, -1)))
        return int(links[part[node]] - links[new]), new

    # a move makes those of its neighbors anew; a part that fills up can only make others worse,
    # which is seen when they come up
    heap = [(move(node)[0], node) for node in np.flatnonzero(counts[part] > size).tolist()]
    heapq.heapify(heap)
    while counts.max() > size:
        believed, node = heapq.heappop(heap)
        if counts[part[node]] <= size:
            continue
        added, new = move(node)
        if added > believed:
            heapq.heappush(heap, (added, node))
            continue
        counts[part[node]] -= 1
        counts[new] += 1
        part[node] = new
        for other in _around(graph, node).tolist():
            if counts[part[other]] > size:
                heapq.heappush(heap, (move(other)[0], other))
    return part


def _around(graph: Any, node: int) -> np.ndarray:
    return graph.indices[graph.indptr[node] : graph.indptr[node + 1]]


__all__ = ["Routes", "balanced", "crossing", "needed", "permutation_rounds", "relabelling", "rounds_of", "schedule"]
