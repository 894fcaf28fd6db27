"""What the lanes of a batch spend of privacy."""

from typing import Any

from ..planning.privacy import Account, account, check_alike


class Accounts:
    """The account of each run of a batch, made when it is asked for."""

    def __init__(self, run: Any):
        self.run, self._known = run, {}

    def of(self, at: int) -> Account | None:
        """That of a lane, the same for all its seeds; None where its network has no privacy."""
        return self._of(at - at % len(self.run.seeds), 0)

    def _of(self, first: int, place: int) -> Account | None:
        """That of the runs from lane `first` on, in a phase."""
        if (first, place) not in self._known:
            queries = (a.queries for (_, p), a in self._known.items() if a and p == place)  # all have one structure
            method, problem, network = self.run.parts_of(first, place)
            self._known[first, place] = account(method, problem, network, next(queries, None))
        return self._known[first, place]

    def check(self) -> None:
        """Refuse phases in which rounds spend otherwise than in the first.

        Raises:
          RefusedError: see `check_alike`.
        """
        for first in range(0, len(self.run.lanes), len(self.run.seeds)):
            for stage in self.run.stages[1:]:
                check_alike(stage.place, self._of(first, 0), self._of(first, stage.place))

    def facts(self, label: str) -> dict[str, Any]:
        """The fact `privacy` of a run: what its epsilon is a bound of, or why there is none."""
        found = self.of([name for name, _ in self.run.lanes].index(label))
        return {} if found is None else {"privacy": found.said()}


__all__ = ["Accounts"]
