"""Forward passes: what models answer on batches, without a gradient."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..core import stacks, tree
from ..core.arguments import takes_weight
from ..core.types import Received, Round, Tree, Values
from ..devices.node_blocks import map_nodes
from ..errors import RefusedError, bad
from ..problem import Batch, roles
from . import clocks, wrong

ONE = ("model", "batch", "key")  # what a function of one node is given
SHARE = 1 / 3  # of a gradient's time: a backward pass takes about twice as long as its forward pass


def forward(
    round: Round, name: str, fn: Callable[..., Any], params: Tree, given: Batch | None, extra: tuple[Any, ...]
) -> Any:
    """See `Round.forward`."""
    from .batches import batch

    wrong.arguments("round.forward", "fn", fn, *ONE, *wrong.extra(len(extra)))
    check_private(round, given)
    given = batch(round, name + ".batch", params=params) if given is None else given
    count(round, name, jnp.ones((round.n,), jnp.int32))
    return _rows(round, fn, params, given, round.node_keys(name + ".forward"), extra)


def losses(round: Round, name: str, params: Tree, given: Batch) -> jax.Array:
    """See `Round.losses`."""
    check_private(round, given)
    problem, models = round.problem, tree.leaves(params)[0].shape[1]
    count(round, name, jnp.full((round.n,), models, jnp.int32))
    fn, fixed = problem.task.loss, ()
    if problem.rules:
        joined = roles.Joined(round, params)
        fn, fixed = joined.loss(fn), (joined.personal, *joined.fixed)

    def one(params: Tree, data: Tree, weight: Values, key: jax.Array, fixed: Tree) -> jax.Array:
        if fixed:
            own, *rest = fixed
            mean = problem.scalar_loss(fn, data, weight, key, tuple(rest))
            return jax.vmap(lambda p: mean((p, own)))(params)
        return jax.vmap(problem.scalar_loss(fn, data, weight, key))(params)

    return _map(round, one, (params,), given, round.node_keys(name), fixed)


def of_neighbors(
    round: Round, name: str, got: Received, fn: Callable[..., Any], own: tuple[Any, ...], given: Batch | None
) -> Any:
    """See `Received.forward`. One port after another: one [n, ...] of models at a time."""
    from .batches import batch

    wrong.arguments("got.forward", "fn", fn, *ONE, *wrong.extra(len(own)))
    check_private(round, given)
    given = batch(round, name + ".batch") if given is None else given
    count(round, name, got.mask.sum(1, dtype=jnp.int32))
    keys, k = round.node_keys(name + ".forward"), got.links.num_ports
    one = lambda s: _rows(round, fn, got.value(s), given, keys, own)
    if k == 0:
        shapes = jax.eval_shape(one, 0)
        return tree.map(lambda x: jnp.zeros((x.shape[0], 0, *x.shape[1:]), x.dtype), shapes)
    return tree.map(lambda x: jnp.moveaxis(x, 0, 1), jax.lax.map(one, jnp.arange(k, dtype=jnp.int32)))


def private(given: Batch | None, verb: str = "forward") -> bool:
    """Whether a batch holds a node's own samples; None stands for a fresh one, which does.

    Raises:
      FieldError: it is no batch; names the verb.
    """
    wrong.batch(verb, given)
    return given is None or not given.public


def check_private(round: Round, given: Batch | None) -> None:
    """Refuse raw answers on a node's own samples, which no mechanism of privacy noises."""
    privacy = round.network.privacy
    if privacy is None or privacy.hook != "gradient" or not private(given):
        return
    why = f"which network.privacy {type(privacy).__name__} neither clips nor noises"
    way = "choose by noisy gradients or on public rows, or leave privacy out"
    raise bad("loss", owner="round", says="gives raw losses", why=why, instead=way, error=RefusedError)


def count(round: Round, name: str, passes: jax.Array) -> None:
    """Meter `passes` [n] of the honest nodes that compute; move the clocks of all that do."""
    works = round.of_honest(round.computes)
    round.store.meter("forwards", passes if works is None else jnp.where(works, passes, 0), 1)
    clocks.compute(round, name, SHARE * passes.astype(float))


def _rows(
    round: Round, fn: Callable[..., Any], params: Tree, given: Batch, keys: jax.Array, extra: tuple[Any, ...]
) -> Any:
    """fn of every row of whole models: what the method does not see is joined to them."""
    of = lambda weight: functools.partial(fn, weight=weight) if takes_weight(fn) else fn
    if not round.problem.rules:
        one = lambda params, data, weight, key, extra: of(weight)(params, data, key, *extra)
        return _map(round, one, (params,), given, keys, extra)
    joined = roles.Joined(round, params)
    whole, fixed = lambda weight: joined.loss(of(weight)), joined.fixed
    one = lambda params, own, fixed, data, weight, key, extra: whole(weight)((params, own), data, key, fixed, *extra)
    return _map(round, one, (params, joined.personal, fixed), given, keys, extra)


def _map(
    round: Round, fn: Callable[..., Any], models: tuple[Any, ...], given: Batch, keys: jax.Array, extra: Tree
) -> Any:
    """Evaluate fn(*models, data, weight, key, extra) of every row, in blocks."""
    problem = round.problem
    if stacks.several(models[0]):
        batch = () if given.public else (given.data, given.weight)

        def of(view: Any, model: Tree, rows: Any) -> Any:
            batch, keys, extra = rows
            return _map(view, fn, (model,), Batch(*batch) if batch else given, keys, extra)

        return round._by_architecture(of, models[0], (batch, keys, extra))
    if given.public:
        row = lambda args: fn(*args[0], given.data, given.weight, args[1], args[2])
        return map_nodes(row, (models, keys, extra), problem.block, problem.place)
    row = lambda args: fn(*args[0], args[1], args[2], args[3], args[4])
    return map_nodes(row, (models, given.data, given.weight, keys, extra), problem.block, problem.place)


__all__ = ["count", "forward", "losses", "of_neighbors", "private"]
