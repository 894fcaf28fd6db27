"""Numbers that change with the rounds."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..errors import bad
from .struct import static, struct
from .types import Tree


class Schedule:
    """A number that changes with the rounds: called with the round, it gives one.

    Arithmetic with the schedule itself is refused in words: a method reads it by `round.rate(self.lr)`.
    """

    __array_ufunc__ = None  # so that NumPy leaves arithmetic to the methods below

    def _no_number(self, *others: object) -> Any:
        """Say how to read a schedule."""
        del others
        why = "a schedule and no number by itself"
        raise bad("rate", self, why=why, instead="read it in the round, rate = round.rate(self.lr), and use rate")

    __mul__ = __rmul__ = __neg__ = __add__ = __radd__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __pow__ = (
        _no_number
    )
    __float__ = _no_number


@struct
class ByRound(Schedule):
    """Any function of the round as a schedule, such as those of optax.

    It is structure: another function compiles anew.
    """

    fn: Callable[[Any], Any] = static()

    def __call__(self, t: object) -> Any:
        return self.fn(t)


def paced(owner: Tree, pace: Callable[[], Any]) -> Any:
    """Return `owner` with the pace filled into schedules that count in epochs.

    pace: gives [3]: since which round, the epochs before it, and those of each round from then on.
    """
    if isinstance(owner, dict):
        return {k: paced(v, pace) for k, v in owner.items()}
    if not dataclasses.is_dataclass(owner) or isinstance(owner, type):
        return owner
    changes = {}
    for field in dataclasses.fields(owner):
        old = getattr(owner, field.name)
        if (field.init and isinstance(old, (Schedule, dict))) or dataclasses.is_dataclass(old):
            new = paced(old, pace)
            changes |= {} if _unchanged(old, new) else {field.name: new}
    if isinstance(owner, Schedule) and getattr(owner, "unit", "rounds") == "epochs":
        changes["_pace"] = pace()
    return dataclasses.replace(owner, **changes) if changes else owner


def _unchanged(old: Tree, new: Tree) -> bool:
    return all(old[k] is new[k] for k in old) if isinstance(old, dict) else old is new


__all__ = ["ByRound", "Schedule", "paced"]
