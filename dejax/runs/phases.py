"""Phases: stretches of one run that differ in method numbers, local work or network."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import engine
from ..core import tree
from ..core.checks import whole
from ..core.types import Layout, Method, Tree
from ..engine.upload import Placer, placed
from ..errors import RefusedError, Words, bad
from .fingerprint import fingerprint

Phases = Sequence[Mapping[str, Any]] | None  # as `simulate` takes them
KEYS = ("until", "method", "network")
EXAMPLE = Words(
    "phases=[{'until': 200, 'network': first}, {'network': second}]",
    "phases: [{until: 200, network: {topology: ring}}, {network: {topology: complete}}]",
)


class Phase(NamedTuple):
    """One phase as it was given: rounds begin, ..., end - 1."""

    begin: int
    end: int
    given: tuple[Any, Any, Any]  # (method, problem, network)


@dataclasses.dataclass
class Stage:
    """One phase as it runs.

    Attributes:
      place: which of the phases. begin, end: its rounds. given: of the first run.
      parts: (method, problem, network) by node id. ready: the same as they run, on a mesh with nodes in their places.
      varying: which leaves of (method, network) differ between the runs of a group; values: these leaves [runs, ...].
      compiled, axes: of its program, once there are.
    """

    place: int
    begin: int
    end: int
    given: Any
    parts: Any
    ready: Any
    varying: tuple[int, ...] = ()
    values: Any = None
    compiled: Any = None
    axes: Any = None


def staged(phases: Sequence[Phase], rounds: int, layout: Layout | None, placer: Placer) -> list[Stage]:
    """Prepare phases, and place them on devices.

    Schedules that count in epochs go on from where the phase before left them.

    Raises:
      RefusedError, ValueError, TypeError: as `engine.prepare` and `check_networks`.
    """
    stages, epochs = [], 0.0
    for i, (begin, end, given) in enumerate(phases):
        try:
            parts, ready = placed(given, rounds, layout, placer, (begin, epochs))
        except (ValueError, TypeError) as error:
            if len(phases) > 1:
                error.add_note(f"in phases[{i}], rounds {begin} to {end - 1}")
            raise
        stages.append(Stage(i, begin, end, given, parts, ready))
        if len(phases) > 1 and parts[1].source is None:
            epochs = epochs + (end - begin) * engine.epochs_of_round(*parts[:2])
    check_networks(stages)
    return stages


def phases_of(given: tuple[Any, Any, Any], phases: Phases, rounds: int) -> list[Phase]:
    """Read the phases of a run; one, if none are given.

    Args:
      given: (method, problem, network) of the run, which hold where a phase says nothing else.
      phases: mappings with `until` (rounds done when the phase ends; all but the last have one), `method`, `network`.
    Raises:
      ValueError, TypeError: no such mappings; ends out of order; what a phase cannot change.
    """
    if phases is None or (isinstance(phases, (list, tuple)) and not phases):
        return [Phase(0, rounds, given)]
    if not isinstance(phases, (list, tuple)) or not all(isinstance(p, Mapping) for p in phases):
        raise bad("phases", phases, instead="give a list of phases, e.g. " + EXAMPLE)
    found: list[Phase] = []
    begin = 0
    for i, phase in enumerate(phases):
        where, last = f"phases[{i}]", i == len(phases) - 1
        if other := next((key for key in phase if key not in KEYS), None):
            raise bad(
                f"{where}.{other}",
                phase[other],
                says="is no part of a phase",
                instead=f"give some of {', '.join(KEYS)}",
            )
        until = phase.get("until")
        if last and until is not None:
            why = "but the last phase lasts until the run's rounds are done"
            raise bad(f"{where}.until", until, why=why, instead="leave it out, or add a phase")
        if not last:
            if until is None:
                raise bad(
                    f"{where}.until", None, says="is missing", instead="say after which round the next phase begins"
                )
            until = whole(f"{where}.until", until)
            if until <= begin:
                raise bad(
                    f"{where}.until",
                    until,
                    why=f"but the phase begins at round {begin}",
                    instead=f"give more than {begin}",
                )
            if until >= rounds:
                why = f"but the run has {rounds} rounds, so that the next phase never begins"
                raise bad(f"{where}.until", until, why=why, instead=f"give less than {rounds}, or more rounds")
        method, problem, network = given
        own = (phase.get("method") or method, problem, phase.get("network") or network)
        _check_method(f"{where}.method", found[0].given[0] if found else method, own[0])
        found.append(Phase(begin, rounds if until is None else until, own))
        begin = found[-1].end
    return found


def _check_method(field: str, first: Method, method: Method) -> None:
    if type(method) is not type(first):
        says = f"is a {type(method).__name__}"
        why = f"but the run's is a {type(first).__name__}, whose state means something else"
        way = "keep the method, with other numbers; or start a run of its own from these models, " + Words(
            "params=", "from Python by params="
        )
        raise bad(field, method, says=says, why=why, instead=way, error=RefusedError)


def check_networks(stages: Sequence[Stage]) -> None:
    """Refuse networks under which what the run remembers would mean something else.

    Raises:
      RefusedError: another codec with memory, timetable, clock or delay; another graph where memory belongs to edges.
    """
    first = stages[0].parts[2]
    for stage in stages[1:]:
        net, where = stage.parts[2], f"phases[{stage.place}].network"

        def refuse(field: str, why: str, instead: str, value: object, where: str = where) -> None:
            raise bad(f"{where}.{field}", value, says="is another one", why=why, instead=instead, error=RefusedError)

        other = lambda name, net=net: not _same(getattr(net, name, None), getattr(first, name, None))
        graph, codecs = other("topology"), (getattr(first, "codec", None), getattr(net, "codec", None))
        memory = [getattr(codec, "memory", "none") for codec in codecs]
        if other("codec") and memory != ["none", "none"]:
            why = "but the codec's memory goes on from phase to phase"
            refuse("codec", why, "keep the codec, or take codecs without memory", codecs[1])
        if (getattr(first, "clock", None) is None) != (getattr(net, "clock", None) is None):
            refuse(
                "clock",
                "but seconds are counted over the whole run",
                "give a clock in all phases, or in none",
                net.clock,
            )
        if not _same(getattr(first, "late", None), getattr(net, "late", None)):
            refuse(
                "faults",
                "but messages are under way from phase to phase",
                "delay messages in all phases alike",
                net.late,
            )
        timed = getattr(first, "events", None) is not None or getattr(net, "events", None) is not None
        if timed and (other("events") or graph):
            field = "events" if other("events") else "topology"
            refuse(field, "but a timetable is drawn for the whole run", "keep events and graph", getattr(net, field))
        if not graph:
            continue
        held = {
            "whose edges have memory of the method or the codec": getattr(first, "edges", None) is not None,
            "but neighbors hold copies": memory[0] == "copies",
            "but messages are under way on the edges": getattr(first, "late", None) is not None,
            "but the method's state began on the first graph (its `start`)": hasattr(stages[0].parts[0], "start"),
        }
        for why in (why for why, is_held in held.items() if is_held):
            refuse("topology", why, "keep the graph", net.topology)


def _same(a: Tree, b: Tree) -> bool:
    return a is b or fingerprint(a) == fingerprint(b)


def in_turn(stages: Sequence[Stage | Phase]) -> list[tuple[int, Any, Any]]:
    """(the round where it begins, method, network) of each phase."""
    return [(stage.begin, stage.given[0], stage.given[2]) for stage in stages]


def of_setup(stages: Sequence[Stage | Phase]) -> list[tuple[int, Any, Any]]:
    """The same of the phases after the first."""
    return in_turn(stages)[1:]


def check_carry(first: Tree, other: Tree, place: int) -> None:
    """Refuse a phase whose state or memory has another form than that of the first.

    Args:
      first, other: shapes of the carry in both. place: which phase `other` is.
    Raises:
      RefusedError: names the first leaf that differs.
    """
    leaves = lambda carry: {tree.path_of(path): x for path, x in jax.tree_util.tree_leaves_with_path(carry)}
    mine, theirs = leaves(first), leaves(other)
    for path in [*mine, *(p for p in theirs if p not in mine)]:
        a, b = (x.get(path) for x in (mine, theirs))
        if a is not None and b is not None and (a.shape, a.dtype) == (b.shape, b.dtype):
            continue
        state = path.startswith("state")
        form = lambda x: "is not there" if x is None else f"is {jnp.dtype(x.dtype).name}{list(x.shape)}"
        raise bad(
            f"phases[{place}]" + (".method" if state else ".network"), None,
            says=f"needs {'a state' if state else 'a memory'} of another form: {path} {form(b)} there and {form(a)} in the first phase",
            instead="change numbers, local work, the graph or faults, and keep what is remembered from round to round", error=RefusedError,
        )  # fmt: skip


__all__ = ["Phase", "Phases", "Stage", "check_carry", "check_networks", "in_turn", "of_setup", "phases_of", "staged"]
