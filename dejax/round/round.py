"""The Round: the few verbs that a node has in a round."""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.checks import whole
from ..core.random import fold_in, fold_name
from ..core.types import Network, Problem, Rule, Tree, Values
from ..devices.node_blocks import block_map
from ..errors import bad
from ..problem import Batch
from . import channel, clocks, cohort, lifted, local, wires
from .context import Context
from .live import Live, live_links
from .meters import HOSTILE, Meters
from .received import Received, ReceivedRows
from .store import Store

CACHED = ("awake", "ids", "links", "uploads")  # properties that a child view finds anew


class Round:
    """What `method.step(state, round)` works with. Axis n is this view's node axis: all nodes, or those of `sample`.

    Attributes:
      index: int32 scalar, the round t. phase: int32, advances within `repeat`.
      ids: int32 [n], global ids of the rows. n: their number. counts: int32 [n], local samples of each node.
    """

    def __init__(
        self, problem: Problem, network: Network, store: Store, run_key: jax.Array, index: jax.Array, *,
        plan: Any = None, horizon: Any = None,
    ):  # fmt: skip
        self.problem, self.network, self.store, self.run_key = problem, network, store, run_key
        # randomness of events is indexed by their number, never by the packed round
        key = fold_name(run_key, "events") if plan is not None else fold_in(run_key, index)
        self._key = self._base = key  # key of this view; of the whole round (what links share)
        self._clock: str | None = None  # name of a cohort's clock
        self.index, self.plan, self.horizon = index, plan, horizon
        self.phase: Any = index  # counts exchanges' phases: rounds, or iterations of repeat
        self._prefix = ""
        self._ids: Any = None  # positions of the rows on the node axis; None: all nodes, in order
        self._put: Any = None  # rows to write back; an id of n is dropped
        self._busy: Any = None
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
        """The rows of this view out of an array [n_all, ...] ordered by node id.

        Raises:
          ValueError: another length, which indexing would clamp.
        """
        values = jnp.asarray(values)
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

    def _rows(self, x: Values) -> Any:
        return x if self._ids is None else tree.map(lambda leaf: leaf[self._ids], x)

    @cached_property
    def awake(self) -> Any:
        """Bool [n]: takes part in this round; None when everybody does."""
        mask = None if self.plan is None else self._rows(self.plan.awake)
        for fault in self.network.faults:
            up = fault.awake(self._fault_context("awake", 0))  # drawn once per round, whatever the phase
            if up is not None:
                up = self._rows(up)
                mask = up if mask is None else mask & up
        return mask

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
        """Bool [n]: whose messages reach the server in this phase (implies awake); None when all do. The same for all averages."""
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
        return None if mask is None or (isinstance(mask, np.ndarray) and not mask.any()) else self.by_id(mask)

    def of_honest(self, mask: Any) -> Any:
        """`mask` (bool [n], or None for all) without the adversaries."""
        hostile = self.hostile
        if hostile is None:
            return mask
        return ~hostile if mask is None else mask & ~hostile

    def meter(self, name: str, count: jax.Array, bits: int) -> None:
        """Count messages [n] of `bits` bits that each node sends; those of adversaries under a name of their own."""
        hostile = self.hostile
        if hostile is not None:
            self.store.meter(HOSTILE + name, jnp.where(hostile, count, 0), bits)
            count = jnp.where(hostile, 0, count)
        self.store.meter(name, count, bits)

    def keep(self, new: Values, old: Values) -> Any:
        """`new` where the node computes, else `old`."""
        return new if self.computes is None else tree.where(self.computes, new, old)

    def rate(self, lr: Any) -> Any:
        """The learning rate of this round: a number, an [n] array (rows of this view), or a schedule called with t."""
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
        """Keys [n] by (name, global id, round); in a timetable by (name, global id, number of the event)."""
        return self._per_node(self.key(name))

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

    def _name(self, verb: str, name: str | None) -> str:
        """The full name of this call; two calls of one verb in a step must be told apart by name=."""
        self._check()
        full = self._prefix + (verb if name is None else name)
        if full in self.store.used:
            raise bad(
                "name", full, owner=f"round.{verb}", says=f"is {full!r} twice", why="and memory, randomness and meters go by names",
                instead="give each call its own name=",
            )  # fmt: skip
        self.store.used.add(full)
        return full

    def _fresh(self) -> "Round":
        """A copy that finds its cached properties anew."""
        child = copy.copy(self)
        for cached in CACHED:
            child.__dict__.pop(cached, None)
        return child

    def _child(self, store: Store, key: jax.Array, prefix: str, **changes: Any) -> "Round":
        child = self._fresh()
        child.store, child._key, child._prefix, child._trace = store, key, prefix, lifted.trace_state()
        for field, value in changes.items():
            setattr(child, field, value)
        return child

    def slot(
        self, name: str, init: Callable[[int], Any], per_node: bool = True, frozen: bool = True
    ) -> tuple[Any, Callable[[Any], None]]:
        """Memory under `name`: its rows for this view, and a setter. `init(n)` makes it for all n nodes.

        A node that is asleep keeps its rows, unless they are no memory of its own (`frozen=False`).
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

    # ---- local work
    def batch(self, name: str | None = None) -> Batch:
        """One batch per node from its own data, a tree of [n, B, ...] with weights; draws advance the epoch's cursor."""
        return local.batch(self, self._name("batch", name))

    def gradient(
        self,
        params: Tree,
        batch: Batch | None = None,
        *,
        loss: Tree = None,
        extra: tuple[Any, ...] = (),
        name: str | None = None,
    ) -> Any:
        """One stochastic gradient per node at `params` [n, ...]; zeros where a node does not compute.

        Args:
          params: tree of [n, ...].
          batch: from `round.batch`, to look at one sample from two points; a fresh one is drawn when it is None.
          loss: `fn(params_i, batch_i, key_i, *extra_i) -> [B]` instead of the task's; `extra` are trees of [n, ...].
          name: needed when a step calls `gradient` more than once.
        """
        return local.gradient(self, self._name("gradient", name), params, batch, loss, extra)

    def loss(self, params: Tree, batch: Batch, *, name: str | None = None) -> jax.Array:
        """[n]: the mean loss of each node's row of `params` on its batch (from `round.batch`): a forward pass, no gradient."""
        return local.loss(self, self._name("loss", name), params, batch)

    def descend(self, optimizer: Any, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
        """One step of an optax optimizer at each node that computes; the others keep parameters and optimizer state."""
        return local.descend(self, optimizer, grads, opt_state, params)

    def local_steps(
        self, params: Tree, opt_state: Tree, rule: Rule, k: int, *,
        steps: Tree = None, correction: Any = None, name: str | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """k steps at each node, a fresh batch each, as `repeat` runs them: (params, opt_state) after the last.

        Args:
          rule: an optax optimizer, or rule(round, grads, opt_state, params) -> (params, opt_state).
          steps: int [n], after how many node i stops. correction: tree of [n, ...] added to every gradient.
        """
        return local.steps(self, name, params, opt_state, rule, k, steps, correction)

    # ---- communication
    @cached_property
    def links(self) -> Live:
        """W of this phase after faults: the same for every call in the phase."""
        return live_links(self)

    @property
    def edges(self) -> Any:
        """Directed edges of the fixed base graph (`EdgeList`), for a method that says `per_edge = True`."""
        if self.network.edges is None:
            raise bad(
                "edges", owner="round", says="is asked for", why="but the method does not say that it sends per edge",
                instead='write traits = dejax.Traits(channel="edges") in its class',
            )  # fmt: skip
        return self.network.edges

    def edge_slot(self, name: str, init: Callable[[int], Any]) -> tuple[Any, Callable[[Any], None]]:
        """Memory on edges: its rows [m, ...], and a setter. `init(m)` makes it. A sleeping node's rows stay."""
        return wires.edge_slot(self, self._prefix + name, init)

    def exchange(
        self, value: Tree, *, name: str | None = None, codec: Any = None, per_edge: bool = False
    ) -> Received | ReceivedRows:
        """Send each node's value to its neighbors; what receivers hold after privacy, codec, adversaries and links.

        Args:
          value: tree of [n, ...]. With `per_edge` of [m, ...], one row per directed edge as in `edges`: row e is sent by
            edges.receiver[e] to edges.sender[e], where it arrives as row edges.reverse[e].
          codec: used instead of the network's for this call.
        Returns:
          `Received`; with `per_edge`, `ReceivedRows`.
        """
        if per_edge:
            return channel.exchange_rows(self, self._name("exchange", name), value, codec)
        return channel.exchange(self, self._name("exchange", name), value, codec)

    def gossip(self, value: Tree, *, name: str | None = None, codec: Any = None) -> Any:
        """exchange, then base + gamma (combine(own, received) - own); exactly W value where codec and privacy are plain."""
        name = self._name("gossip", name)
        codec = self.network.codec if codec is None else codec
        got = channel.exchange(self, name, value, codec)
        out = got.combine()
        if codec.lossless and got.base is got.own:
            return out
        gamma = codec.gamma
        return tree.map(lambda b, r, o: b + jnp.asarray(gamma).astype(b.dtype) * (r - o), got.base, out, got.own)

    def average(
        self, value: Tree, weights: Tree = None, *, name: str | None = None, codec: Any = None,
        groups: Tree = None, num_groups: int | None = None, downloads: int = 1,
    ) -> Any:  # fmt: skip
        """One weighted mean over the nodes of this view, through the server; a tree without node axis.

        Rows are weighted by `weights` [n] (default: equal), normalised over those that arrive; zeros when none does, so
        send differences to the server's value rather than models.

        Args:
          value: tree of [n, ...].
          groups: int [n], which group a node belongs to, 0 <= g < `num_groups`: one mean for each, a tree of [num_groups, ...];
            zeros for a group that nobody is in.
          num_groups: how many, static.
          downloads: how many results every node fetches, for meter and clock.
        """
        name = self._name("average", name)
        return channel.average(self, name, value, weights, codec, groups, num_groups, downloads)

    # ---- cohorts
    def sample(self, m: int, *, name: str | None = None) -> "Round":
        """A view whose node axis is m distinct nodes drawn uniformly, awake ones first.

        Costs O(m^2) when everybody is awake, whatever the population's size.
        Raises: ValueError: m < 1 or m > n.
        """
        name = self._name("sample", name)
        m = whole("round.sample.m", m)
        if m > self.n:
            raise bad("round.sample.m", m, why=f"but there are {self.n} nodes", instead=f"give 1 <= m <= {self.n}")
        rows = cohort.drawn(self, fold_name(self._key, name), m)
        view = self._child(self.store, self._key, name + "/", _ids=rows, _put=None)
        clocks.start_cohort(view, name)
        return view

    def take(self, value: Tree) -> Any:
        """The rows of this view out of a tree of all nodes [n_all, ...]."""
        return self._rows(value)

    def put(self, value: Tree, rows: Tree) -> Any:
        """A tree of all nodes with this view's rows replaced; sleeping nodes keep theirs."""
        if self.awake is not None:
            rows = tree.where(self.awake, rows, self.take(value))
        at = jnp.arange(self.n, dtype=jnp.int32) if self._ids is None else self._ids
        return tree.map(lambda f, r: f.at[at].set(r), value, rows)

    # ---- lifted control flow
    def map(self, fn: Callable[..., Any], *trees: Any) -> Any:
        """vmap over nodes of code that calls no verb."""
        self._check()
        return block_map(fn, self.n, None, self.problem.place)(*trees)

    def repeat(
        self, k: int, fn: Callable[["Round", Any], Any], carry: Any, *, steps: Tree = None, name: str | None = None
    ) -> Any:
        """carry <- fn(inner, carry), k times; memory and meters pass through, each iteration is a phase of its own.

        Nodes past their own `steps` [n] keep their carry and compute nothing; leaves of carry must then have the node axis.
        """
        return lifted.repeat(self, self._name("repeat", name), k, fn, carry, steps)

    def when(self, pred: jax.Array, fn: Callable[["Round", Any], Any], carry: Tree, *, name: str | None = None) -> Any:
        """carry <- fn(inner, carry) if `pred` (a scalar that depends on the round alone) else carry; really skipped."""
        return lifted.when(self, self._name("when", name), pred, fn, carry)

    def both(self, *branches: Callable[["Round"], Any]) -> tuple[Any, ...]:
        """Independent verbs that overlap in time: clocks start together, the round goes on at the latest."""
        return lifted.both(self, branches)

    def finish(self) -> Meters:
        """The meters of this round (called by the driver)."""
        return self.store.meters(clocks.settle(self))


__all__ = ["Round"]
