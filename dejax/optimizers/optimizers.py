"""Node optimizers from optax and learning-rate schedules, with numbers as leaves.

A raw optax optimizer is a pair of closures: each learning rate would compile a program of its own.
`optimizer` keeps the factory (structure) apart from its numbers (leaves).
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..core import tree
from ..core.checks import above, at_least, rate
from ..core.kinds import ADAM
from ..core.schedule import ByRound, Schedule
from ..core.stacks import Stacks
from ..core.struct import number, static, struct
from ..core.types import FloatLike, NodeFloatLike, Round, Tree
from ..errors import bad, keyword


@struct
class Optimizer:
    """An optax factory and its keyword arguments; made by `optimizer`."""

    factory: Callable[..., Any] = static()
    numbers: dict[str, Any]  # leaves: floats, arrays, schedules
    structure: tuple[tuple[str, Any], ...] = static(default=())  # flags such as nesterov

    def make(self, round: Any = None) -> Any:
        """The optax transformation, its schedules read at this round; `PerNode` where numbers are."""
        numbers: dict[str, Any] = {
            k: (v(0 if round is None else round.index) if callable(v) else v) for k, v in self.numbers.items()
        }
        rows = {k: v if round is None else round.by_id(v) for k, v in numbers.items() if jnp.ndim(v)}
        one = lambda row: self.factory(**numbers | row, **dict(self.structure))
        return PerNode(one, rows) if rows else one({})


class PerNode(NamedTuple):
    """An optimizer with numbers of its own at each node: `one(row)` is that of a node.

    `Round.descend` and `Round.local_steps` take it as any other.
    """

    one: Callable[[Any], optax.GradientTransformation]
    rows: dict[str, Any]  # arrays [n] of the view's rows

    def init(self, params: Tree) -> Any:
        """Raise: a state of one model alone."""
        del params
        raise self._refused()

    def update(self, grads: Tree, state: Tree, params: Tree = None) -> Any:
        """Raise: a step of one model alone."""
        del grads, state, params
        raise self._refused()

    def _refused(self) -> Exception:
        name, value = next(iter(self.rows.items()))
        why = "one number per node, but this optimizer steps one model for all nodes"
        return bad(
            name, value, owner="optimizer", says=f"has shape {jnp.shape(value)}", why=why, instead="give one number"
        )


def optimizer(factory: Callable[..., Any], *in_order: Any, **options: Any) -> Optimizer:
    """An optimizer for every node: a module-level optax factory and its arguments.

    Args:
      factory: e.g. optax.adam. in_order, options: its arguments; numbers and schedules may be swept
        without recompiling, and be arrays [n], one per node, where every node has a step of its own. Schedules are called with the round: `dejax.Cosine`, those of optax, or
        any function where the factory takes a schedule. Other functions (masks), flags, words and
        dtypes are structure.
    Raises:
      TypeError: an optax optimizer that is made already, or an argument that the factory does not
        take.
    Example:
      >>> optimizer(optax.adam, learning_rate=1e-3).numbers
      {'learning_rate': 0.001}
    """
    if not callable(factory):
        raise bad("factory", factory, instead="give the factory itself, e.g. optimizer(optax.adam, learning_rate=1e-3)")
    name = getattr(factory, "__name__", factory)
    if in_order:  # by their names
        try:
            signature = inspect.signature(factory)
            signature.bind_partial(*in_order, **options)
            kinds = [p.kind for p in signature.parameters.values()][: len(in_order)]
            if set(kinds) != {inspect.Parameter.POSITIONAL_OR_KEYWORD}:
                raise TypeError(
                    "its arguments have no names to keep them by; give them by name, or a function that has names"
                )
        except (TypeError, ValueError) as error:
            raise TypeError(f"optimizer({name}, ...): {error}") from None
        options = dict(zip(signature.parameters, in_order, strict=False)) | options
    if isinstance(options.get("learning_rate"), (bool, str)):
        raise bad(
            "learning_rate", options["learning_rate"], instead="give a number or a schedule, e.g. learning_rate=1e-3"
        )
    options = {k: _read(factory, k, v) for k, v in options.items()}
    fixed = {k: v for k, v in options.items() if not _is_number(v)}
    numbers = {k: v for k, v in options.items() if k not in fixed}
    made = Optimizer(factory, numbers, tuple(sorted(fixed.items())))
    try:
        made.make()
    except TypeError as error:
        raise TypeError(f"optimizer({name}, ...): {error}") from None
    return made


def _read(factory: Callable[..., Any], name: str, value: Any) -> Any:
    """Read one argument of a factory.

    Types become dtypes, functions of the round schedules; rates are checked.
    """
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(type(value), type(jnp.float32))):
        return jnp.dtype(value)
    if isinstance(value, type) and issubclass(value, (np.generic, int, float)):
        return jnp.dtype(value)
    if name == "learning_rate":
        return rate(f"{getattr(factory, '__name__', 'optimizer')}.{name}", value, leaf=True)
    if callable(value) and jax.tree_util.all_leaves([value]):
        allowed = get_args(getattr(inspect.signature(factory).parameters.get(name), "annotation", None))
        return ByRound(value) if float in allowed else value  # float or a function: a schedule; a mask is no number
    return value


def _is_number(value: object) -> bool:
    """Return whether an argument is a number, an array or a schedule.

    Flags, words, dtypes and functions are structure.
    """
    if callable(value):
        return not jax.tree_util.all_leaves([value])
    return not (value is None or isinstance(value, (bool, str, np.dtype)))


PEAK = above(0)
ROUNDS = above(0, "a number of rounds > 0", infinite=True)


@struct
class Cosine(Schedule):
    """Half a cosine from `peak` at round 0 to `end` at round `rounds`.

    With `warmup`, rounds of linear rise come before it.

    Args:
      peak: > 0. rounds: > 0. end: >= 0.
      warmup: rounds of linear rise from 0, >= 0 and below `rounds`.
    Raises:
      ValueError: a number out of range. TypeError: another schedule, or text, in place of a number.
    Reference: Loshchilov and Hutter, SGDR, 2017.
    """

    peak: NodeFloatLike = number(check=PEAK)
    rounds: FloatLike = number(check=ROUNDS)
    end: NodeFloatLike = number(default=0.0, check=at_least(0))
    warmup: FloatLike = number(default=0, check=at_least(0))

    def __post_init__(self) -> None:
        known = isinstance(self.warmup, (int, float)) and isinstance(self.rounds, (int, float))
        if known and self.warmup and self.warmup >= self.rounds:
            why = f"but the cosine ends at round {self.rounds}"
            raise bad("warmup", self.warmup, owner=self, why=why, instead="give fewer rounds than `rounds`")

    def __call__(self, t: object) -> Any:
        t = jnp.asarray(t, float)  # of the run's width
        rise = jnp.minimum(1, (t + 1) / jnp.maximum(self.warmup, 1))
        share = jnp.clip((t - self.warmup) / jnp.maximum(self.rounds - self.warmup, 1), 0, 1)
        fall = self.end + (self.peak - self.end) * 0.5 * (1 + jnp.cos(jnp.pi * share))
        return jnp.where(t < self.warmup, self.peak * rise, fall)


@struct
class InverseSqrt(Schedule):
    """peak / sqrt(1 + t / offset): the classic decay of stochastic gradient methods.

    Args:
      peak: > 0. offset: rounds after which the rate has fallen by sqrt(2), > 0.
    Raises:
      ValueError: a number that is not positive. TypeError: another schedule, or text, in place of
        a number.
    """

    peak: NodeFloatLike = number(check=PEAK)
    offset: FloatLike = number(default=1.0, check=ROUNDS)

    def __call__(self, t: object) -> Any:
        return self.peak / jnp.sqrt(1 + jnp.asarray(t, float) / self.offset)


@struct
class LocalStep:
    """A method's local step: plain SGD of a rate, or an optax optimizer.

    The method files share it.
    """

    lr: Any
    optimizer: Any

    def init(self, params: Tree, round: Any = None) -> Any:
        """Optimizer state per node, () for plain SGD.

        round: the view whose rows `params` are; None: before round 0, all nodes.
        """
        if self.optimizer is None:
            return ()
        made = self.optimizer.make(round)
        if not isinstance(made, PerNode):
            start = jax.vmap(made.init)
            return params.map(start) if isinstance(params, Stacks) else start(params)
        each = jax.vmap(lambda row, x: made.one(row).init(x))
        if not isinstance(params, Stacks):
            return each(made.rows, params)
        mine = lambda ids: made.rows if ids is None else tree.map(lambda x: x[ids], made.rows)
        return Stacks({name: each(mine(ids), params[name]) for name, ids in params.parts()}, params.ids)

    def __call__(self, round: Round, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
        """(params, opt_state) after one step at the nodes that compute."""
        if self.optimizer is not None:
            return round.descend(self.optimizer.make(round), grads, opt_state, params)
        return round.end_step(tree.axpy(tree.map(jnp.negative, round.rate(self.lr)), grads, params)), opt_state


def local_step(owner: Any) -> LocalStep:
    """The local step of a method with fields `lr` and `optimizer`."""
    return LocalStep(owner.lr, owner.optimizer)


def check_step(owner: Any) -> None:
    """Raise unless exactly one of `owner.lr` and `owner.optimizer` is given."""
    if owner.lr is None and owner.optimizer is None:
        raise bad(
            "",
            owner=owner,
            says="got neither lr nor optimizer",
            instead="give " + keyword("lr", 0.1) + ", or " + keyword("optimizer", ADAM),
        )
    if owner.lr is not None and owner.optimizer is not None:
        says = "got both lr and optimizer"
        raise bad("", owner=owner, says=says, instead="put the rate into the optimizer and leave lr out")


__all__ = [
    "Cosine",
    "InverseSqrt",
    "LocalStep",
    "Optimizer",
    "check_step",
    "local_step",
    "optimizer",
]
