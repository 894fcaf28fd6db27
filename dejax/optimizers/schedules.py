"""Schedules of rates: numbers that change with the rounds, or with the epochs of nodes.

A schedule acts per round: all local steps of a round have one rate.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..core.checks import Number, Several, above, at_least, choice, in_, rate
from ..core.schedule import Schedule
from ..core.struct import number, static, struct
from ..core.types import FloatLike, NodeFloatLike, Values
from ..errors import bad

PEAK = above(0)
LENGTH = above(0, "a number of rounds (or epochs) > 0", infinite=True)
FACTOR = in_(0, 1, "(]")
LISTS = "one value more than there are changes in `at`, e.g. values [0.4, 0.1] and at [100]"
Unit = Literal["rounds", "epochs"]
UNIT = choice("rounds", "epochs")


@struct
class Timed(Schedule):
    """A schedule that counts in its field `unit`: rounds, or epochs of the nodes' data.

    The epochs of a round are the local steps of all nodes over the steps that an epoch of all of them
    takes; where a server samples m of n nodes, m / n of that. They are filled in where a run begins.
    """

    _pace: Any = number(default=None, per_node=False, repr=False, compare=False, kw_only=True)  # see `paced`

    def now(self, t: Values) -> Values:
        """Return how far round t is in the unit of the schedule: a float of the run's width."""
        t = jnp.asarray(t, float)
        if vars(self)["unit"] == "rounds":  # a field of every schedule below
            return t
        if self._pace is None:
            why = "but rounds alone were given, and what nodes do in one is not known here"
            way = "use it as a rate of a method in a run, or count in rounds"
            raise bad("unit", "epochs", owner=self, why=why, instead=way)
        begin, before, each = self._pace
        return before + (t - begin) * each

    def rise(self, t: Values, length: Values) -> Values:
        """Share of a linear rise over `length` that round t has reached at its end: from 0 to 1."""
        return jnp.minimum(1, self.now(t + 1) / jnp.maximum(length, 1e-30))


@struct
class Cosine(Timed):
    """Half a cosine from `peak` at the beginning to `end` after `length`.

    With `warmup`, a linear rise comes before it.

    Args:
      peak: > 0. length: > 0. end: >= 0.
      warmup: length of a linear rise from 0, >= 0 and below `length`.
      unit: of the lengths, "rounds" or "epochs".
    Raises:
      ValueError: a number out of range. TypeError: another schedule, or text, in place of a number.
    Reference: Loshchilov and Hutter, SGDR, 2017.
    """

    peak: NodeFloatLike = number(check=PEAK)
    length: FloatLike = number(check=LENGTH)
    end: NodeFloatLike = number(default=0.0, check=at_least(0))
    warmup: FloatLike = number(default=0, check=at_least(0))
    unit: Unit = static(default="rounds", check=UNIT)

    def __post_init__(self) -> None:
        known = isinstance(self.warmup, (int, float)) and isinstance(self.length, (int, float))
        if known and self.warmup and self.warmup >= self.length:
            why = f"but the cosine ends after {self.length}"
            raise bad("warmup", self.warmup, owner=self, why=why, instead="give less than `length`")

    def __call__(self, t: Values) -> Any:
        now = self.now(t)
        least = 1 if self.unit == "rounds" else 1e-30
        share = jnp.clip((now - self.warmup) / jnp.maximum(self.length - self.warmup, least), 0, 1)
        fall = self.end + (self.peak - self.end) * 0.5 * (1 + jnp.cos(jnp.pi * share))
        return jnp.where(now < self.warmup, self.peak * self.rise(t, self.warmup), fall)


@struct
class InverseSqrt(Timed):
    """peak / sqrt(1 + t / offset): the classic decay of stochastic gradient methods.

    Args:
      peak: > 0. offset: rounds (or epochs) after which the rate has fallen by sqrt(2), > 0.
      unit: of the offset, "rounds" or "epochs".
    Raises:
      ValueError: a number that is not positive. TypeError: another schedule, or text, in place of
        a number.
    """

    peak: NodeFloatLike = number(check=PEAK)
    offset: FloatLike = number(default=1.0, check=LENGTH)
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        return self.peak / jnp.sqrt(1 + self.now(t) / self.offset)


@struct
class Step(Timed):
    """A staircase: `peak` times `factor` for each `every` that has passed.

    Args:
      peak: > 0. every: > 0. factor: 0 < factor <= 1.
      unit: of `every`, "rounds" or "epochs".
    Raises:
      ValueError, TypeError: a number out of range, or none.
    """

    peak: NodeFloatLike = number(check=PEAK)
    every: FloatLike = number(check=LENGTH)
    factor: FloatLike = number(default=0.1, check=FACTOR)
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        # the grain of float32 is less than one step in the sixth digit of a stair
        return self.peak * self.factor ** jnp.floor(self.now(t) / self.every + 1e-6)


@struct
class Exponential(Timed):
    """A smooth decay: `peak` times `factor` to the power t / `every`.

    Args:
      peak: > 0. factor: 0 < factor <= 1. every: > 0.
      unit: of `every`, "rounds" or "epochs".
    Raises:
      ValueError, TypeError: a number out of range, or none.
    """

    peak: NodeFloatLike = number(check=PEAK)
    factor: FloatLike = number(check=FACTOR)
    every: FloatLike = number(default=1.0, check=LENGTH)
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        return self.peak * self.factor ** (self.now(t) / self.every)


