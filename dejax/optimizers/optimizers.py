"""Node optimizers from optax and learning-rate schedules, with numbers as leaves.

A raw optax optimizer is a pair of closures: each learning rate would compile a program of its own.
`optimizer` keeps the factory (structure) apart from its numbers (leaves).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..core import tree
from ..core.checks import above, choice, or_none, rate
from ..core.kinds import ADAM
from ..core.schedule import ByRound, paced
from ..core.stacks import Stacks
from ..core.struct import static, struct
from ..core.types import Round, Tree
from ..core.warn import warn
from ..errors import bad, keyword

AROUND = ("clip_value", "clip_norm", "l2", "weight_decay")  # what goes around any factory, in this order
KEPT = "optimizer"  # slot of the state that a round carries for methods without one of their own


@struct
class Optimizer:
    """An optax factory and its keyword arguments; made by `optimizer`."""

    factory: Callable[..., Any] = static()
    numbers: dict[str, Any]  # leaves: floats, arrays, schedules
    structure: tuple[tuple[str, Any], ...] = static(default=())  # flags such as nesterov
    restart: bool | None = static(default=None)

    def make(self, round: Any = None) -> Any:
        """The optax transformation, its schedules read at this round; `PerNode` where numbers are."""
        before = lambda v: paced(v, lambda: jnp.zeros(3))(0)  # before a run the state alone is asked for
        read = before if round is None else lambda v: v(round.index)
        numbers: dict[str, Any] = {k: read(v) if callable(v) else v for k, v in self.numbers.items()}
        rows = {k: v if round is None else round.by_id(v) for k, v in numbers.items() if jnp.ndim(v)}
        one = lambda row: self._built(numbers | row)
        return PerNode(one, rows) if rows else one({})

    def _built(self, numbers: dict[str, Any]) -> optax.GradientTransformation:
        """The factory's transformation, and around it what the factory does not do itself."""
        own = around(self.factory, numbers)
        given = {k: v for k, v in numbers.items() if k not in own}
        made = self.factory(**given, **dict(self.structure))
        if not own:
            return made
        before = {"clip_value": optax.clip, "clip_norm": optax.clip_by_global_norm, "l2": optax.add_decayed_weights}
        parts = [make(own[name]) for name, make in before.items() if name in own]
        if "weight_decay" in own:
            shrink = own["weight_decay"] * given["learning_rate"]
            decay = lambda updates, params: tree.map(lambda u, x: u - jnp.asarray(shrink, x.dtype) * x, updates, params)
            return optax.chain(*parts, made, optax.stateless(decay))
        return optax.chain(*parts, made)


