"""What a field or an argument may hold: checks with their words.

Used as `static(default=1, check=whole)` and `number(default=0.4, check=in_(0, 1))`. A check is
called with the name of a field and a value, gives the value back (whole numbers as int), and raises
a FieldError that says what would be right. Of leaves (`leaf=True`) it looks at plain Python numbers
alone: arrays, tracers, None and the placeholders of JAX pass. `core.fields.check_arrays` shows it
the values of arrays, where they are known.
"""

import dataclasses
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from ..errors import NULL, FieldError, as_shown, bad


class Check(Protocol):
    """A rule for the values of a field; `want` says in words what fits, behind "give"."""

    @property
    def want(self) -> str: ...

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The value, or a FieldError that names the field."""
        ...


@dataclasses.dataclass(frozen=True)
class Number:
    """Numbers for which `fits` holds; where `schedules` is True also functions of the round."""

    want: str
    fits: Callable[[Any], bool]
    schedules: bool = False

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The number; TypeError for truth values, text and functions."""
        if callable(value) and not self.schedules:
            raise bad(
                field,
                value,
                why="a schedule or function, but this number does not vary with the round",
                instead="give " + self.want,
            )
        if callable(value):
            return _schedule(field, value)
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if isinstance(value, (bool, str, bytes)) or not (number or leaf):
            raise _of_another_kind(field, value, self.want)
        if isinstance(value, (int, float) if leaf else (int, float, np.number)) and not (
            _is_float(value) and self.fits(value)
        ):
            raise bad(field, value, instead="give " + self.want)
        return value


def _schedule(field: str, value: Any) -> Any:
    """A schedule, one made of a function of the round where it is no pytree."""
    import jax

    from .schedule import ByRound

    if isinstance(value, type):
        raise bad(
            field, value, says=f"is {value.__name__}", why="which was not called", instead=f"give {value.__name__}(...)"
        )
    return ByRound(value) if jax.tree_util.all_leaves([value]) else value


def _is_float(value: Any) -> bool:
    """Whether a number is one in floating point, too: 10**400 is not."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def at_least(low: float, want: str = "") -> Number:
    """Finite numbers >= low."""
    return Number(want or f"a finite number >= {low}", lambda v: low <= v < math.inf)


def above(low: float, want: str = "", infinite: bool = False) -> Number:
    """Numbers > low; finite ones, unless `infinite`."""
    return Number(want or f"a finite number > {low}", lambda v: low < v and (infinite or v < math.inf))


def in_(low: float, high: float, ends: str = "[]", what: str = "a number") -> Number:
    """Check numbers from low to high.

    ends: which of the two belong to them: "[]", "(]", "[)" or "()".
    """
    first = operator.lt if ends[0] == "(" else operator.le
    last = operator.lt if ends[1] == ")" else operator.le
    return Number(f"{what} in {ends[0]}{low}, {high}{ends[1]}", lambda v: first(low, v) and last(v, high))


finite = Number("a finite number", math.isfinite)
rate = Number("a finite number >= 0 that fits float32", lambda v: 0 <= v < 3e38, schedules=True)
positive_rate = Number("a finite number > 0 that fits float32", lambda v: 0 < v < 3e38, schedules=True)
constant_rate = Number(rate.want, rate.fits)


@dataclasses.dataclass(frozen=True)
class AnyNumber:
    """Take what a field without a check holds; functions of the round become schedules."""

    want: str = "a number, or a schedule"

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The value, as a schedule where it is a function."""
        return _schedule(field, value) if callable(value) else value


any_number = AnyNumber()


LARGEST = 2**31 - 1  # what the device counts to


