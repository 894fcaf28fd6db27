"""The rows of a round: who they are, when they act, their randomness and memory."""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import stacks, tree
from ..core.architectures import Architectures
from ..core.local_work import LocalSteps, steps_of
from ..core.random import fold_in, fold_name
from ..core.types import Network, Problem, Tree, Values
from ..errors import bad
from . import clocks, lifted, needs, wrong
from .context import Context
from .meters import HOSTILE
from .store import Store

CACHED = ("awake", "ids", "links", "uploads")  # properties that a child view finds anew


class Rows:
    """What a `Round` knows before any verb: its nodes, their draws, keys by name, slots."""

    def __init__(
        self, problem: Problem, network: Network, store: Store, run_key: jax.Array, index: jax.Array, *,
        plan: Any = None, horizon: Any = None, method: Any = None,
    ):  # fmt: skip
        self.method, self.within = method, None  # whose traits verbs ask for; the name of a source that collects
        self.problem, self.network, self.store, self.run_key = problem, network, store, run_key
        # randomness of events is indexed by their number, never by the packed round
        key = fold_name(run_key, "events") if plan is not None else fold_in(run_key, index)
        self._key = self._base = key  # key of this view; of the whole round (what links share)
        self._clock: str | None = None  # name of a cohort's clock
        self.index, self.plan, self.horizon = index, plan, horizon
        self.phase: Any = index  # counts exchanges' phases: rounds, or iterations of repeat
        self._prefix = ""
        self._ids: Any = None  # positions of the rows on the node axis; None: all nodes, in order
        self._drawn: Any = None  # bool [n_all]: who of a cohort is drawn, one by one; None: all rows
        self._expected: int | None = None  # how many these are on average
        self._put: Any = None  # rows to write back; an id of n is dropped
        self._busy: Any = None
        self._pulled: Any = None  # links that the method chose
        self._trace = lifted.trace_state()

    # ---- who and when
    @property
    def n_all(self) -> int:
        """Nodes of the whole population."""
        return self.problem.n

    @cached_property
    def ids(self) -> jax.Array:
        """[n] global ids of the rows."""
        return self._everyone if self._ids is None else self._ids if self._order is None else self._order[self._ids]

    @property
    def _order(self) -> Any:
        """int32 [n_all]: the node at each position; None where node i stands at position i."""
        return None if self.problem.place is None else self.problem.place.ids

    @property
    def _everyone(self) -> jax.Array:
        return jnp.arange(self.n_all, dtype=jnp.int32) if self._order is None else self._order

    def by_id(self, values: Tree) -> jax.Array:
        """The rows of this view out of an array [n_all, ...] by node id; one number n times.

        Raises:
          ValueError: another length, which indexing would clamp.
        """
        values = jnp.asarray(values)
        if values.ndim == 0:  # one number is every node's
            return jnp.broadcast_to(values, (self.n,))
        if values.shape[:1] != (self.n_all,):
            says, way = f"has shape {values.shape}", f"give one row per node: ({self.n_all}, ...)"
            raise bad("values", values, owner="round.by_id", says=says, instead=way)
        return values if self._ids is None and self._order is None else values[self.ids]

    @property
    def n(self) -> int:
        """Length of this view's node axis."""
        return self.n_all if self._ids is None else self._ids.shape[0]

    @property
    def counts(self) -> jax.Array:
        """[n] local samples of each node."""
        return self._rows(self.problem.data.count)

    def steps_of(self, k: LocalSteps) -> tuple[int, Any]:
        """Return (the most steps that a node makes in k, int32 [n] how many each row makes).

        None in place of the second where all make the most. k: a number of local steps, one per
        node by id, or `Epochs`.
        """
        data, problem = self.problem.data, self.problem
        return steps_of(k, data.index, self.counts, problem.batches, self.by_id, data.even)

    @property
    def elapsed(self) -> jax.Array:
        """[n] seconds since each node's last event before; 0 where a node has none in this round.

        Raises:
          ValueError: there are no events of pairs, whose timetable knows it.
        """
        found = None if self.plan is None else self.plan.elapsed
        if found is None:
            instead = "give network.events of pairs, e.g. dejax.events.decoupled()"
            raise bad("elapsed", owner="round", says="is asked for outside of a timetable of pairs", instead=instead)
        return self._rows(found)

    @property
    def places(self) -> int:
        """Places in a node's list of samples, s: node i fills the first counts[i] of them.

        Raises:
          ValueError: batches come from another source of experience, which has no places.
        """
        source = self.problem.source
        if source is not None:
            why = f"but batches come from {type(source).__name__}, which has no list of samples"
            raise bad("places", owner="round", says="are asked for", why=why, instead="leave Problem(source=...) out")
        return self.problem.data.index.shape[1]

    def _rows(self, x: Values) -> Any:
        return x if self._ids is None else tree.map(lambda leaf: leaf[self._ids], x)

    @cached_property
    def awake(self) -> Any:
        """Bool [n]: takes part in this round; None when everybody does."""
        mask = None if self.plan is None else self._rows(self.plan.awake)
        for fault in self.network.faults:
            up = self._rows(fault.awake(self._fault_context("awake", 0)))  # drawn once per round, whatever the phase
            if up is not None:
                mask = up if mask is None else mask & up
        if self._drawn is not None:
            drawn = self._rows(self._drawn)
            mask = drawn if mask is None else mask & drawn
        return mask

    @property
    def expected(self) -> int:
        """Return how many nodes this view has, of a cohort of random size on average."""
        return self.n if self._expected is None else self._expected

    @property
    def computes(self) -> Any:
        """Bool [n]: finishes local work in this round (implies awake); None when everybody does."""
        mask = self.awake
        for other in (None if self.plan is None else self._rows(self.plan.computes), self._busy):
            if other is not None:
                mask = other if mask is None else mask & other
        return mask

    @cached_property
    def uploads(self) -> Any:
        """Bool [n]: whose messages reach the server in this phase, awake ones'; None when all do."""
        mask = self.awake
        for fault in self.network.faults:
            up = fault.uploads(self._context(self.key("uploads")))
            if up is not None:
                mask = up if mask is None else mask & up
        return mask

    @property
    def stays(self) -> bool:
        """Whether a model's statistics stay at their nodes; at a server they are averaged."""
        return "role/statistics.server" not in self.store.slots

    @property
    def hostile(self) -> Any:
        """Bool [n]: who is an adversary; None when nobody is."""
        attack = self.network.attack
        mask = None if attack is None else attack.is_adversary(self.n_all)
        nobody = mask is None or (isinstance(mask, np.ndarray) and not mask.any())
        return None if nobody else self.by_id(mask)

    def of_honest(self, mask: Any) -> Any:
        """`mask` (bool [n], or None for all) without the adversaries."""
        hostile = self.hostile
        if hostile is None:
            return mask
        return ~hostile if mask is None else mask & ~hostile

    def meter(self, name: str, count: jax.Array, bits: int) -> None:
        """Count messages [n] of `bits` bits of each node; those of adversaries under another name."""
        hostile = self.hostile
        if hostile is not None:
            self.store.meter(HOSTILE + name, jnp.where(hostile, count, 0), bits)
            count = jnp.where(hostile, 0, count)
        self.store.meter(name, count, bits)

    def report(self, name: str, values: jax.Array) -> None:
        """Record the mean of `values` [n] over the honest nodes that compute, as `name`.

        Of several calls in a round the mean over all.
        """
        self._check()
        wrong.report(name, values, self.n)
        values, works = jnp.asarray(values, float), self.of_honest(self.computes)
        works = jnp.ones((self.n,), bool) if works is None else works
        self.store.share(name, jnp.where(works, values, 0).sum(), works.sum())

    @property
    def answer(self) -> Callable[[Any, Any], Any]:
        """What a whole model says, `answer(model, batch, key=None)`: for `forward` and losses.

        Raises:
          TypeError: the task has no `answer`, as those of flax modules have.
        """
        found = self.of_task("answer")
        return lambda model, batch, key=None: found(model, batch)

    def of_task(self, name: str, default: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """The function `name` of the task, such as "hidden" or "lower"; `default` where it has none.

        Raises:
          TypeError: it has none, and there is no default.
        """
        task = self.problem.task
        found = (
            task.function(name, default) if isinstance(task, Architectures) else getattr(task, name, None) or default
        )
        if found is None:
            raise TypeError(f"the method needs a task with {name}(params, batch), and {task!r} has none")
        return found

    # ---- virtual time
    @property
    def seconds(self) -> jax.Array:
        """Virtual clock of each row [n], seconds since a moment that all share in this round.

        Only differences within a round mean something. Zeros where the network has no clock.
        """
        self._check()
        return clocks.read(self)

    def fastest(self, k: Any, *, name: str | None = None) -> jax.Array:
        """Bool [n]: the k nodes whose work of this round has ended first, of those that are heard.

        By their clocks; those that are equally fast, as all are where the network has no clock, in
        an order drawn afresh. As `weights` of `average`, the server waits for no others.

        Args:
          k: how many, a number that may be traced; all where it is more than there are.
        """
        name = self._name("fastest", name)
        return clocks.fastest(self, self._per_node(fold_name(self._key, name)), k)

    def keep(self, new: Tree, old: Tree) -> Any:
        """`new` where the node computes, else `old`."""
        return new if self.computes is None else tree.where(self.computes, new, old)

    def rate(self, lr: Any) -> Any:
        """Return the learning rate of this round: a number, or an array [n] of this view's rows.

        lr: a number, an array with one entry per node, or a schedule, which is called with t.
        """
        if callable(lr):
            lr = lr(self.index)
        if jnp.ndim(lr) > 1:
            way = f"give one number, or one per node: ({self.n_all},)"
            raise bad("lr", lr, owner="round.rate", says=f"has shape {jnp.shape(lr)}", instead=way)
        return self.by_id(jnp.asarray(lr)) if jnp.ndim(lr) == 1 else lr

    # ---- randomness by name
    def key(self, name: str) -> jax.Array:
        """The key for purpose `name` in this round, shared by all nodes."""
        return fold_name(self._key, self._prefix + name)

    def node_keys(self, name: str) -> jax.Array:
        """Return keys [n], by (name, global id, round).

        In a timetable they are by (name, global id, number of the event).
        """
        return self._per_node(self.key(name))

    @property
    def call_keys(self) -> jax.Array:
        """Return keys [n] of the call that this view was made for, as in a source of experience."""
        return self._per_node(fold_name(self._key, self._prefix.removesuffix("/")))

    def common_keys(self, name: str) -> jax.Array:
        """Return keys [n] by (name, round), which all nodes share.

        In a timetable they are by (name, number of the event).
        """
        key = self.key(name)
        return jnp.broadcast_to(key, (self.n,)) if self.plan is None else fold_in(key, self._rows(self.plan.tick))

    def _per_node(self, key: jax.Array) -> jax.Array:
        keys = fold_in(key, self.ids)
        return keys if self.plan is None else fold_in(keys, self._rows(self.plan.tick))

    def _context(self, key: jax.Array, **kw: Any) -> Context:
        progress = None if self.horizon is None else self.index / self.horizon
        ticks = None if self.plan is None else self._rows(self.plan.tick)
        fixed = {"progress": progress, "ticks": ticks, "awake": self.awake, "place": self.problem.place}
        return Context(self.index, self.ids, key, self._per_node(key), **fixed, **kw)

    def _fault_context(self, what: str = "links", phase: Any = None) -> Context:
        """Of the whole population and phase: what all calls of one phase share."""
        phase = (0 if self.plan is not None else self.phase) if phase is None else phase
        key = fold_in(fold_name(self._base, what), phase)
        everyone = self._everyone
        ticks = None if self.plan is None else self.plan.tick
        return Context(self.index, everyone, key, fold_in(key, everyone), ticks=ticks)

    # ---- bookkeeping
    def _check(self) -> None:
        if lifted.trace_state() != self._trace:
            raise RuntimeError(
                "a verb of Round was called inside your own scan, vmap, cond or grad, where its memory and meters would be "
                "lost; use round.repeat(k, fn, carry), round.when(pred, fn, carry) or round.map(fn, *trees) instead"
            )

    def _needs(self, verb: str, **given: Any) -> None:
        """Raise where the method's traits do not say that it calls this verb, with these arguments."""
        needs.check(self, verb, given)

    def _name(self, verb: str, name: str | None, **given: Any) -> str:
        """The full name of this call; two calls of one verb in a step must be told apart by name=.

        given: the arguments that need a trait, or None or False.
        """
        self._check()
        self._needs(verb, **given)
        full = self._prefix + (verb if name is None else name)
        if full in self.store.used:
            says, why = f"is {full!r} twice", "and memory, randomness and meters go by names"
            raise bad("name", full, owner=f"round.{verb}", says=says, why=why, instead="give each call its own name=")
        self.store.used.add(full)
        return full

    def _fresh(self) -> Any:
        """A copy that finds its cached properties anew."""
        child = copy.copy(self)
        for cached in CACHED:
            child.__dict__.pop(cached, None)
        return child

    def _by_architecture(self, fn: Callable[[Any, Tree, Any], Any], params: Tree, rows: Tree) -> Any:
        """fn(view, params, rows) of all nodes; of each architecture, and joined by node id."""
        if not stacks.several(params):
            return fn(self, params, rows)
        return stacks.each(lambda ids, part, rest: fn(self._at(ids), part, rest), params, rows)

    def _at(self, ids: Any) -> Any:
        """The view of some nodes, int32 [m]; of all where `ids` is None."""
        if ids is None:
            return self
        view = self._fresh()
        view._ids = jnp.asarray(ids)
        return view

    def _child(self, store: Store, key: jax.Array, prefix: str, **changes: Any) -> Any:
        child = self._fresh()
        child.store, child._key, child._prefix, child._trace = store, key, prefix, lifted.trace_state()
        for field, value in changes.items():
            setattr(child, field, value)
        return child

    def slot(
        self, name: str, init: Callable[[int], Any], per_node: bool = True, frozen: bool = True
    ) -> tuple[Any, Callable[[Any], None]]:
        """Return the memory under `name` (its rows for this view), and a setter.

        `init(n)` makes it for all n nodes. A node that is asleep keeps its rows, unless they are no
        memory of its own (`frozen=False`).
        """
        store = self.store
        if name not in store.slots:
            if not store.record:
                raise RuntimeError(
                    f"slot {name!r} was not seen when the step was recorded; verbs must not depend on traced values"
                )
            store.slots[name] = store.initial[name] = init(self.n_all)
            store.per_node[name] = per_node
        full = store.slots[name]
        old = self._rows(full) if per_node else full

        def write(new: Values) -> None:
            new = tree.map(lambda a, b: a.astype(b.dtype), new, old)
            if per_node and frozen and self.awake is not None:
                new = tree.where(self.awake, new, old)
            if per_node and self._ids is not None:
                rows = self._ids if self._put is None else self._put
                new = tree.map(lambda f, r: f.at[rows].set(r, mode="drop"), full, new)
            store.slots[name] = new

        return old, write


__all__ = ["Rows"]
