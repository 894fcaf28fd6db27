"""What the lanes of a batch spend of privacy."""

from typing import Any

from ..planning.privacy import Account, account


class Accounts:
    """The account of each run of a batch, made when it is asked for."""

    def __init__(self, run: Any):
        self.run, self._known = run, {}

    def of(self, at: int) -> Account | None:
        """That of a lane, the same for all its seeds; None where its network has no privacy."""
        first = at - at % len(self.run.seeds)
        if first not in self._known:
            queries = next((known.queries for known in self._known.values() if known), None)  # all have one structure
            method, problem, network = self.run.parts_of(at)
            self._known[first] = account(method, problem, network, queries)
        return self._known[first]

    def facts(self, label: str) -> dict[str, Any]:
        """The fact `privacy` of a run: what its epsilon is a bound of, or why there is none."""
        found = self.of([name for name, _ in self.run.lanes].index(label))
        return {} if found is None else {"privacy": found.said()}


__all__ = ["Accounts"]
