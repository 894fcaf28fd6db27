"""Set rows aside for validation and for testing: shares of all rows, or of every node's."""

from typing import Any

import numpy as np

from ..core.checks import in_
from ..errors import FieldError, bad
from . import columns
from .parts import Parts

SHARE = in_(0, 1, "[)", "a share")


def check_shares(owner: str, validation: float, test: float) -> tuple[float, float]:
    """Both shares.

    Raises:
      ValueError: a share outside [0, 1); together 1 or more; both 0.
    """
    SHARE(f"{owner}.validation", validation)
    SHARE(f"{owner}.test", test)
    if not 0 < validation + test < 1:
        says = f"is {validation} beside test = {test}"
        raise bad(
            "validation", validation, owner=owner, says=says, instead="give shares > 0 that leave rows to train on"
        )
    return validation, test


def shares_of_rows(rows: int, shares: tuple[float, ...], rng: np.random.Generator, name: str) -> list[np.ndarray]:
    """Return sorted row numbers: those that stay, then one random set for each share.

    Each set has one row at least where its share is > 0.

    Raises:
      ValueError: too few rows.
    """
    away = [max(round(rows * share), 1) if share else 0 for share in shares]
    if sum(away) >= rows:
        raise FieldError(
            f"split: {name} has {rows} training rows, too few to set {sum(away)} aside", field="split.validation"
        )
    cuts = np.cumsum([rows - sum(away), *away])[:-1]
    return [np.sort(part) for part in np.split(rng.permutation(rows), cuts)]


def shares_of_nodes(
    parts: Parts, shares: tuple[float, ...], rng: np.random.Generator, field: str, owner: str | None = None
) -> list[Parts]:
    """Return the rows that stay at each node, then one random set of them for each share.

    Every node gives one row at least to a share > 0, and keeps one.

    Args:
      field, owner: of the caller, to be named in errors.
    Raises:
      ValueError: a node has too few rows; nodes share rows, so that one would train on what another is tested on.
    """
    sizes, asked = parts.sizes, sum(share > 0 for share in shares)
    largest = max(shares)
    if sizes.min() < asked + 1:
        said = "one sample" if sizes.min() == 1 else f"{sizes.min()} samples"
        instead = f"use fewer nodes, or {field}=0"
        raise bad(field, largest, owner=owner, why=f"but node {int(sizes.argmin())} has {said}", instead=instead)
    if len(np.unique(parts.rows)) < len(parts.rows):
        why = "but nodes share samples, so one node would train on another's test rows"
        raise bad(field, largest, owner=owner, why=why, instead=f"use {field}=0")
    away = np.stack([np.round(sizes * share).astype(np.int64) for share in shares])
    away = np.maximum(away, np.array([[share > 0] for share in shares]))
    while (over := away.sum(0) - (sizes - 1)).max() > 0:  # rounding took the last row of small nodes
        node = over > 0
        most = away[:, node].argmax(0)
        away[most, np.flatnonzero(node)] -= 1
    order = rng.permutation(len(parts.rows))
    order = order[np.argsort(parts.owner[order], kind="stable")]  # shuffled inside every node
    rank = np.arange(len(order)) - np.repeat(parts.offsets[:-1], sizes)
    out, first = [], np.zeros(len(sizes), np.int64)
    for count in away:
        at = np.repeat(first, sizes)
        chosen = (rank >= at) & (rank < at + np.repeat(count, sizes))
        out.append(Parts(parts.rows[order[chosen]], np.concatenate([[0], np.cumsum(count)])))
        first = first + count
    kept = parts.rows[order[rank >= np.repeat(first, sizes)]]
    offsets = np.concatenate([[0], np.cumsum(sizes - first)])
    return [Parts(kept, offsets, parts.facts, shift=parts.shift, node_of_group=parts.node_of_group), *out]


def joined(old: dict[str, Any] | None, arrays: dict[str, Any], rows: Parts) -> tuple[dict[str, Any], Parts]:
    """Put rows of `arrays` behind those of a part.

    Returns the part, and where the rows of each node now lie.
    """
    held = columns.taken(arrays, rows.rows)
    first = 0 if old is None else columns.count(old)
    held = held if old is None else columns.joined([old, held])
    return held, Parts(first + np.arange(len(rows.rows)), rows.offsets)


def held(arrays: dict[str, Any], parts: Parts) -> tuple[dict[str, Any], Parts]:
    """Drop the rows that no node holds.

    Returns those of `arrays` that stay, in their order, and where the rows of each node now lie.
    """
    some = np.unique(parts.rows)
    rows = np.searchsorted(some, parts.rows)
    kept = Parts(rows, parts.offsets, parts.facts, shift=parts.shift, node_of_group=parts.node_of_group)
    return columns.taken(arrays, some), kept


__all__ = ["check_shares", "held", "joined", "shares_of_nodes", "shares_of_rows"]
