"""Sweeps: every combination of some values, for all seeds.

Combinations that differ in numbers alone run as one program.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..core.checks import whole
from ..core.struct import labelled
from ..core.types import MeshLike, PathLike, Tree
from ..devices import processes
from ..errors import bad
from ..report.as_config import as_config
from ..report.history import KEYS, History
from ..xla.program_cache import kept_programs
from .arguments import directory_of, experiment_of, one_of
from .cadence import Cadence
from .directory import RunDir
from .group import Member, grouped
from .phases import of_setup, phases_of
from .simulate import Callbacks, drive_all
from .single import seeds_of


@kept_programs()
def sweep(
    build: Callable[..., tuple[Any, Any, Any]],
    over: Mapping[str, Sequence[Any] | Mapping[str, Any]],
    rounds: int = 100,
    *,
    seed: int | Sequence[int] = 0,
    seeds: Sequence[int] | None = None,
    at_once: int | None = None,
    every: int | None = None,
    at: Sequence[int] | None = None,
    at_seconds: Sequence[float] | None = None,
    nodes: int | None = None,
    final_nodes: int | None = None,
    metrics: Any = None,
    callbacks: Callbacks = (),
    progress: bool = True,
    out: PathLike | None = None,
    resume: PathLike | None = None,
    checkpoint_every: int | None = None,
    patience: int | None = None,
    monitor: str | None = None,
    fallback: bool = False,
    check_memory: bool = True,
    mesh: MeshLike = None,
) -> History:
    """Run every combination of some values, for all seeds.

    Combinations that differ in numbers alone (learning rates, gamma, strengths, probabilities:
    pytree leaves) and all seeds run at once, as one vmapped program, which is compiled once; those
    that differ in structure (another graph, method, k of top-k) run one group after another. The
    numbers are those of `simulate` up to the order of sums.

    Args:
      build: `fn(**values) -> (method, problem, network)`, or with phases as a fourth; make data and graph outside of it, so
        that all runs share them.
      over: name -> values; or name -> {label: value} for values that are no numbers, texts, or
        None.
      rounds: of each run.
      seed, seeds: of starts and draws, for every combination: one, or a list under either name.
      at_once: most runs (combinations times seeds) in one program, to bound the memory; at least as many as seeds; None: all of one
        structure. A sweep that is resumed keeps its groups.
      The others: as in `simulate`. A callback that returns True ends the run of its record; a metric sees all runs of a group in turn.
    Returns:
      History with a run for each combination, e.g. "lr=0.1, gamma=0.5"; its records hold numbers of
      `over` under their names. A run that diverges is marked (`history.facts[label]["status"]`);
      the others go on. Final states are not kept.
    Raises:
      As `simulate`, but for DivergenceError.
    Example:
      >>> def build(lr):
      ...     return dejax.methods.dsgd(lr=lr), problem, network
      >>> history = dejax.sweep(build, {"lr": [0.1, 0.3, 1.0]}, rounds=200, seeds=range(4))  # doctest: +SKIP
      >>> history.best("accuracy/local")  # doctest: +SKIP
    """
    directory = directory_of(out, resume, None, fallback)
    with processes.everyone():
        rounds, (own, _) = whole("rounds", rounds), seeds_of(one_of(seed, seeds))
        if at_once is not None:
            at_once = whole("at_once", at_once)
        members = [_member(build, values, rounds) for values in _combinations(build, over)]
    when = {
        "every": every,
        "at": at,
        "at_seconds": at_seconds,
        "nodes": nodes,
        "final_nodes": final_nodes,
        "metrics": metrics,
        "checkpoint_every": checkpoint_every,
        "patience": patience,
        "monitor": monitor,
    }
    if directory is not None and not directory.resume:
        given = {member.label: _whole(member) for member in members}
        directory.config = as_config(given, {member.label: rounds for member in members}, own, when, mesh)
        if directory.config is not None:  # by which `dejax resume` goes on
            known = {member.label: {"marks": member.marks, "swept": member.swept} for member in members}
            directory.about["sweep"] = {"over": {}, "seeds": None, "at_once": at_once, "members": known}
    return run_members(
        members,
        own,
        at_once,
        mesh,
        when,
        callbacks=callbacks,
        progress=progress,
        directory=directory,
        check_memory=check_memory,
    )


@kept_programs()
def run_members(
    members: Sequence[Member],
    seeds: Sequence[int],
    at_once: int | None,
    mesh: MeshLike,
    when: Mapping[str, Any],
    *,
    callbacks: Callbacks = (),
    progress: bool = True,
    directory: RunDir | None = None,
    check_memory: bool = True,
) -> History:
    """Run all members to their end, in groups; records come in the order of the members.

    when: fields of `Cadence`.
    """
    if processes.count() > 1:  # before anything that all must do alike
        processes.same({m.label: {"rounds": m.rounds, "numbers": m.marks, "seeds": list(seeds)} for m in members})
    groups = grouped(members, seeds, at_once, mesh, directory.about.get("groups", ()) if directory else ())
    if directory is not None:
        directory.about["groups"] = [group.labels for group in groups]
    todo = [(group, Cadence(group.rounds, **when)) for group in groups]
    order = [member.label for member in members]
    return drive_all(todo, callbacks, progress, directory, check_memory=check_memory, order=order)


def _whole(member: Member) -> tuple[Any, ...]:
    """Return (method, problem, network, later phases) of a member."""
    with member.blame():
        phases = phases_of(member.given, member.phases, member.rounds)
        return *phases[0].given, of_setup(phases)


def _combinations(build: Callable[..., Any], over: object) -> list[dict[str, tuple[str, Any]]]:
    """name -> (label, value), for every combination.

    Raises:
      TypeError, ValueError: no mapping of names and values, none at all, or not those that `build`
        takes.
    """
    if not callable(build):
        raise bad("build", build, instead="give a function fn(**values) -> (method, problem, network)")
    if not isinstance(over, Mapping) or not over or not all(isinstance(name, str) and name for name in over):
        raise bad("over", over, instead="give {name of an argument of build: values}, e.g. {'lr': [0.1, 0.3]}")
    if taken := [name for name in over if name in KEYS]:
        raise bad(
            "over",
            over,
            says=f"has {taken[0]!r}",
            why="which names a column of every record",
            instead="give the argument another name (seeds: seeds=)",
        )
    try:
        inspect.signature(build).bind(**over)
    except TypeError as error:
        raise bad(
            "over", over, says=f"gives {', '.join(over)}", why=f"which are not the arguments of build: {error}"
        ) from None
    named = []
    for name, values in over.items():
        if isinstance(values, Mapping):
            found = list(values.items())
        elif isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise bad(
                "over",
                values,
                says=f"[{name!r}] is {values!r}",
                instead="give a list of values, or a dict {label: value}",
            )
        else:
            found = [(_text(name, value), value) for value in values]
        if not found:
            raise bad("over", values, says=f"[{name!r}] is empty", instead="give at least one value")
        if len({label for label, _ in found}) < len(found):
            raise bad(
                "over",
                values,
                says=f"[{name!r}] gives a value twice: {[label for label, _ in found]}",
                instead="give each once",
            )
        named.append([(name, pair) for pair in found])
    return [dict(combo) for combo in itertools.product(*named)]


def _text(name: str, value: Tree) -> str:
    if value is None or isinstance(value, (str, bool, int, float, np.generic)):
        return str(value)
    if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0:
        return str(np.asarray(value).item())
    raise bad(
        "over",
        value,
        says=f"[{name!r}] holds a {type(value).__name__}",
        instead="give a dict {label: value}, so that records can name it",
    )


def _member(build: Callable[..., Any], values: dict[str, tuple[str, Any]], rounds: int) -> Member:
    label = ", ".join(f"{name}={text}" for name, (text, _) in values.items())
    marks = {}
    for name, (_, value) in values.items():
        if (
            np.ndim(value) == 0
            and not isinstance(value, (str, bool))
            and np.issubdtype(np.asarray(value).dtype, np.number)
        ):
            marks[name] = np.asarray(value).item()
    with labelled(label):
        given = build(**{name: value for name, (_, value) in values.items()})
        if not isinstance(given, (tuple, list)) or len(given) not in (3, 4):
            length = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
            says = f"returned a {type(given).__name__}{length} for {label}"
            raise bad("build", given, says=says, instead="return (method, problem, network)")
    experiment, phases = experiment_of(given)
    swept = {"run": "", "over": {name: text for name, (text, _) in values.items()}}
    return Member(label, experiment, rounds, marks, swept, phases=phases)


__all__ = ["run_members", "sweep"]
