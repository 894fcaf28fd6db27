"""Numbers of single nodes for pictures: from the arrays [n] that metrics return."""

from typing import Any

import numpy as np

from .history import History

LEVELS = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
MOMENTS = 200  # evaluations whose spread is kept, at most
VALUES = (
    40_000  # numbers of single nodes that are kept of one metric: those of fewer evaluations where there are many nodes
)


def of_run(history: History, label: str) -> dict[str, Any]:
    """Numbers of each node of a run by metric: at some evaluations, their spread at more.

    Means over seeds. Arrays of other shapes than [n], and those whose files are damaged, are left out.

    Returns:
      name -> {"rounds": [k], "values": [k, n], "at": [R], "spread": [R, 7]}, the spread by `LEVELS`.
    """
    held, n = history.held, history.facts.get(label, {}).get("nodes")
    rounds = sorted(held.parts.get(label, ())) if n else []
    rounds = [rounds[i] for i in evenly(len(rounds), MOMENTS)]
    found: dict[str, dict[int, np.ndarray]] = {}
    for t in rounds:
        try:
            part = held.at(label, t)
        except (ValueError, OSError):
            continue
        for name in dict.fromkeys(name for arrays in part.values() for name in arrays):
            seeds = [arrays[name] for arrays in part.values() if name in arrays and np.shape(arrays[name]) == (n,)]
            if seeds:
                found.setdefault(name, {})[t] = np.mean(np.asarray(seeds, float), 0)
    return {name: _kept(values) for name, values in found.items()}


def _kept(values: dict[int, np.ndarray]) -> dict[str, Any]:
    rounds, all_ = list(values), np.asarray(list(values.values()))
    few = evenly(len(rounds), max(2, VALUES // all_.shape[1]))
    known = [row[np.isfinite(row)] for row in all_]
    spread = [np.quantile(row, LEVELS) if len(row) else np.full(len(LEVELS), np.nan) for row in known]
    return {"rounds": [rounds[i] for i in few], "values": all_[few], "at": rounds, "spread": spread}


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the places 0 to count - 1, at even distances, first and last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(most, count))}) if count else []


__all__ = ["evenly", "of_run"]
