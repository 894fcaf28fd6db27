"""One method on one problem over one network, for one or several seeds."""

import copy
from typing import Any, SupportsIndex

import jax
import numpy as np

from .. import engine
from ..core import checks, tree
from ..core.random import seeded
from ..core.types import MeshLike, Method, Network, Problem, Tree
from ..devices import placement, processes
from ..devices.processes import to_host
from ..engine.upload import Placer
from ..errors import bad
from ..metrics.view import View
from ..report.arrays import Arrays
from ..report.graphs import of_phases
from ..report.setup import facts_of, setup
from . import code_digest, vmapped
from .accounts import Accounts
from .batch import Batch
from .fingerprint import fingerprint
from .phases import in_turn, of_setup, phases_of, staged


class SingleRun(Batch):
    """A method on a problem over a network, for one or several seeds, and how far it has come.

    With several seeds (`many`) carry and keys have a leading axis of them.
    """

    def __init__(
        self, label: str, method: Method, problem: Problem, network: Network, seed: Any, rounds: int, params: Tree = None,
        placer: Placer | None = None, mesh: MeshLike = None, phases: Any = None,
    ):  # fmt: skip
        if not isinstance(label, str) or not label:
            raise bad("label", label, instead="give a text that is not empty")
        self.seeds, many = seeds_of(seed)
        super().__init__(label, [(label, s) for s in self.seeds], many, rounds, mesh)
        self.run, self.phases, self.accounts = (method, problem, network), phases, Accounts(self)
        self.placer = Placer(self.layout) if placer is None else placer
        self.lengthen(rounds)
        self.described = facts_of(*(stage.given[0] for stage in self.stages))
        self.initial = params
        self.key = seeded(self.seeds if many else self.seeds[0])
        if self.layout is not None:
            self._place_seeds()

    def lengthen(self, rounds: int) -> None:
        """Check and prepare method, problem and network of all phases for `rounds` rounds in all.

        Data go to the device once.
        """
        self.stages = staged(phases_of(self.run, self.phases, rounds), rounds, self.layout, self.placer)
        self.stage, self.rounds, self._prints = self.stage_of(self.round), rounds, None

    def _place_seeds(self) -> None:
        """Place the keys on the mesh.

        Raises:
          ValueError: the axis `runs` does not split the seeds evenly.
        """
        placement.check_runs(self.place.mesh.shape[placement.RUNS], len(self.seeds))
        self.key = placement.place_array(self.key, self.place.sharding(False, self._lead))

    # ---- what others look at
    @property
    def state(self) -> Any:
        """Return the method's state, by node id (with a leading seeds axis if `many`).

        With several hosts each gets a copy of all of it.
        """
        return engine.state_of(self._by_id())

    @property
    def memory(self) -> Any:
        """Return the memory of the source of experience; None where nobody drew."""
        return self._by_id().slots.get("source")

    def _by_id(self) -> Any:
        carry = self.moved("in_order", self.carry)
        return carry if processes.count() == 1 else to_host(carry)

    def params(self, seed: int | None = None) -> Any:
        """What is evaluated; with several seeds that of `seed`, or of all (stacked) if None."""
        if not self.many:
            self._seed(seed)
            return engine.model(self.method, self.state)
        if seed is None:
            return jax.vmap(lambda s: engine.model(self.method, s))(self.state)
        return engine.model(self.method, tree.map(lambda x: x[self._seed(seed)], self.state))

    def view(self, seed: int | None = None) -> View:
        """The current moment of one seed."""
        return self.lane(self._seed(seed))

    def _seed(self, seed: int | None) -> int:
        if seed is None:
            if len(self.seeds) > 1:
                why = f"but run {self.label!r} has seeds {self.seeds}"
                raise bad("seed", None, why=why, instead="say which: seed=...")
            return 0
        if seed not in self.seeds:
            raise bad("seed", seed, why=f"but run {self.label!r} has seeds {self.seeds}", instead="give one of them")
        return self.seeds.index(seed)

    def continue_(self, history: Any, rounds: int, options: dict[str, Any]) -> Any:
        """`rounds` more rounds, as a history that begins with `history`; see `History.continue_`."""
        from .simulate import continue_run

        return continue_run(self, history, rounds, options)

    def again(self) -> "SingleRun":
        """A copy to go on from, with buffers of its own (this one's state stays readable)."""
        if not self.alive:
            raise ValueError(f"run {self.label!r} has no final state in memory; resume it from its run directory")
        other = copy.copy(self)
        other.carry = vmapped.copied(self.carry)
        other.counters = [copy.deepcopy(c) for c in self.counters]
        other.records, other.errors = list(self.records), []
        other.broken, other.ended, other.closed = dict(self.broken), dict(self.ended), set(self.closed)
        other.arrays = Arrays(self.arrays.parts)
        return other

    def parts_of(self, at: int, place: int) -> tuple[Any, Any, Any]:
        """Method, problem and network of a lane in one phase, prepared and by node id."""
        return self.stages[place].parts

    def facts(self) -> dict[str, dict[str, Any]]:
        """label -> plain facts for tables and files."""
        facts = {"status": self.status, "records": len(self.records)} | self.common_facts()
        return {self.label: facts | self.early(self.label) | self.described | self.accounts.facts(self.label)}

    def setups(self) -> dict[str, dict[str, Any]]:
        """label -> all that its run was made of."""
        method, problem, network = self.stages[0].given
        return {self.label: setup(method, problem, network, self.initial, of_setup(self.stages))}

    def graphs(self) -> dict[str, Any]:
        """label -> the graphs of its phases for pictures."""
        return {self.label: of_phases(in_turn(self.stages))}

    def fingerprints(self) -> dict[str, Any]:
        """What a checkpoint must share with this run."""
        # not the prepared network: a timetable grows with `rounds`, and with them the end of the last phase
        each = [(stage.parts[0], engine.typed(stage.given[2])) for stage in self.stages]
        (method, network), ends = each[0], [stage.end for stage in self.stages[:-1]]
        parts = {"method": method, "problem": self.problem, "network": network, "params": self.initial}
        parts |= {"phases": (ends, each[1:])} if ends else {}
        found = {}
        for stage in self.stages:
            for name, part in zip(("method", "problem", "network"), stage.given, strict=True):
                found |= code_digest.functions(part, name if stage.place == 0 else f"phases.{stage.place}.{name}")
        seeds = self.seeds if self.many else self.seeds[0]  # the arrays of several have a seeds axis, even those of one
        return {name: fingerprint(part) for name, part in parts.items()} | {
            "seeds": seeds,
            "code": {"python": code_digest.python(), "functions": found},
        }


def seeds_of(seed: Any) -> tuple[list[int], bool]:
    """Return the seeds of a run, and whether they came as several.

    A list of one is several: its arrays have a seeds axis.

    Raises:
      TypeError: no whole numbers. ValueError: none, or one of them twice.
    """
    many = not isinstance(seed, (str, bytes)) and np.ndim(seed) == 1
    given: list[Any] = list(seed) if many else [seed]
    if not all(isinstance(s, SupportsIndex) and np.ndim(s) == 0 and not isinstance(s, (bool, np.bool_)) for s in given):
        raise bad("seed", seed, instead="give one whole number, or a list of different ones")
    seeds = [checks.seed("seed", s) for s in given]
    if len(set(seeds)) != len(seeds) or not seeds:
        raise bad("seed", seed, instead="give one whole number, or a list of different ones")
    return seeds, many


__all__ = ["SingleRun", "seeds_of"]