def around(factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that stand around a factory, which does not take them itself."""
    return {k: options[k] for k in AROUND if k in options and k not in inspect.signature(factory).parameters}


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


def optimizer(factory: Callable[..., Any], *in_order: Any, restart: bool | None = None, **options: Any) -> Optimizer:
    """An optimizer for every node: a module-level optax factory and its arguments.

    Around any factory go `clip_value`, `clip_norm`, `l2` and `weight_decay`, in this order, the first three before its step:
    clip every entry of the gradient; clip its norm over all leaves that the method trains; add l2 x; after the step subtract
    learning_rate weight_decay x (decoupled). A factory that has `weight_decay` itself (adamw) takes it.

    Args:
      factory: e.g. optax.adam. in_order, options: its arguments; numbers and schedules may be swept
        without recompiling, and be arrays [n], one per node, where every node has a step of its own. Schedules are called with the round: `dejax.Cosine`, those of optax, or
        any function where the factory takes a schedule. Other functions (masks), flags, words and
        dtypes are structure.
      restart: what a node keeps of its optimizer (momenta, counts) from round to round. True: nothing, each round begins
        anew. False: all of it, also at a server, where the round carries it for every node. None: as
        the method does; methods at a server begin anew, others keep it in their state.
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
    options = {k: v for k, v in options.items() if v is not None or k not in around(factory, options)}
    fixed = {k: v for k, v in options.items() if not _is_number(v)}
    array = lambda v: np.asarray(v, np.float32) if isinstance(v, (list, tuple)) else v
    numbers = {k: array(v) for k, v in options.items() if k not in fixed}
    if "weight_decay" in around(factory, options) and "learning_rate" not in options:
        why = "but without learning_rate there is nothing to decay by"
        raise bad(
            "weight_decay", options["weight_decay"], owner=str(name), why=why, instead="give learning_rate, or l2"
        )
    made = Optimizer(factory, numbers, tuple(sorted(fixed.items())), or_none(choice(True, False))("restart", restart))
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
    if value is not None and name in around(factory, {name: value}):
        check = above(0) if name.startswith("clip") else rate
        return check(f"{getattr(factory, '__name__', 'optimizer')}.{name}", value, leaf=True)
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
        if round is not None and self.optimizer.restart is False:
            one = tree.map(lambda x: x[0], params)
            return round.slot(KEPT, lambda n: self.init(tree.tile(one, n)))[0]
        return self._anew(params, round)

    def _anew(self, params: Tree, round: Round | None) -> Any:
        made = self.optimizer.make(round)
        if round is not None:
            _warn_of_schedules(self.optimizer)
        if not isinstance(made, PerNode):
            start = jax.vmap(made.init)
            return params.map(start) if isinstance(params, Stacks) else start(params)
        each = jax.vmap(lambda row, x: made.one(row).init(x))
        if not isinstance(params, Stacks):
            return each(made.rows, params)
        mine = lambda ids: made.rows if ids is None else tree.map(lambda x: x[ids], made.rows)
        return Stacks({name: each(mine(ids), params[name]) for name, ids in params.parts()}, params.ids)

    def __call__(self, round: Round, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
        """(params, opt_state) after the one step of a round, at the nodes that compute."""
        return self.step(round, grads, self.begin(round, opt_state, params), params)

    def begin(self, round: Round, opt_state: Tree, params: Tree) -> Any:
        """The optimizer's state as the local work of a round begins: a new one where it restarts."""
        if self.optimizer is None or not self.optimizer.restart:
            return opt_state
        return round.keep(self._anew(params, round), opt_state)

    def end(self, round: Round, opt_state: Tree) -> None:
        """Keep the state that the round carries, where the method has none of its own."""
        if self.optimizer is not None and self.optimizer.restart is False and KEPT in round.store.slots:
            round.slot(KEPT, lambda n: None)[1](round.keep(opt_state, round.slot(KEPT, lambda n: None)[0]))

    def step(self, round: Round, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
        """(params, opt_state) after one of several steps at the nodes that compute."""
        if self.optimizer is not None:
            return round.descend(self.optimizer.make(round), grads, opt_state, params)
        return round.end_step(tree.axpy(tree.map(jnp.negative, round.rate(self.lr)), grads, params)), opt_state


def _warn_of_schedules(optimizer: Optimizer) -> None:
    """Warn where a schedule inside a factory counts in a state that begins anew in each round."""
    made = optimizer.make()
    one = made.one({k: v[0] for k, v in made.rows.items()}) if isinstance(made, PerNode) else made
    counts = (optax.ScaleByScheduleState, optax.InjectStatefulHyperparamsState)
    is_count = lambda x: isinstance(x, counts)
    state = jax.eval_shape(one.init, {"x": jnp.zeros(1)})
    if any(is_count(x) for x in jax.tree.leaves(state, is_leaf=is_count)):
        name = getattr(optimizer.factory, "__name__", "factory")
        warn(
            f"a schedule inside {name} counts steps in a state that begins anew in each round, so that it never gets past those "
            f"of one round; give {name} an argument learning_rate, and the schedule as optimizer({name}, learning_rate=...)"
        )


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
    "LocalStep",
    "Optimizer",
    "check_step",
    "local_step",
    "optimizer",
]
