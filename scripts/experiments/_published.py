"""Published numbers beside those that dejax computes: each within a tolerance that is said before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from ._page import Claim, Table


@dataclass(frozen=True)
class Entry:
    """Published numbers of one row: one of them, or one for each seed.

    Attributes:
      cells: what they are, as the first cells of the row. published: as printed, so that their digits are known; several with a
        space between them. computed: by dejax, as many. tolerance: largest distance that passes; None: half a unit of the last
        digit printed.
    """

    cells: Sequence[str]
    published: str
    computed: Sequence[float]
    tolerance: float | None = None

    def _pairs(self) -> list[tuple[str, float]]:
        """(printed, computed)."""
        return list(zip(self.published.split(), self.computed, strict=True))

    @property
    def verdicts(self) -> list[bool]:
        """Whether each computed number is as close as it must be; the last bits of the comparison do not decide."""
        allowed = lambda printed: 0.5 * 10 ** -digits(printed) if self.tolerance is None else self.tolerance
        return [abs(value - float(printed)) <= allowed(printed) + 1e-12 for printed, value in self._pairs()]

    @property
    def shown(self) -> str:
        """The computed numbers, with one digit more than printed where those have digits after the point."""
        return " ".join(f"{v:.{digits(p) + 1}f}" if digits(p) else f"{v:g}" for p, v in self._pairs())


def digits(printed: str) -> int:
    """Digits after the point."""
    return len(printed.partition(".")[2])


def table(title: str, head: Sequence[str], entries: Sequence[Entry], read: str = "") -> Table:
    """Rows of published and computed numbers, each with its verdict."""
    rows = [[*e.cells, e.published, e.shown, "pass" if all(e.verdicts) else "**FAIL**"] for e in entries]
    return Table(title, [*head, "published", "computed", "verdict"], rows, read)


def claim(says: str, source: str, entries: Sequence[Entry], why: str = "") -> Claim:
    """That every number is as published. why: the reason, should one not be."""
    every = [good for e in entries for good in e.verdicts]
    wrong = [", ".join(e.cells) for e in entries if not all(e.verdicts)]
    seen = f"{sum(every)} of {len(every)} numbers pass" + (f"; not all of: {'; '.join(wrong)}" if wrong else "")
    return Claim(says, source, not wrong, seen, why)
