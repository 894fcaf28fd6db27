"""Runs that go from phase to phase: which one they are in, and what is of that phase."""

import abc
import contextlib
from collections.abc import Iterator
from typing import Any

from ..core.types import Tree
from .accounts import Accounts
from .phases import Stage, check_carry


class Phased(abc.ABC):
    """Runs with phases, of which every property below is that of the present one.

    Attributes:
      stages: the phases, one where nothing changes in mid-run. stage: the one that the carry is of.
      round: rounds done. carry: what goes from round to round.
      given: (method, problem, network) of the first run; method, problem, network: the same as prepared,
        by node id, data on devices; ready: the same as they run, on a mesh with nodes in their places.
      varying: which leaves of (method, network) differ between the runs. accounts: of privacy.
    """

    stages: list[Stage]
    stage: Stage
    round: int
    carry: Any
    accounts: Accounts

    given = property(lambda self: self.stage.given)
    method = property(lambda self: self.stage.parts[0])
    problem = property(lambda self: self.stage.parts[1])
    network = property(lambda self: self.stage.parts[2])
    ready = property(lambda self: self.stage.ready)
    varying = property(lambda self: self.stage.varying)

    def stage_of(self, done: int) -> Stage:
        """The phase in which the state after `done` rounds was made."""
        return next((s for s in self.stages if done <= s.end), self.stages[-1])

    @property
    def left(self) -> int:
        """How many rounds can be advanced at once: those until the next phase ends."""
        return next((s.end - self.round for s in self.stages if self.round < s.end), 1)

    def _go_on(self) -> None:
        """Take the carry into the phase of the next round."""
        stage = next((s for s in self.stages if self.round < s.end), self.stages[-1])
        if stage is not self.stage:
            carry = self.moved("in_order", self.carry)
            self.stage = stage
            self.carry = self.moved("to_places", carry)

    @contextlib.contextmanager
    def within(self, stage: Stage) -> Iterator[None]:
        """A stretch in which the runs are looked at as they are in another phase."""
        self.stage, before = stage, self.stage
        try:
            yield
        finally:
            self.stage = before

    def check_phases(self) -> None:
        """Refuse phases that remember other things than the first; nothing is compiled.

        Raises:
          RefusedError: names the phase, and what differs.
        """
        if len(self.stages) > 1:
            shapes = [self._shapes_in(stage) for stage in self.stages]
            for stage, other in zip(self.stages[1:], shapes[1:], strict=True):
                check_carry(shapes[0], other, stage.place)
            self.accounts.check()

    def _shapes_in(self, stage: Stage) -> Any:
        with self.within(stage):
            return self._recorded().out_info

    @abc.abstractmethod
    def moved(self, which: str, values: Tree) -> Any:
        """Carries in the order of node ids ("in_order") or of places ("to_places")."""

    @abc.abstractmethod
    def _recorded(self) -> Any:
        """The traced program of `start`."""


__all__ = ["Phased"]
