"""Poisson clocks of the nodes, and what both kinds of timetable share."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core.types import Topology
from ..errors import bad

Packed = dict[str, np.ndarray]


def neighbors_of(topology: Topology) -> list[np.ndarray]:
    """The neighbors of each node of a fixed graph, by id.

    Raises:
      ValueError: a node has none.
    """
    edges, n = topology.edges(), topology.n
    order = np.argsort(edges[:, 0], kind="stable")
    lists = np.split(edges[order, 1], np.cumsum(np.bincount(edges[:, 0], minlength=n))[:-1])
    lonely = next((i for i, others in enumerate(lists) if len(others) == 0), None)
    if lonely is not None:
        raise ValueError(f"node {lonely} of {topology.name!r} has no neighbor to meet; use a connected graph")
    return lists


def first_rounds(
    owner: Any, n: int, rounds: int | None, block: Callable[[np.random.Generator, np.ndarray, np.ndarray], Packed]
) -> Packed:
    """Return the first packed rounds of events at nodes whose clocks fire at `owner.rate`.

    Args:
      owner: has rate, events per second and node, one or n of them, and seed.
      block: as for `of_clocks`, with the nodes that fire.
    Raises:
      ValueError: no number of rounds; another number of rates than nodes.
    """
    given = np.asarray(owner.rate, float)
    rates = np.broadcast_to(given, (n,)) if given.ndim == 0 else given
    if rates.shape != (n,) or (rates <= 0).any():
        says = f"has shape {rates.shape} for n = {n} nodes, or a rate <= 0"
        raise bad("rate", owner.rate, owner=owner, says=says, instead="give one number > 0 per node")
    return of_clocks(owner, rates, 8 * n, rounds, block)


def of_clocks(
    owner: Any,
    rates: np.ndarray,
    events: int,
    rounds: int | None,
    block: Callable[[np.random.Generator, np.ndarray, np.ndarray], Packed],
) -> Packed:
    """Return the first packed rounds of events of Poisson clocks that fire at `rates`.

    Events come in blocks, each packed on its own, so that a longer plan begins with the same rounds.

    Args:
      owner: has a seed. events: those of a block.
      block: (generator, which clock fires [E], times [E]) -> columns of packed rounds, with `times` and `ticks`.
    Raises:
      ValueError: no number of rounds.
    """
    if rounds is None:
        raise bad(
            "events",
            owner,
            owner="network",
            says="needs the number of rounds to draw its plan",
            instead="give rounds",
        )
    rng, parts, done, time, ticks = np.random.default_rng(owner.seed), [], 0, 0.0, 0
    while done < rounds:
        times = time + np.cumsum(rng.exponential(1 / rates.sum(), events))
        found = block(rng, rng.choice(len(rates), events, p=rates / rates.sum()), times)
        found["ticks"] = found["ticks"] + np.int32(ticks)
        parts.append(found)
        time, ticks, done = float(times[-1]), ticks + events, done + len(found["times"])
    return {k: np.concatenate([b[k] for b in parts])[:rounds] for k in parts[0]}


def packed(
    columns: dict[str, np.ndarray],
    touched: Iterable[Iterable[int]],
    changed: Iterable[Iterable[int]],
    times: np.ndarray,
    n: int,
    width: int,
) -> Packed:
    """Put each event into the earliest round with room after the changes of what it touches.

    Running the rounds in order then equals running the events one at a time, as long as an event
    also touches all nodes whose events touch what it changes.

    Args:
      columns: name -> int [E], ids of nodes of each event, or numbers, floating. touched, changed: of each event, ids.
      times: float [E], ascending. n: nodes. width: most events per round, >= 1.
    Returns:
      The columns and `ticks`, the event's number, int32 [T, width] (ids padded with n, numbers with 0); `times`
      float64 [T] and `whole` int32 [T], which add up to seconds.
    """
    free = np.zeros(n, np.int64)  # the first round after the node's last change
    filled: list[int] = []
    where = np.empty((len(times), 2), np.int64)
    open_from = 0
    for e, (seen, moved) in enumerate(zip(touched, changed, strict=True)):
        t = max(open_from, *(int(free[i]) for i in seen))
        while t < len(filled) and filled[t] >= width:
            t += 1
        while t >= len(filled):
            filled.append(0)
        where[e] = t, filled[t]
        filled[t] += 1
        for i in moved:
            free[i] = t + 1
        while open_from < len(filled) and filled[open_from] >= width:
            open_from += 1
    rounds = len(filled)
    empty = lambda x: np.zeros((rounds, width)) if x.dtype.kind == "f" else np.full((rounds, width), n, np.int32)
    out = {name: empty(np.asarray(values)) for name, values in columns.items()}
    out["ticks"] = np.zeros((rounds, width), np.int32)
    end = np.zeros(rounds)
    for name, values in (*columns.items(), ("ticks", np.arange(len(times)))):
        out[name][where[:, 0], where[:, 1]] = values
    np.maximum.at(end, where[:, 0], times)
    end = np.maximum.accumulate(end)
    whole = np.floor(end)
    return out | {"times": end - whole, "whole": whole.astype(np.int32)}


__all__ = ["Packed", "first_rounds", "neighbors_of", "of_clocks", "packed"]