@struct
class Piecewise(Timed):
    """One constant after another: values[0] until at[0], then values[1] until at[1], and so on.

    Args:
      values: rates >= 0, one more than `at`; at: when they change, increasing. Both are structure.
      unit: of `at`, "rounds" or "epochs".
    Raises:
      ValueError, TypeError: lists of other lengths, or of something else; changes out of order.
    """

    values: tuple[float, ...] = static(
        check=Several(Number("finite rates >= 0", rate.fits), "a list of finite rates >= 0")
    )
    at: tuple[float, ...] = static(
        check=Several(Number("finite numbers > 0", above(0).fits), "a list of finite numbers > 0")
    )
    unit: Unit = static(default="rounds", check=UNIT)

    def __post_init__(self) -> None:
        if len(self.values) != len(self.at) + 1:
            says = f"is {list(self.values)} and at {list(self.at)}"
            raise bad("values", list(self.values), owner=self, says=says, instead=f"give {LISTS}")
        if list(self.at) != sorted(set(self.at)):
            raise bad("at", list(self.at), owner=self, instead="give changes in increasing order")

    def __call__(self, t: Values) -> Any:
        passed = self.now(t)[..., None] + 1e-6 >= jnp.asarray(self.at)
        return jnp.asarray(self.values)[passed.sum(-1)]


@struct
class OneCycle(Timed):
    """One cycle: up from `start` x peak to the peak, down to `end` x peak, in half cosines.

    Args:
      peak: > 0. length: of the whole cycle, > 0. rising: share of it in which the rate rises, 0 < rising < 1.
      start, end: shares of the peak, from 0 to 1.
      unit: of `length`, "rounds" or "epochs".
    Raises:
      ValueError, TypeError: a number out of range, or none.
    Reference: Smith and Topin, Super-convergence, 2019.
    """

    peak: NodeFloatLike = number(check=PEAK)
    length: FloatLike = number(check=LENGTH)
    rising: FloatLike = number(default=0.3, check=in_(0, 1, "()"))
    start: FloatLike = number(default=0.04, check=in_(0, 1))
    end: FloatLike = number(default=4e-6, check=in_(0, 1))
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        share = jnp.clip(self.now(t) / self.length, 0, 1)
        bend = lambda a, b, x: b + (a - b) * 0.5 * (1 + jnp.cos(jnp.pi * x))
        up = bend(self.start, 1.0, share / self.rising)
        down = bend(1.0, self.end, (share - self.rising) / (1 - self.rising))
        return self.peak * jnp.where(share < self.rising, up, down)


@struct
class WarmUp(Timed):
    """A linear rise from 0 over `length`, of a rate that may itself follow a schedule.

    Args:
      then: the rate, >= 0: a number, one per node, or a schedule, which counts from round 0, too.
      length: of the rise, > 0.
      unit: of `length`, "rounds" or "epochs".
    Raises:
      ValueError, TypeError: a number out of range, or none.
    Reference: Goyal et al., Accurate, large minibatch SGD, 2017.
    """

    then: NodeFloatLike = number(check=rate)
    length: FloatLike = number(check=LENGTH)
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        rate: Any = self.then(t) if callable(self.then) else self.then
        return rate * self.rise(t, self.length)


@struct
class OfOptax(Timed):
    """A schedule of optax by its factory and arguments, which are structure; made by `of_optax`."""

    factory: Callable[..., Any] = static()
    given: tuple[tuple[str, Any], ...] = static(default=())
    unit: Unit = static(default="rounds", check=UNIT)

    def __call__(self, t: Values) -> Any:
        return self.factory(**self.arguments())(self.now(t))

    def arguments(self) -> dict[str, Any]:
        """The arguments by name, mappings as such."""
        return {name: dict(value) if isinstance(value, tuple) else value for name, value in self.given}


def of_optax(factory: Callable[..., Any], unit: Unit = "rounds", **given: Any) -> OfOptax:
    """Make a schedule of an optax factory, which may count in epochs.

    Args:
      factory: e.g. optax.cosine_decay_schedule. unit: of its steps. given: its arguments, plain values.
    Raises:
      TypeError, ValueError: what the factory refuses; a factory that makes no function of the round; an
        argument that holds lists or schedules, as those of optax.sgdr_schedule.
    Example:
      >>> import optax
      >>> of_optax(optax.linear_schedule, init_value=1.0, end_value=0.0, transition_steps=4)(2).item()
      0.5
    """
    held = {k: tuple((int(at), x) for at, x in v.items()) if isinstance(v, dict) else v for k, v in given.items()}
    name = getattr(factory, "__name__", str(factory))
    for argument, value in given.items():
        if not _is_plain(value):
            way = f"give the schedule itself, lr=optax.{name}(...), which counts in rounds"
            raise bad(argument, value, owner=name, why="but of_optax keeps plain values alone", instead=way)
    made = OfOptax(factory, tuple(sorted(held.items())), unit=unit)
    try:
        schedule = factory(**made.arguments())
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    try:
        shape = jax.eval_shape(schedule, jax.ShapeDtypeStruct((), "float32")).shape
    except (TypeError, AttributeError):  # no function of one number, or one that gives none
        shape = None
    if shape != ():
        why = "which makes no function from the round to a number"
        raise bad(
            "factory",
            factory,
            owner="of_optax",
            says=f"is {name}",
            why=why,
            instead="give a schedule of optax, e.g. optax.cosine_decay_schedule",
        )
    return made


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a word, None, or a mapping of numbers."""
    if isinstance(value, dict):
        return all(_is_plain(x) and not isinstance(x, dict) for x in value.values())
    return value is None or isinstance(value, (bool, int, float, str))


__all__ = [
    "Cosine",
    "Exponential",
    "InverseSqrt",
    "OfOptax",
    "OneCycle",
    "Piecewise",
    "Step",
    "Timed",
    "WarmUp",
    "of_optax",
]
