"""Runs of one structure as one program: what differs in numbers alone, times seeds.

Such numbers are learning rates, gamma, strengths.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from .. import engine
from ..core.random import seeded
from ..core.struct import labelled
from ..core.types import Layout, MeshLike, Tree
from ..devices import placement, processes
from ..devices.processes import to_host
from ..engine.upload import Placer
from ..errors import bad
from ..report.graphs import of_phases
from ..report.setup import facts_of, setup
from . import code_digest, vmapped
from .accounts import Accounts
from .batch import Batch
from .fingerprint import fingerprint
from .outcome import outcome
from .phases import Stage, in_turn, of_setup, phases_of, staged


@dataclass
class Member:
    """One run of a group, for all of its seeds.

    Attributes:
      label: its name in records. given: (method, problem, network). rounds: in all.
      marks: numbers that its records hold. swept: of a sweep, the run that was varied and what was
        set, as text: {"run": label, "over": {name: value}}. blamed: makes a stretch in which what is refused is
        about this run.
      phases: as `simulate` takes them. stages: the same prepared, as soon as it is placed on devices.
    """

    label: str
    given: tuple[Any, Any, Any]
    rounds: int
    marks: dict[str, Any] = field(default_factory=dict)
    swept: dict[str, Any] | None = None
    blamed: Callable[[], contextlib.AbstractContextManager[Any]] | None = None
    phases: Any = None
    stages: list[Stage] = field(default_factory=list)

    def place_on(self, layout: Layout | None, placer: Placer) -> None:
        """Prepare it, and place it on devices."""
        with self.blame():
            self.stages = staged(phases_of(self.given, self.phases, self.rounds), self.rounds, layout, placer)

    def blame(self) -> contextlib.AbstractContextManager[Any]:
        """A stretch in which what is refused is about this run."""
        return labelled(self.label) if self.blamed is None else self.blamed()

    def structure(self) -> Any:
        """Equal for members that one program a phase serves: all but numbers of method and network."""
        return tuple(_structure(stage) for stage in self.stages), self.rounds


class Group(Batch):
    """Members of one structure, each for all seeds, as one program.

    A lane that diverges lets the others go on. The leading axis of carry and keys holds the seeds
    of the first member, then those of the second, and so on; of a group of fewer than `size`
    members the last one fills the rest, so that one program serves the parts of a larger group.
    """

    def __init__(
        self,
        members: Sequence[Member],
        seeds: Sequence[int],
        size: int,
        mesh: MeshLike = None,
    ):
        first, self.members, self.seeds = members[0], list(members), list(seeds)
        self.stages = [replace(stage) for stage in first.stages]  # programs and stacked numbers are this group's own
        self.stage = self.stages[0]
        lanes = [(member.label, seed) for member in members for seed in seeds]
        label = first.label if len(members) == 1 else f"{first.label} and {len(members) - 1} more"
        super().__init__(label, lanes, True, first.rounds, mesh, width=size * len(seeds))
        self.accounts = Accounts(self)
        self.key = seeded([seed for _ in range(size) for seed in seeds])
        if self.place is not None:
            self.key = placement.place_array(self.key, self.place.sharding(False, self._lead))
        leaves = _leaves(self.stage)
        runs = 1 if self.layout is None else self.layout.mesh.shape[placement.RUNS]
        self.copies = (self.width - 1) * sum(placement.bytes_of(leaves[i]) for i in self.varying) / runs

    @property
    def values(self) -> list[Any]:
        """The varying leaves of all runs, [width, ...] each."""
        if self.stage.values is not None:
            return self.stage.values
        flat = [_leaves(member.stages[self.stage.place]) for member in self.members]
        flat += [flat[-1]] * (self.width // len(self.seeds) - len(flat))
        stacked = vmapped.stacked([[leaves[i] for leaves in flat] for i in self.varying], len(self.seeds))
        if self.place is not None:
            rows = self.place.sharding(False, self._lead)
            stacked = [placement.place_array(x, rows) for x in stacked]
        self.stage.values = stacked
        return stacked

    @property
    def values_like(self) -> list[Any]:
        """Shapes of `values`."""
        leaves = _leaves(self.stage)
        rows = None if self.place is None else self.place.sharding(False, self._lead)
        shape = lambda x: jax.ShapeDtypeStruct((self.width, *x.shape), x.dtype, sharding=rows)
        return [shape(leaves[i]) for i in self.varying]

    def blamed(self) -> contextlib.AbstractContextManager[Any]:
        """A stretch in which what is refused is about these runs."""
        return self.members[0].blame()

    def release(self) -> None:
        """Only records and facts are looked at again."""
        self.carry = None
        for stage in [*self.stages, *(stage for member in self.members for stage in member.stages)]:
            stage.parts = (None, stage.parts[1], None)
            stage.ready = stage.values = stage.compiled = None

    def _member(self, at: int) -> Member:
        return self.members[at // len(self.seeds)]

    def method_of(self, at: int) -> Any:
        """The method of a lane, as it runs."""
        return self._member(at).stages[self.stage.place].ready[0]

    def network_of(self, at: int) -> Any:
        """The network of a lane, by node id."""
        return self._member(at).stages[self.stage.place].parts[2]

    def parts_of(self, at: int, place: int) -> tuple[Any, Any, Any]:
        """Method, problem and network of a lane in one phase, prepared and by node id."""
        return self._member(at).stages[place].parts

    def diverged(self, error: Any, lane: int) -> None:
        """Only this lane stops."""
        self.broken[lane] = (error.round, error.node)

    def swept(self) -> dict[str, dict[str, Any]]:
        """label -> what a sweep has set for it."""
        return {member.label: member.swept for member in self.members if member.swept is not None}

    def marks(self, at: int) -> dict[str, Any]:
        """Numbers that all records of a lane hold."""
        return self._member(at).marks

    def facts(self) -> dict[str, dict[str, Any]]:
        """label -> plain facts for tables and files."""
        width, out = len(self.seeds), {}
        for i, member in enumerate(self.members):
            at = min((at for at in self.broken if at // width == i), default=None)
            status = self.status
            if status.startswith(("done", "nonfinite")):
                status = outcome([record for record in self.records if record["run"] == member.label])
            if (end := self.stopped(member.label)) is not None and not status.startswith("nonfinite"):
                status = end.said
            if at is not None:
                status = (
                    f"diverged in round {self.broken[at][0]} (seed {self.seeds[at % width]}, node {self.broken[at][1]})"
                )
            mine = sum(r["run"] == member.label for r in self.records)
            facts = facts_of(*(stage.given[0] for stage in member.stages))
            out[member.label] = {"status": status, "records": mine} | self.common_facts() | facts
            out[member.label] |= ({} if end is None else {"rounds": end.round}) | self.early(member.label)
            out[member.label] |= self.accounts.facts(member.label)
            if member.swept is not None:
                out[member.label]["swept"] = member.swept
        return out

    def setups(self) -> dict[str, dict[str, Any]]:
        """label -> all that its run was made of."""
        of = lambda m: setup(*m.stages[0].given, phases=of_setup(m.stages))
        return {member.label: of(member) for member in self.members}

    def graphs(self) -> dict[str, Any]:
        """label -> the graphs of its phases for pictures."""
        return {m.label: of_phases(in_turn(m.stages)) for m in self.members}

    def fingerprints(self) -> dict[str, Any]:
        """What a checkpoint must share with these runs."""
        of = lambda stage: (stage.parts[0], engine.typed(stage.given[2]))
        each = [[of(member.stages[stage.place]) for member in self.members] for stage in self.stages]
        ends, found = [stage.end for stage in self.stages[:-1]], {}
        for stage in self.stages:
            for name, part in zip(("method", "problem", "network"), stage.given, strict=True):
                found |= code_digest.functions(part, name if stage.place == 0 else f"phases.{stage.place}.{name}")
        methods, networks = zip(*each[0], strict=True)
        parts = {"method": list(methods), "problem": self.problem, "network": list(networks)}
        parts |= {"phases": (ends, each[1:])} if ends else {}
        return {name: fingerprint(part) for name, part in parts.items()} | {
            "runs": self.labels,
            "seeds": self.seeds,
            "code": {"python": code_digest.python(), "functions": found},
        }


def grouped(
    members: Sequence[Member],
    seeds: Sequence[int],
    at_once: int | None = None,
    mesh: MeshLike = None,
    before: Sequence[Sequence[str]] = (),
) -> list[Group]:
    """Place members on devices, and group them by structure into programs.

    Each takes at most `at_once` runs. A run is one member with one seed. Parts of a structure are
    as equal as can be, and all of one size, so that one program serves them; on a mesh runs fill
    the devices of the axis `runs`.

    Args:
      before: labels of the groups of a sweep that is resumed, which stay what they were: their
        checkpoints hold them.
    Raises:
      RefusedError, ValueError, TypeError: as `engine.prepare`; at_once below the number of seeds,
        which go together.
    """
    if at_once is not None and at_once < len(seeds):
        raise bad(
            "at_once",
            at_once,
            why=f"but {len(seeds)} seeds go together",
            instead=f"give at_once >= {len(seeds)} (--at-once), or fewer seeds (--seeds)",
        )
    layout = placement.as_layout(mesh)
    placer = Placer(layout)
    runs = 1 if layout is None else layout.mesh.shape[placement.RUNS]
    step = runs // math.gcd(runs, len(seeds))
    alike: dict[Any, list[Member]] = {}
    with processes.everyone():
        for member in members:
            member.place_on(layout, placer)
    for member in members:
        alike.setdefault(member.structure(), []).append(member)
    out = []
    for group in alike.values():
        for member in group:  # one problem on the devices serves all
            for mine, first in zip(member.stages, group[0].stages, strict=True):
                mine.parts = (mine.parts[0], first.parts[1], mine.parts[2])
                mine.ready = (mine.ready[0], first.ready[1], mine.ready[2])
        for i in range(len(group[0].stages)):
            varying = _varying([member.stages[i] for member in group])
            for member in group:
                member.stages[i].varying = varying
        parts = _as_before(group, before)
        most = max(1, (at_once or len(group) * len(seeds)) // len(seeds))
        size = max(map(len, parts)) if parts else -(-len(group) // -(-len(group) // most))
        size = -(-size // step) * step
        for some in parts or [group[i : i + size] for i in range(0, len(group), size)]:
            part = Group(some, seeds, size, layout)
            part.fewer = f"fewer seeds (now {len(seeds)}; --seeds)"
            if size > step:
                part.fewer = f"fewer runs at once (now {part.width}; --at-once)"
            out.append(part)
    return out


def _told_by(x: Tree) -> Any:
    """Return what distinguishes leaves of problems: numbers by value, arrays by identity.

    Identity is enough for arrays, since data are on devices once.
    """
    return (str(x.dtype), np.asarray(x).item()) if np.ndim(x) == 0 else id(x)


def _as_before(group: Sequence[Member], before: Sequence[Sequence[str]]) -> list[list[Member]]:
    """The members in the groups that they were in; none, if they were in no such groups."""
    by = {member.label: member for member in group}
    parts = [[by[label] for label in labels] for labels in before if all(label in by for label in labels)]
    return parts if sum(map(len, parts)) == len(group) else []


def _leaves(stage: Stage) -> list[Any]:
    """Those of (method, network), which may differ within a group."""
    return jax.tree.leaves((stage.ready[0], stage.ready[2]))


def _structure(stage: Stage) -> Any:
    problem = stage.ready[1]
    ids = None if problem.place is None or problem.place.ids is None else tuple(to_host(problem.place.ids).tolist())
    shapes = tuple((x.shape, str(x.dtype)) for x in _leaves(stage))
    data = tuple(_told_by(x) for x in jax.tree.leaves(stage.parts[1]))
    return jax.tree.structure(stage.ready), shapes, data, ids, stage.end


def _varying(stages: Sequence[Stage]) -> tuple[int, ...]:
    """Which leaves of (method, network) differ between members of one structure, in one phase."""
    flat = [_leaves(stage) for stage in stages]
    same = lambda xs: all(x is xs[0] or np.array_equal(to_host(x), to_host(xs[0])) for x in xs)
    return tuple(i for i, xs in enumerate(zip(*flat, strict=True)) if not same(xs))


__all__ = ["Group", "Member", "grouped"]
