"""Arguments that the public calls share: where files go, which seeds, which phases."""

from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from ..core.types import PathLike
from ..devices import processes
from ..errors import bad
from ..report import files
from .directory import RunDir


def directory_of(
    out: PathLike | None, resume: PathLike | None, config: str | None, fallback: bool = False
) -> RunDir | None:
    """Where files go, if anywhere; all processes must have been given the same."""
    told = processes.gather([str(out), str(resume)])
    if any(pair != told[0] for pair in told):
        says = f"and resume are {told} on processes 0 to {len(told) - 1}"
        raise processes.met(bad("out", out, says=says, instead="give the same on all: process 0 alone writes"))
    if resume is True:
        resume, out = out, None
        if resume is None:
            raise bad("resume", True, says="is True but out is not given", instead="give resume='the run directory'")
    for name, path in (("out", out), ("resume", resume)):
        if path is not None:
            files.check_path(name, path)
    if fallback and resume is None:
        raise bad("fallback", fallback, why="but nothing is resumed", instead="give resume= with it, or leave it out")
    if out is not None and resume is not None and str(out) != str(resume):
        raise bad(
            "out",
            str(out),
            says=f"is {str(out)!r} and resume is {str(resume)!r}",
            instead="a resumed run goes on in its own directory: leave out away",
        )
    path = resume if resume is not None else out
    return None if path is None else RunDir(path, resume is not None, config, fallback=fallback)


def one_of(seed: Any, seeds: Any) -> Any:
    """The seeds that were given, under one of the two names: a number, or a list.

    Raises:
      ValueError, TypeError: under both names, or under `seeds` no list of at least one.
    """
    if seeds is None:
        return seed
    if not (np.ndim(seed) == 0 and seed == 0):
        raise bad("seed", seed, says=f"is {seed!r} and seeds is {seeds!r}", instead="give one of them")
    if np.ndim(seeds) == 0 and isinstance(seeds, SupportsIndex):
        n = int(seeds)
        raise bad(
            "seeds", seeds, instead=f"give a list of seeds, e.g. seeds=list(range({n})), or seed={n} for this one"
        )
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable):
        raise bad("seeds", seeds, instead="give a list of different whole numbers, e.g. seeds=[0, 1, 2]")
    seeds = list(seeds)
    if not seeds:
        raise bad("seeds", seeds, says="is empty", instead="give at least one, e.g. seeds=[0, 1, 2]")
    return seeds


def experiment_of(given: Sequence[Any]) -> tuple[tuple[Any, Any, Any], Any]:
    """Return ((method, problem, network), phases) of a run given as three, or as four."""
    method, problem, network, *phases = given
    return (method, problem, network), phases[0] if phases else None


__all__ = ["directory_of", "experiment_of", "one_of"]