@dataclasses.dataclass(frozen=True)
class Whole:
    """Check whole numbers from `least` to `most` (2**31 - 1 if None).

    Any type of integer is fine, and so is a whole float such as 1e3.
    """

    least: int = 1
    most: int | None = None
    words: str = ""

    @property
    def want(self) -> str:
        """What fits."""
        limits = f">= {self.least}" if self.most is None else f"from {self.least} to {self.most}"
        return self.words or f"a whole number {limits}"

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The number as an int."""
        if leaf and not isinstance(value, (bool, int, float, str, bytes)):
            return value
        if isinstance(value, (float, np.floating)):
            given = int(value) if math.isfinite(value) and value == int(value) else None
        else:
            index: Any = None if isinstance(value, bool) else getattr(value, "__index__", None)
            given = _index(index)
        if given is None:
            raise _of_another_kind(field, value, self.want)
        if given < self.least or (self.most is not None and given > self.most):
            raise bad(field, value, instead="give " + self.want)
        if self.most is None and given > LARGEST:
            raise bad(field, value, why="more than 32 bits count", instead=f"give {self.want}, at most {LARGEST}")
        return value if leaf else given


def _index(index: Any) -> int | None:
    """The integer that a value stands for; None if it stands for none."""
    try:
        return None if index is None else index()
    except TypeError:  # an array of several
        return None


whole = Whole()  # >= 1
natural = Whole(0)
seed = Whole(0, 2**32 - 1)  # keys of JAX read 32 bits: 2**32 would draw what 0 draws


@dataclasses.dataclass(frozen=True)
class Wholes:
    """Lists of at least `length` whole numbers >= `least`, as a tuple of ints."""

    length: int = 0
    least: int = 1
    example: str = "[64, 32]"

    @property
    def want(self) -> str:
        """What fits."""
        some = f"{self.length} or more whole numbers" if self.length else "whole numbers"
        return f"a list of {some} >= {self.least}, e.g. {self.example}"

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The numbers as a tuple."""
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        given = tuple(value) if several else ()
        try:
            if several and len(given) >= self.length:
                return tuple(Whole(self.least)(field, v) for v in given)
        except FieldError:
            pass
        raise bad(field, list(given) if several else value, instead="give " + self.want)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few words."""

    allowed: tuple[Any, ...]

    @property
    def want(self) -> str:
        """What fits."""
        *others, last = map(repr, self.allowed)
        return f"{', '.join(others)} or {last}" if others else last

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The word."""
        if not any(type(value) is type(a) and value == a for a in self.allowed):
            raise bad(field, value, instead="give " + self.want)
        return value


def choice(*allowed: Any) -> Choice:
    """One of these words."""
    return Choice(allowed)


@dataclasses.dataclass(frozen=True)
class OrNone:
    """Pass None, and what another check lets pass.

    otherwise: what None means, such as "or None for all nodes", "or leave it out".
    """

    check: Check
    otherwise: str = "or " + NULL

    @property
    def want(self) -> str:
        """What fits."""
        return self.check.want + ", " + self.otherwise

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The value, None where it is None."""
        if value is None:
            return None
        try:
            return self.check(field, value, leaf)
        except FieldError as error:
            raise bad(field, value, says=error.says, why=error.why, instead="give " + self.want) from None


def or_none(check: Check, otherwise: str = "") -> OrNone:
    """The same, or None."""
    return OrNone(check, otherwise or "or " + NULL)


@dataclasses.dataclass(frozen=True)
class Several:
    """Numbers that each pass a check, as a tuple; a single one stays alone, where it may."""

    each: Number
    want: str
    alone: bool = False

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The number, or the tuple."""
        if self.alone and np.ndim(value) == 0:
            return Number(self.want, self.each.fits)(field, value, leaf)
        given = tuple(_flat(value))
        if isinstance(value, (str, bytes, Mapping)) or (not given and not np.size(value) == 0):
            raise _of_another_kind(field, value, self.want)
        for i, v in enumerate(given):
            number = isinstance(v, (int, float, np.number)) and not isinstance(v, bool) and _is_float(v)
            if not number or not self.each.fits(v):
                raise bad(field, v, says=f"holds {as_shown(v)} (place {i})", instead="give " + self.want)
        return tuple(map(float, given))


def _flat(value: Any) -> Iterable[Any]:
    """What stands in a list, a list of lists or an array."""
    if hasattr(value, "dtype"):
        return np.asarray(value).ravel().tolist()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return [
            v
            for inner in value
            for v in (_flat(inner) if hasattr(inner, "__len__") and not isinstance(inner, str) else [inner])
        ]
    return [value]


def _of_another_kind(field: str, value: object, want: str) -> FieldError:
    """The error of a value that is not of the kind that is wanted: says its type."""
    says = "" if value is None else f"is {as_shown(value)} ({type(value).__name__})"
    return bad(field, value, says=says, instead="give " + want)


__all__ = [
    "Check",
    "Number",
    "OrNone",
    "Several",
    "Whole",
    "Wholes",
    "above",
    "any_number",
    "at_least",
    "choice",
    "constant_rate",
    "finite",
    "in_",
    "natural",
    "or_none",
    "positive_rate",
    "rate",
    "seed",
    "whole",
]
