"""What metrics returned at one moment: numbers of a record, and arrays beside it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import metrics as metrics_room
from ..errors import bad
from ..metrics import View
from ..report import arrays
from ..report.history import KEYS
from .cadence import OF_THE_MEAN

# names under which a record says what the run itself has counted
OWN = (
    "loss", "bytes", "bytes/node", "bytes/hostile", "gradients", "public_gradients", "forwards", "products", "awake",
    "epochs", "participation", "seconds", "epsilon", "wall",
)  # fmt: skip
ANOTHER = "give it another name"


class Measured:
    """Numbers and arrays of one moment of a run, by name.

    Attributes:
      numbers, arrays: what metrics returned.
    """

    def __init__(self, own: Iterable[str], forms: dict[str, str]):
        """Begin without any.

        own: further names that the record has by itself. forms: name -> "a number" or "an array", as it was at earlier
        moments; filled in.
        """
        self.numbers: dict[str, float | int] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self._own, self._forms, self._givers = {*KEYS, *OWN, *own}, forms, {}

    def all_of(self, view: View, measures: Iterable[Any]) -> None:
        """Measure a view, and the further models that the method asks for: theirs as `NUMBER/MODEL`.

        Raises:
          ValueError, TypeError: a metric that returns no dict of names and numbers; names that are taken.
        """
        for metric in measures:
            self.add(metric, metric(view))
        for name, other in view.others.items():
            for metric in measures:
                if other.averageable or _name(metric) not in OF_THE_MEAN:
                    self.add(metric, metric(other), f"/{name}", but=("evaluated",))

    def add(self, metric: Any, got: Any, end: str = "", but: tuple[str, ...] = ()) -> None:
        """Take what a metric returned; `end` is put behind each name, names of `but` are left out."""

        def refused(says: str, why: str = "", instead: str = "") -> Exception:
            return bad("metrics", got, says=f"holds {_name(metric)}, which returned {says}", why=why, instead=instead)

        if not isinstance(got, dict):
            raise refused(type(got).__name__, instead="give a dict of names and numbers, e.g. {'spread': 0.1}")
        for key, value in got.items():
            name = f"{key}{end}"
            if key in but:
                continue
            if name in self._own:
                why = (
                    "which names a column of every record"
                    if key in KEYS
                    else "by which every record says what the run did"
                )
                raise refused(repr(name), why, ANOTHER)
            other = self._givers.setdefault(name, metric)
            if other is not metric and not _alike(metric, other):
                raise refused(repr(name), f"and so did {_name(other)}", ANOTHER)
            try:
                dims = np.ndim(value)
            except ValueError:  # rows of different lengths
                raise refused(
                    f"{key} = {value!r}",
                    "rows of different lengths",
                    "give an array whose rows are alike, with NaN in the gaps",
                ) from None
            form = "an array" if dims else "a number"
            if (before := self._forms.setdefault(name, form)) != form:
                raise refused(
                    f"{key} as {form}",
                    f"but as {before} before",
                    "return one of the two all along, e.g. NaN where there is none yet",
                )
            if dims:
                array = arrays.checked(value)
                if array is None:
                    raise refused(f"{key} of shape {np.shape(value)}", "which holds no numbers", "give numbers")
                self.arrays[name] = array
                continue
            try:
                self.numbers[name] = value if isinstance(value, int) and not isinstance(value, bool) else float(value)
            except (TypeError, ValueError):
                raise refused(f"{key} = {value!r}", instead="give a number") from None


def _name(metric: Any) -> str:
    """What a metric is called."""
    function = getattr(metric, "func", metric)
    return getattr(function, "__name__", type(function).__name__)


def _alike(metric: Any, other: Any) -> bool:
    """Whether two metrics may give one name.

    Built-in ones mean the same by it, unless one metric is given twice with other arguments.
    """
    plain = lambda m: (getattr(m, "func", m), getattr(m, "args", ()), getattr(m, "keywords", {}))
    (mine, *how), (theirs, *other_how) = plain(metric), plain(other)
    built_in = [getattr(metrics_room, name) for name in metrics_room.__all__]
    return mine in built_in and theirs in built_in and (mine is not theirs or how == other_how)


__all__ = ["OWN", "Measured"]
