"""Early stopping: a run ends where a number has not become better for some evaluations."""

import math
from collections.abc import Sequence

from ..errors import bad, keyword
from ..report.history import Record
from ..report.targets import RANKS, sign_of
from .end import End

PATIENCE = "patience"


class Patience:
    """Looks at the records of runs in turn, and says which of them are over.

    Args:
      evaluations: how many in a row may pass without a better number, >= 1.
      monitor: name of the number, e.g. "accuracy/validation"; None: the first one of the validation part.
    """

    def __init__(self, evaluations: int, monitor: str | None):
        self.evaluations, self.monitor = evaluations, monitor
        self._best: dict[tuple[str, int], tuple[float, int]] = {}  # (run, seed) -> (score, evaluations since)

    def over(self, record: Record) -> bool:
        """Whether the run of this record, the newest of its seed, ends here.

        Raises:
          ValueError: the record does not hold the number.
        """
        name = self.monitor = _first(record) if self.monitor is None else self.monitor
        if name not in record:
            if record["round"] == 0 and name.split("/")[0] == "loss":  # the training loss is there after a round
                return False
            names = ", ".join(sorted(key for key in record if key not in ("run", "seed", "round")))
            why = f"but the run measures {names or 'no number'}"
            raise bad("monitor", name, why=why, instead="give one of them, or measure it, too")
        value, key = record[name], (record["run"], record["seed"])
        score = -math.inf if value is None or not math.isfinite(value) else sign_of(name) * value
        best, since = self._best.get(key, (-math.inf, -1))
        self._best[key] = (score, 0) if score > best else (best, since + 1)
        return self._best[key][1] >= self.evaluations

    def replayed(self, records: Sequence[Record]) -> dict[tuple[str, int], End]:
        """Look at all records so far: (run, seed) -> its end, of those that are over."""
        seen = [
            r for r in records if self.monitor is None or self.monitor in r
        ]  # the last one of a run that diverged holds nothing
        return {(r["run"], r["seed"]): self.end(r) for r in seen if self.over(r)}

    def end(self, record: Record) -> End:
        """The end of the run of this record."""
        said = f"stopped at round {record['round']}: no better {self.monitor} in {self.evaluations} evaluations"
        return End(record["round"], PATIENCE, said)


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
