"""Local work: gradients and steps.

Gradient privacy and gradient attacks act here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ..core import stacks, tree
from ..core.checks import natural
from ..core.kinds import Privacy
from ..core.random import fold_in, fold_name
from ..core.types import Round, Tree, Values
from ..data.sampling import Poisson
from ..devices.node_blocks import block_map, training_block
from ..errors import RefusedError, bad
from ..problem import Batch, roles, single_examples
from ..problem.lesson import Lesson, by_node, finishes
from . import clocks, wrong
from .batches import batch, collect, looked_up, rows_of_adversaries
from .forward import check_private, count
from .meters import NO_NODE


class Each(Privacy):
    """Gives the gradient of every sample, zeros on padding, in place of their mean."""

    hook, per_example = "gradient", True

    def gradient(self, ctx: Any, grads: Tree, weight: Values, size: Any = None) -> Tree:
        """Leave out what is padding."""
        del ctx, size
        return tree.where(weight > 0, grads, tree.zeros(grads))


EACH = Each()
PRODUCT = 2  # of a gradient's time: the derivative of a gradient along a direction does twice its work


def gradient(
    round: Round, name: str, params: Tree, given: Batch | None, loss_fn: Any, extra: tuple[Any, ...], fixed: Any = None,
    products: int = 0, per_example: bool = False,
) -> Any:  # fmt: skip
    """See `Round.gradient`."""
    if round.within is not None and round.problem.rules:
        says, why = (
            f"is called by Problem.source {round.within}",
            "but the model has leaves that a gradient trains itself",
        )
        raise bad(
            "gradient", owner="round", says=says, why=why, instead="leave Problem.roles out, or collect without it"
        )
    products = natural("round.gradient.products", products)
    wrong.batch("gradient", given)
    if per_example and (no := single_examples.against(round.problem, round.network.privacy)) is not None:
        raise bad("per_example", True, owner="round.gradient", why="but " + no["why"], instead=no["instead"])
    whole = params if fixed is None else roles.joint(params, fixed, gaps=bool(round.problem.rules))
    plan = round.plan
    if plan is not None and round._ids is None and "view" in round.store.slots:  # what the node had when it began
        whole = round.store.slots["view"]
        of = lambda part: tree.map(lambda p, v: None if p is None else v, part, whole, is_leaf=lambda x: x is None)
        params, fixed = (whole, None) if fixed is None else (of(params), of(fixed))
    if plan is not None and given is None and round._ids is None and plan.initiators is not None and not per_example:
        return _gradient_of_events(round, name, params, loss_fn, extra, fixed, products)
    network, drawn = round.network, given is not None
    source, weight, fetch = None, None, round.problem.fetch  # what each block looks up for itself
    if given is None and (network.attack is None or network.attack.hook != "batch"):
        found = collect(round, name + ".batch", whole)
        if found.rows:
            source, weight, fetch = looked_up(round, name + ".batch", found)
        else:
            source, weight, fetch = found.data, found.weight, lambda data: data
    else:
        given = batch(round, name + ".batch", params=whole) if given is None else given
        source, weight, fetch = given.data, given.weight, lambda data: data
    public = given is not None and given.public
    if given is not None and public:  # the same rows for all, which hold nothing private
        source, fetch, network = round.ids, lambda _: given.data, replace(network, privacy=None)
    privacy = EACH if per_example else network.privacy
    if network.privacy is not None and network.privacy.hook == "gradient":
        round.store.ask(given if drawn else None)
    keys = round.node_keys(name + ".loss")
    own_loss = loss_fn is not None
    if own_loss and not round.problem.rule.any_loss:
        learning = type(round.problem.rule).__name__
        why = f"but the learning rule {learning} is for the task's own loss alone (any_loss = False)"
        raise bad("loss", owner="round.gradient", says="is given", why=why, instead="use another method or rule")
    loss_fn = loss_fn if own_loss else round.problem.task.loss
    given_rows = (source, weight, fetch)
    if fixed is not None:
        loss, grads = _of_part(round, name, params, given_rows, keys, loss_fn, extra, privacy, fixed)
    elif round.problem.rules:
        loss, grads = _with_roles(round, name, params, given_rows, keys, loss_fn, extra, privacy)
    else:

        def one(view: Any, params: Tree, rows: Any) -> tuple[jax.Array, Any]:
            source, weight, keys, extra = rows
            return _per_node(view, name, params, (source, weight, fetch), keys, loss_fn, extra, privacy)

        loss, grads = round._by_architecture(one, params, (source, weight, keys, extra))
    if network.attack is not None and network.attack.hook == "gradient":
        attacked = lambda view, grads, _: network.attack.gradient(
            view._context(view.key(name + ".attack"), is_adversary=rows_of_adversaries(view)), grads
        )
        grads = round._by_architecture(attacked, grads, ())
    record = "loss/" + name.rsplit("/", 1)[-1] if own_loss else "loss/public" if public else "loss"
    record = record if round.within is None else "loss/source"
    _observe(round, loss, weight, record, "public_gradients" if public else "gradients", products)
    if round.computes is not None:
        grads = tree.where(round.computes, grads, tree.zeros(grads))
    if finishes(round.problem.rule):
        round.store.unfinished.append(name)
        if fixed is not None:
            raise _part(round)
    work = round.problem.rule.work + PRODUCT * products
    clocks.compute(round, name, None if work == 1 else jnp.full((round.n,), work, jnp.float32))
    return grads


def _per_node(
    round: Round,
    name: str,
    params: Tree,
    given: tuple[Any, Any, Any],
    keys: jax.Array,
    fn: Callable[..., Any],
    extra: tuple[Any, ...],
    privacy: Any,
    whole: Callable[..., Any] = lambda params, *extra: params,
    slot: str = "rule",
) -> tuple[jax.Array, Any]:
    """Compute losses [n] and directions [n, ...] by the problem's learning rule, block by block.

    given: (source, weights, source_i -> batch_i). whole: (params, *extra) -> the whole model.
    """
    source, weight, fetch = given
    problem = round.problem
    per_example = privacy is not None and privacy.hook == "gradient" and privacy.per_example
    if per_example and any(getattr(m, "mixes", False) for m in problem.augment):
        why = f"which {type(privacy).__name__} clips one by one, but augment mixes samples"
        way = "leave mixup out, or clip messages"
        raise bad("gradient", owner="round", says="is of single examples", why=why, instead=way, error=RefusedError)
    slot = slot if round.within is None else f"{name}.{slot}"  # a source's gradients are no steps of the learner's
    kind, stack = _architecture(params)  # of several architectures a rule sees one model, as it is
    slot = slot if kind is None else f"{slot}/{kind}"
    memory, write = _memory(round, tree.map(lambda x: x[0], stack), slot)
    rows, rule_of = by_node(problem.rule, round.by_id)

    def one(params: Tree, source: Tree, weight: Values, keys: Any, memory: Tree, row: Any, extra: Any) -> Any:
        data, (key, common) = fetch(source), keys
        task, own = Lesson(problem, fn, extra, whole, common, kind), _architecture(params)[1]

        def direction(batch: Batch, key: jax.Array) -> Any:
            loss, found, new = rule_of(row).direction(task, own, batch, key, memory)
            return loss, found if kind is None else stacks.Stacks({kind: found}), new

        if not per_example:
            return direction(Batch(data, weight), key)

        def example(row: Tree, key: jax.Array) -> Any:  # of a rule without memory: others are refused
            return direction(Batch(tree.map(lambda x: x[None], row)), key)[:2]

        size = tree.leaves(data)[0].shape[0]
        losses, grads = jax.vmap(example)(data, fold_in(key, jnp.arange(size)))  # noise of a loss is each example's own
        real = jnp.ones_like(losses) if weight is None else weight.astype(losses.dtype)
        return (losses * real).sum() / jnp.maximum(real.sum(), 1), grads, memory

    def mean_loss(params: Tree, source: Tree, weight: Values, keys: Any, memory: Tree, row: Any, extra: Any) -> Any:
        return problem.scalar_loss(fn, fetch(source), weight, keys[0], *extra)(params)

    both = keys, round.common_keys(name + ".rule")
    loss, grads, memory = _each(round, one, mean_loss, params, source, weight, both, memory, rows, extra)
    if write is not None:
        write(round.keep(memory, round.slot(slot, lambda n: memory)[0]))
    if per_example:
        if weight is None:
            weight = jnp.ones(tree.leaves(grads)[0].shape[:2], jnp.float32)
        ctx, size = round._context(round.key(name + ".privacy")), problem.experience.expected(round.counts)
        public = {} if size is None else {"size": size}  # how many were drawn is a secret of Poisson sampling
        grads = privacy.gradient(ctx, grads, weight.astype(jnp.float32), **public)
        grads = tree.map(lambda g, x: g.astype(x.dtype), grads, params)
    return loss, grads


def _memory(round: Round, start: Tree, slot: str) -> tuple[Any, Any]:
    """Memory [n, ...] of the learning rule and its setter; ((), None) where it keeps none."""
    init = round.problem.rule.init

    def first(n: int) -> Any:
        keys = fold_in(fold_name(round.run_key, "rule"), round._everyone)
        return jax.vmap(init)(tree.tile(start, n), keys)

    return round.slot(slot, first) if tree.leaves(jax.eval_shape(init, start, round.run_key)) else ((), None)


def _with_roles(
    round: Round,
    name: str,
    params: Tree,
    given: tuple[Any, Any, Any],
    keys: jax.Array,
    loss_fn: Callable[..., Any],
    extra: tuple[Any, ...],
    privacy: Any,
) -> tuple[jax.Array, Any]:
    """Compute `_per_node`, joined with the leaves that the method does not see.

    Those are updated on the way.
    """
    joined = roles.Joined(round, params)
    fn, fixed = joined.loss(loss_fn), joined.fixed
    trained, extra = (params, joined.personal), (fixed, *extra)
    loss, (grads, own) = _per_node(round, name, trained, given, keys, fn, extra, privacy, roles.whole)
    _statistics(round, joined, roles.join(params, joined.personal, *fixed), given, keys)
    if round.computes is not None:
        own = tree.where(round.computes, own, tree.zeros(own))
    joined.update(own)
    return loss, grads


def _of_part(
    round: Round,
    name: str,
    params: Tree,
    given: tuple[Any, Any, Any],
    keys: jax.Array,
    loss_fn: Callable[..., Any],
    extra: tuple[Any, ...],
    privacy: Any,
    rest: Tree,
) -> tuple[jax.Array, Any]:
    """Compute `_per_node` of a part of the method's leaves.

    The `rest`, and what the method does not see, stay.
    """
    joined = roles.Joined(round, params)
    fixed = rest, joined.personal, *joined.fixed
    fn, whole = roles.over(loss_fn), lambda params, fixed, *extra: roles.join(params, *fixed)
    slot = name + ".rule"
    loss, grads = _per_node(round, name, params, given, keys, fn, (fixed, *extra), privacy, whole, slot)
    _statistics(round, joined, roles.join(params, *fixed), given, keys)
    return loss, grads


def _statistics(round: Round, joined: Any, models: Tree, given: tuple[Any, Any, Any], keys: jax.Array) -> None:
    """Keep the statistics that models write.

    A second forward pass, which XLA merges with that of the loss in part.
    """
    if not tree.leaves(joined.fixed[1:]):
        return
    (source, _, fetch), task = given, round.problem.task
    one = lambda p, s, key: roles.split(round.problem.rules, task.statistics(p, fetch(s), key))
    joined.observe(_each(round, one, one, models, source, keys))


def loss(round: Round, name: str, params: Tree, given: Batch) -> jax.Array:
    """See `Round.loss`."""
    check_private(round, given)
    count(round, name, jnp.ones((round.n,), jnp.int32))
    problem, fn, fixed = round.problem, round.problem.task.loss, ()
    if problem.rules:
        joined = roles.Joined(round, params)
        fn, params, fixed = joined.loss(fn), (params, joined.personal), (joined.fixed,)

    def one(params: Tree, data: Tree, weight: Values, key: jax.Array, fixed: Any) -> jax.Array:
        return problem.scalar_loss(fn, data, weight, key, *fixed)(params)

    if given.public:
        shared = lambda params, key, fixed: problem.scalar_loss(fn, given.data, given.weight, key, *fixed)(params)
        of = lambda view, params, rows: _each(view, shared, shared, params, *rows)
        return round._by_architecture(of, params, (round.node_keys(name), fixed))
    of = lambda view, params, rows: _each(view, one, one, params, *rows)
    return round._by_architecture(of, params, (given.data, given.weight, round.node_keys(name), fixed))


def _part(round: Round) -> Exception:
    rule, way = type(round.problem.rule).__name__, "use another method, or a learning rule without finish"
    why = "but the method moves a part of the model at a time, and the rule finishes whole models"
    return bad("rule", owner="Problem", says=f"is {rule}, which has finish", why=why, instead=way, error=RefusedError)


def _each(round: Any, fn: Callable[..., Any], loss: Tree, *args: Any) -> Any:
    """Apply fn to every row of `args` (trees [n, ...]), in blocks of the problem's size.

    On a mesh each device computes its own rows.

    loss: of the same arguments; by what its backward pass reads, "auto" blocks are chosen.
    """
    n, block, place = round.n, round.problem.block, round.problem.place
    if block == "auto":
        block = training_block(loss, args, n if place is None else place.rows(n))
    return block_map(fn, n, block, place)(*args)


def _gradient_of_events(
    round: Any, name: str, params: Tree, loss_fn: Any, extra: tuple[Any, ...], fixed: Any, products: int
) -> Any:
    """Compute the m gradients of a timetable's initiators, and scatter them into the node axis.

    m is the width of the timetable; rows of other nodes are zero.
    """
    ids = round.plan.initiators
    real = ids < round.n_all
    rows = jnp.minimum(ids, round.n_all - 1)
    view = round._fresh()
    view._ids, view._put, view._busy = rows, ids, real
    params_m, extra_m, fixed_m = (tree.map(lambda x: x[rows], t) for t in (params, extra, fixed))
    models = params_m if fixed is None else roles.joint(params_m, fixed_m, gaps=bool(round.problem.rules))
    drawn = batch(view, name + ".batch", params=models)
    grads = gradient(view, name, params_m, drawn, loss_fn, extra_m, fixed_m, products)
    return tree.map(lambda g, x: jnp.zeros_like(x).at[ids].set(g, mode="drop"), grads, params)


def _observe(round: Round, loss: jax.Array, weight: Any, record: str, meter: str, products: int) -> None:
    """Meter gradients and `record`, the mean loss, of honest nodes; the first not finite."""
    store, works = round.store, round.of_honest(round.computes)
    loss = loss.astype(jnp.promote_types(loss.dtype, jnp.float32))
    nodes = jnp.int32(round.n) if works is None else works.sum(dtype=jnp.int32)
    store.meter(meter, nodes, 1)
    if products:
        store.meter("products", products * nodes, 1)
    finite = jnp.isfinite(loss.astype(jnp.float32))  # of any width: past 3e38 a run has diverged
    if works is not None:
        finite = finite | ~works
    store.bad(jnp.where(finite, NO_NODE, round.ids).min())
    if isinstance(round.problem.sampler, Poisson) and weight is not None:  # a batch of nothing has no loss
        works = weight.any(1) if works is None else works & weight.any(1)
    count = jnp.int32(round.n) if works is None else works.sum(dtype=jnp.int32)
    loss = loss if works is None else jnp.where(works, loss, 0)
    store.share(record, loss.sum() / jnp.maximum(count, 1), count > 0)


def descend(round: Round, optimizer: Any, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
    """See `Round.descend`."""

    rows = getattr(optimizer, "rows", {})  # of an optimizer whose numbers are given per node

    def one(row: Any, g: Any, s: Values, p: Any) -> tuple[Any, Any]:
        updates, s = (optimizer.one(row) if row else optimizer).update(g, s, p)
        return tree.map(lambda p, u: p + u.astype(p.dtype), p, updates), s

    def of(view: Any, params: Tree, given: Any) -> Any:
        if not stacks.is_stacks(params):
            return view.map(one, *given, params)
        ((name, own),) = params.items()  # an optimizer sees the stack itself
        found = view.map(one, *[part[name] if stacks.is_stacks(part) else part for part in given], own)
        return tuple(stacks.Stacks({name: x}) for x in found)

    new_params, new_state = round._by_architecture(of, params, (rows, grads, opt_state))
    return end_step(round, round.keep(new_params, params)), round.keep(new_state, opt_state)


def end_step(round: Round, params: Tree, name: str | None = None) -> Any:
    """See `Round.end_step`: one call ends the step of the first gradient that has no end yet."""
    rule, waiting = round.problem.rule, round.store.unfinished
    if not finishes(rule):
        return params
    of = waiting.pop(0) if waiting else ""
    keys = round.node_keys(of + ".finish" if of and name is None else round._name("end_step", name))

    def one(view: Any, params: Tree, keys: jax.Array) -> Any:
        kind, stack = _architecture(params)
        slot = "rule" if kind is None else f"rule/{kind}"
        memory, write = _memory(view, tree.map(lambda x: x[0], stack), slot)
        rows, rule_of = by_node(rule, view.by_id)
        end = lambda row, *given: rule_of(row).finish(*given)
        new, memory = view.map(end, rows, stack, memory, keys)
        if write is not None:
            write(view.keep(memory, view.slot(slot, lambda n: memory)[0]))
        new = tree.map(lambda a, x: a.astype(x.dtype), new, stack)
        return new if kind is None else stacks.Stacks({kind: new})

    return round.keep(round._by_architecture(one, params, keys), params)


def _architecture(params: Tree) -> tuple[str | None, Any]:
    """(name, models) of one architecture, taken out; (None, params) where there is but one form."""
    return next(iter(params.items())) if stacks.is_stacks(params) else (None, params)


__all__ = ["descend", "gradient", "loss"]
