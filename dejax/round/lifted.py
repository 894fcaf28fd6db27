"""Loops, branches and parallel verbs that pass on the round's memory, meters and clocks.

A JAX transformation of a method's own would lose them; `trace_state` notices that.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core import tree
from ..core.local_work import LocalSteps
from ..core.random import fold_in, fold_name
from ..core.types import Round, Tree, Values
from .meters import NO_NODE
from .store import Store


def trace_state() -> Any:
    """A token of the transformation being traced (its home moved between JAX versions)."""
    import jax.extend.core as extend

    if hasattr(extend, "get_opaque_trace_state"):
        return extend.get_opaque_trace_state()
    import jax.core

    return jax.core.get_opaque_trace_state(convention="nnx")


def repeat(round: Round, name: str, k: LocalSteps, fn: Callable[[Any, Any], Any], carry: Tree, steps: Values) -> Any:
    """See `Round.repeat`."""
    store, key, prefix = round.store, fold_name(round._key, name), name + "/"
    k, own = round.steps_of(k)
    if own is not None:
        steps = own if steps is None else jnp.minimum(own, steps)

    def inner(store: Store, i: Tree) -> Any:
        busy = round._busy
        if steps is not None:
            busy = i < steps if busy is None else busy & (i < steps)
        return round._child(store, fold_in(key, i), prefix, phase=round.phase * k + i, _busy=busy)

    def once(child: Round, carry: Tree) -> Any:
        new = fn(child, carry)
        return new if steps is None else tree.where(child._busy, new, carry)

    if store.record:
        asked = store.queries()
        carry = once(inner(store.child(), jnp.int32(0)), carry)
        store.repeated(k, asked)
        return carry
    units: dict[str, int] = {}

    def body(state: Tree, i: jax.Array) -> Any:
        carry, slots = state
        own = store.child(slots)
        carry = once(inner(own, i), carry)
        units.update(own.units)
        return (carry, own.slots), own.observed()

    (carry, store.slots), (counts, values, bad, sent, shares) = lax.scan(
        body, (carry, store.slots), jnp.arange(k, dtype=jnp.int32)
    )
    total = partial(tree.map, lambda x: x.sum(0, dtype=x.dtype))
    values = tree.map(lambda x: x.mean(0), values)
    store.absorb((total(counts), values, bad.min(), total(sent), total(shares)), units)
    return carry


def steps(
    round: Round, name: str | None, params: Any, opt_state: Any, rule: Any, k: LocalSteps, stop: Any, correction: Tree
) -> tuple[Any, Any]:
    """See `Round.local_steps`."""
    is_optax, begin = getattr(rule, "update", None) is not None, getattr(rule, "begin", None)
    step = rule if begin is None else rule.step
    opt_state = opt_state if begin is None else begin(round, opt_state, params)

    def one(inner: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        params, opt_state = carry
        grads = inner.gradient(params)
        if correction is not None:
            grads = tree.add(grads, correction)
        return inner.descend(rule, grads, opt_state, params) if is_optax else step(inner, grads, opt_state, params)

    params, opt_state = round.repeat(k, one, (params, opt_state), steps=stop, name=name)
    if begin is not None:
        rule.end(round, opt_state)
    return params, opt_state


def when(round: Round, name: str, pred: jax.Array, fn: Callable[[Any, Any], Any], carry: Tree) -> Any:
    """See `Round.when`."""
    store, prefix, key = round.store, name + "/", fold_name(round._key, name)
    if store.record:
        return fn(round._child(store.child(), key, prefix), carry)
    units: dict[str, int] = {}

    def yes(state: Tree) -> Any:
        carry, slots = state
        own = store.child(slots)
        carry = fn(round._child(own, key, prefix), carry)
        units.update(own.units)
        return (carry, own.slots), own.observed()

    shapes = jax.eval_shape(yes, (carry, store.slots))[1]

    def no(state: Tree) -> Any:
        counts, values, bad, sent, shares = tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return state, (counts, values, jnp.full_like(bad, NO_NODE), sent, shares)

    (carry, store.slots), observed = lax.cond(pred, yes, no, (carry, store.slots))
    store.absorb(observed, units)
    return carry


def both(round: Round, branches: tuple[Callable[[Any], Any], ...]) -> tuple[Any, ...]:
    """See `Round.both`."""
    slot = round._clock or "clock"
    if round.network.clock is None or slot not in round.store.slots:
        return tuple(branch(round) for branch in branches)
    start, out, ends = round.store.slots[slot], [], []
    for branch in branches:
        round.store.slots[slot] = start
        out.append(branch(round))
        ends.append(round.store.slots[slot])
    round.store.slots[slot] = jnp.stack(ends).max(0)
    return tuple(out)


__all__ = ["both", "repeat", "steps", "trace_state", "when"]
