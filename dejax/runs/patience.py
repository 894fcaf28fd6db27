"""Early stopping: a run ends where a number has not become better for some evaluations."""

import math
from collections.abc import Mapping, Sequence

from ..errors import bad, keyword
from ..metrics import direction
from ..report.history import Record
from ..report.targets import RANKS
from .end import End

PATIENCE = "patience"


class Patience:
    """Looks at the records of runs in turn, and says which of them are over.

    The number is measured at every evaluation.

    Args:
      evaluations: how many in a row may pass without a better number, >= 1.
      monitor: name of the number, e.g. "accuracy/validation"; None: the first one of the validation part.
      declared: what tasks and metrics say of which way numbers are better, see `metrics.direction`.
    """

    def __init__(self, evaluations: int, monitor: str | None, declared: Mapping[str, bool] | None = None):
        self.evaluations, self.monitor, self.declared = evaluations, monitor, declared
        if monitor is not None:
            _sign(monitor, declared)  # refuses one of which nobody knows
        self._best: dict[tuple[str, int], tuple[float, int]] = {}  # (run, seed) -> (score, evaluations since)

    def over(self, record: Record) -> bool:
        """Whether the run of this record, the newest of its seed, ends here.

        Raises:
          ValueError: the record does not hold the number; nothing says which way it is better.
        """
        name = self.monitor = _first(record) if self.monitor is None else self.monitor
        if name not in record:
            if record["round"] == 0 and name.split("/")[0] == "loss":  # the training loss is there after a round
                return False
            names = ", ".join(sorted(key for key in record if key not in ("run", "seed", "round")))
            why = f"but the run measures {names or 'no number'}"
            raise bad("monitor", name, why=why, instead="give one of them, or measure it, too")
        value, key = record[name], (record["run"], record["seed"])
        score = -math.inf if value is None or not math.isfinite(value) else _sign(name, self.declared) * value
        best, since = self._best.get(key, (-math.inf, -1))
        self._best[key] = (score, 0) if score > best else (best, since + 1)
        return self._best[key][1] >= self.evaluations

    def replayed(self, records: Sequence[Record]) -> dict[tuple[str, int], End]:
        """Look at all records so far: (run, seed) -> its end, of those that are over."""
        out = {}
        for r in records:
            if self.monitor is not None and self.monitor not in r:  # the last one of a run that diverged holds nothing
                continue
            if self.over(r):
                out[r["run"], r["seed"]] = self.end(r)
        return out

    def end(self, record: Record) -> End:
        """The end of the run of this record."""
        said = f"stopped at round {record['round']}: no better {self.monitor} in {self.evaluations} evaluation{'s' * (self.evaluations > 1)}"
        return End(record["round"], PATIENCE, said)


def _sign(monitor: str, declared: Mapping[str, bool] | None) -> int:
    """1 where more of the number is better, -1 where less is.

    Raises:
      ValueError: nothing says it.
    """
    more = direction.higher(monitor, declared)
    if more is None:
        way = "declare it where it is measured, as an attribute of the function: higher = {" + repr(monitor) + ": True}"
        raise bad("monitor", monitor, why="but nothing says whether more of it is better", instead=way)
    return 1 if more else -1


def _first(record: Record) -> str:
    """The number of the validation part by which runs are ranked.

    Raises:
      ValueError: none was measured.
    """
    measured = [name for name in (*RANKS, *record) if name in record and "validation" in name.split("/")]
    if not measured:
        why = "but no number of a validation part is measured, by which a run should end"
        way = "set rows aside by data.split(validation=0.1), or say by which number, " + keyword("monitor", "loss")
        raise bad("patience", why=why, instead=way)
    return measured[0]


__all__ = ["Patience"]
