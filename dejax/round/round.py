"""The Round: the few verbs that a node has in a round."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from ..core import stacks, tree
from ..core.checks import whole
from ..core.local_work import LocalSteps
from ..core.random import fold_name
from ..core.shapes import check_pair, check_rows
from ..core.types import Tree
from ..devices.node_blocks import block_map
from ..errors import bad
from ..problem import Batch
from . import batches, channel, clocks, cohort, forward, lifted, live, local, masked, newcomers, wires, wrong
from .aligned import batch as same_places
from .live import Live, live_links
from .meters import Meters
from .received import ReceivedRows
from .rows import Rows


class Round(Rows):
    """The verbs of `method.step(state, round)`, for one round.

    Axis n is this view's node axis: all nodes, or those of `sample`.

    Attributes:
      index: int32 scalar, the round t. phase: int32, advances within `repeat`.
      ids: int32 [n], global ids of the rows. n: their number.
      counts: int32 [n], local samples of each node.
    """

    # ---- local work
    def batch(
        self, name: str | None = None, *, of: str = "train", size: int | None = None, params: Tree = None,
        aligned: bool = False, places: bool = False,
    ) -> Batch:  # fmt: skip
        """Draw one batch per node from its own data, a tree of [n, B, ...] with weights.

        Draws advance the cursor of an epoch.

        Args:
          of: "train"; "validation", rows set aside by `split`, a node's own or common ones; or "public": rows that
            all nodes hold, a tree [size, ...]. Neither per-example privacy nor attacks on data touch these.
          params: tree of [n, ...], with which a source of experience acts; samples do not need them.
          size: of a public or validation batch, drawn with replacement; None: all public rows in order, and
            Problem.batch_size validation rows, or all.
          aligned: draw the same places of every node's list of rows, as where row k of all nodes is one
            sample, of which each holds other columns.
          places: say in `batch.places` [n, B] where each sample stands in its node's own list of `round.places`.
        Raises:
          ValueError: data without public rows or validation part; a size for "train"; another kind; no params for a source
            that acts; aligned where nodes hold unequal numbers of rows, draw by epochs or Poisson
            sampling, or from a source of experience; places of other rows than a node's own samples.
        """
        name = self._name("batch", name)
        if aligned:
            return same_places(self, name, of, size, places)
        return batches.batch(self, name, of, size, params, places)

    def gradient(
        self,
        params: Tree,
        batch: Batch | None = None,
        *,
        loss: Tree = None,
        extra: tuple[Any, ...] = (),
        fixed: Tree = None,
        products: int = 0,
        per_example: bool = False,
        name: str | None = None,
    ) -> Any:
        """Compute one stochastic gradient per node, zeros where a node does not compute.

        Counted as `gradients`, on public rows as `public_gradients`, which no account of privacy sees.

        Args:
          params: tree of [n, ...].
          batch: from `round.batch`, to see one sample from two points; None draws a fresh one.
          loss: `fn(params_i, batch_i, key_i, *extra_i) -> [B]` instead of the task's.
          extra: trees of [n, ...].
          fixed: the other leaves of the model, [n, ...], where `params` are a part of them: two
            trees of one structure, None where the other has the leaf (`dejax.population.part`).
            The gradient is that of `params`; leaves of role personal stay, too.
          products: Hessian- or Jacobian-vector products that differentiating `loss` takes; each is
            counted as one of `products` besides, and takes the time of two gradients. Clipped and
            noised together with the rest, they are one mechanism of privacy.
          per_example: give the gradient of every sample, [n, B, ...], zeros on padding; counted as one.
          name: needed when a step calls `gradient` more than once.
        """
        name = self._name("gradient", name, per_example=per_example)
        return local.gradient(self, name, params, batch, loss, extra, fixed, products, per_example)

    def loss(self, params: Tree, batch: Batch, *, name: str | None = None) -> jax.Array:
        """Compute the mean loss [n] of each node's parameters on its batch (from `round.batch`)."""
        return local.loss(self, self._name("loss", name, batch=forward.private(batch, "loss")), params, batch)

    def losses(self, params: Tree, batch: Batch, *, name: str | None = None) -> jax.Array:
        """Mean losses [n, K] on each node's batch of K models that it holds, `params` [n, K, ...]."""
        return forward.losses(self, self._name("losses", name, batch=forward.private(batch, "losses")), params, batch)

    def forward(
        self, fn: Callable[..., Any], params: Tree, *extra: Tree, batch: Batch | None = None, name: str | None = None
    ) -> Any:
        """Evaluate fn(model_i, batch_i, key_i, *extra_i) at every node: a tree of [n, ...].

        Counted, and timed, as one forward pass each.

        Args:
          fn: of one whole model (leaves of all roles), one batch, one key, and rows of `extra`; with an
            argument `weight` it gets the batch's weights [B], None where no sample is padding.
          params: tree of [n, ...], as the method holds them.
          batch: from `round.batch`, also a public one; a fresh one is drawn when it is None.
        """
        return forward.forward(
            self, self._name("forward", name, batch=forward.private(batch)), fn, params, batch, extra
        )

    @property
    def mean_loss(self) -> Callable[..., jax.Array]:
        """`mean_loss(model, batch, key)` of the task: one number, for `forward`."""
        problem = self.problem
        mean = lambda params, batch, key, weight=None: problem.scalar_loss(problem.task.loss, batch, weight, key)(
            params
        )
        return mean

    def descend(self, optimizer: Any, grads: Tree, opt_state: Tree, params: Tree) -> tuple[Any, Any]:
        """Take one step of an optax optimizer at nodes that compute; others keep what they have."""
        return local.descend(self, optimizer, grads, opt_state, params)

    def local_steps(
        self, params: Tree, opt_state: Tree, rule: Any, k: LocalSteps, *, steps: Tree = None, correction: Any = None, name: str | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Take k local steps at each node, each on a fresh batch: (params, opt_state) at the end.

        Args:
          rule: an optax optimizer, or rule(round, grads, opt_state, params) -> (params, opt_state).
          steps: int [n], after how many node i stops. k: a number, one per node by id, or `Epochs`.
          correction: tree of [n, ...] added to every gradient.
        """
        return lifted.steps(self, name, params, opt_state, rule, k, steps, correction)

    def end_step(self, params: Tree, *, name: str | None = None) -> Any:
        """Let the learning rule finish a local step of the method's own, on params [n, ...].

        `descend` and `local_steps` call it. A node that does not compute keeps what it is given; a rule
        without `finish` changes nothing.
        """
        return local.end_step(self, params, name)

    @property
    def fresh(self) -> jax.Array:
        """Bool [n]: nodes whose first round this is: in round 0 who is awake, later who joins."""
        return newcomers.fresh(self)

    # ---- communication
    @cached_property
    def links(self) -> Live:
        """W of this phase after faults: the same for every call in the phase, of all nodes."""
        self._needs("links")
        return live_links(self)

    @property
    def edges(self) -> Any:
        """Return the directed edges of the base graph (`EdgeList`), for methods with per_edge."""
        self._needs("edges")
        return self.network.edges

    def edge_slot(self, name: str, init: Callable[[int], Any]) -> tuple[Any, Callable[[Any], None]]:
        """Return memory on edges (its rows [m, ...]), and a setter.

        `init(m)` makes it. A sleeping node's rows stay.
        """
        self._needs("edge_slot")
        return wires.edge_slot(self, self._prefix + name, init)

    def exchange(
        self, value: Tree, *, name: str | None = None, codec: Any = None, per_edge: bool = False, heard: bool = False
    ) -> Any:
        """Send each node's value to its neighbors.

        The result is what receivers hold after privacy, codec, adversaries and links.

        Args:
          value: tree of [n, ...]; with `per_edge` of [m, ...], rows as in `edges`: row e goes from
            edges.receiver[e] to edges.sender[e], where it arrives as row edges.reverse[e].
          codec: used instead of the network's for this call.
          heard: whether receivers keep what they heard last of each neighbor, where nothing comes in this
            phase, since a message is lost or its sender asleep; before the first one its weight is the
            receiver's own. In events of the footprint "neighbors", what a node reads in its own event, up
            to `age` of the sender's updates old; `value` is then what nodes hold between events, not what
            this event computes. The method says `footprint="neighbors"` in its traits.
        """
        name = self._name("exchange", name, codec=codec, per_edge=per_edge, heard=heard)
        if per_edge:
            return channel.exchange_rows(self, name, value, codec)
        check_rows("round.exchange", value, self.n)
        return channel.exchange(self, name, value, codec, heard=heard)

    def gossip(
        self, value: Tree, *, name: str | None = None, codec: Any = None,
        weights: tuple[jax.Array, jax.Array] | None = None, mask: Tree = None, mask_bits: int = 0, heard: bool = False,
    ) -> Any:  # fmt: skip
        """Exchange, then move to base + gamma (combine(own, received) - own).

        Exactly W value where codec and privacy are plain.

        Args:
          value: tree of [n, ...].
          weights: (w [n, k] on ports, own [n]), instead of those of W; what lost links would have
            had goes to the own value. The method says `needs_sums` in its traits.
          mask: bool tree, entries [n, ...] (or broadcast to them) that each node holds: every entry
            becomes the mean (or what the rule makes) over those of the neighborhood that hold it, and
            stays where nobody does. The codec sees them alone; messages take their bits, and
            `mask_bits` each, in whole bytes. The method says `masks` in its traits.
          heard: as in `exchange`, without `mask`.
        """
        check_rows("round.gossip", value, self.n)
        check_pair("round.gossip", "weights", weights, "(w [n, k] on ports, own [n])")
        name = self._name("gossip", name, codec=codec, weights=weights, mask=mask, heard=heard)
        if mask is not None:
            return masked.gossip(self, name, value, mask, weights, mask_bits, codec, heard)
        wrong.mask_bits("gossip", None, mask_bits)
        got = channel.exchange(self, name, value, codec, heard=heard)
        return got.moved(got.combine() if weights is None else got.average(*weights))

    def pull(self, ids: jax.Array, *, name: str | None = None) -> "Round":
        """Let every node hear the nodes `ids` [n, p] of its own choice, in a view of this round.

        Only they send to it, and are counted, lost and attacked; a node's own id, and
        any outside 0..n-1, is padding. The weights are equal. The method says `pulls` in its traits.
        Raises: TypeError, ValueError: ids of another type or shape; within a cohort or a timetable.
        """
        name = self._name("pull", name)
        return self._child(self.store, self._key, name + "/", _pulled=live.chosen(self, ids))

    @property
    def neighbors(self) -> tuple[jax.Array, jax.Array]:
        """Return whom each node can hear in this phase: (ids int32 [n, k], mask bool [n, k]).

        mask: which of them are real.
        """
        self._needs("neighbors")
        links, _, _, mask, _ = self.links
        return self.take((self._everyone[links.senders()], links.weights() != 0 if mask is None else mask))

    @property
    def degree(self) -> jax.Array:
        """int32 [n]: how many neighbors each node can hear in this phase."""
        self._needs("degree")
        return self.neighbors[1].sum(1, dtype=jnp.int32)

    def ask(
        self, query: Tree, answer: Callable[..., Any], *own: Tree, to: Tree = None, name: str | None = None
    ) -> ReceivedRows:
        """Ask neighbors: each answers the queries that reached it, out of rows of its own.

        Args:
          query: tree of [n, ...]; what node i asks. answer: `fn(query_i, *own_j)` -> what neighbor
            j answers.
          own: trees of [n, ...].
          to: bool [m], by `edges`: whether edges.receiver[e] asks edges.sender[e]; None: everybody.
            Only these queries, and answers to those that arrived, are sent and counted.
        Returns:
          `ReceivedRows`: row e is what edges.sender[e] answered to edges.receiver[e]; not there where
            nothing was asked, or query or answer was lost.
        The method says `asks` in its traits, and sends on edges: `Traits(channel="edges", asks=True)`.
        """
        return channel.ask(self, self._name("ask", name), query, answer, own, to)

    def average(
        self, value: Tree, weights: Tree = None, *, name: str | None = None, codec: Any = None,
        groups: Tree = None, num_groups: int | None = None, downloads: int = 1, mask: Tree = None, mask_bits: int = 0,
    ) -> Any:  # fmt: skip
        """Form one weighted mean over the nodes of this view, through the server: no node axis.

        Rows are weighted by `weights` [n] (default: equal), normalised over those that arrive; the
        clock waits for none of weight 0. The mean of none is zero, so send differences to the
        server's value rather than models.

        Args:
          value: tree of [n, ...].
          groups: int [n], 0 <= group < `num_groups`: one mean each, [num_groups, ...]; empty ones
            0.
          num_groups: how many, static.
          downloads: how many results every node fetches, for meter and clock.
          mask: bool tree, entries [n, ...] that each node holds: every entry is the mean (or what the
            rule makes) over those that hold it, zero where nobody does. Both ways take the bits of
            the entries held, and `mask_bits`. The method says `masks` in its traits.
        """
        name = self._name("average", name, codec=codec, groups=groups, mask=mask)
        if mask is not None:
            return masked.average(self, name, value, mask, weights, mask_bits, codec, groups, num_groups, downloads)
        wrong.mask_bits("average", None, mask_bits)
        return channel.average(self, name, value, weights, codec, groups, num_groups, downloads)

    def merge(self, value: Tree, *, name: str | None = None, codec: Any = None) -> Any:
        """Average through the server as `gossip` does with neighbors: [n, ...].

        base + gamma (mean - own). Exactly the equal mean of what arrives where codec and privacy are plain. Who sleeps, or whose
        upload is lost, keeps its value. A method that gossips says `server` in its traits.

        Args:
          value: tree of [n, ...].
        """
        return channel.merge(self, self._name("merge", name, codec=codec), value, codec)

    def gather(self, value: Tree, *, name: str | None = None, codec: Any = None) -> tuple[Any, jax.Array]:
        """Upload each node's value: (rows [n, ...], arrived bool [n]), as the server holds them.

        After privacy, codec, adversaries and losses. The server acknowledges, and answers nothing:
        see `broadcast`. The method says `gathers` in its traits.
        """
        return channel.gather(self, self._name("gather", name, codec=codec), value, codec)

    def broadcast(self, value: Tree, *, name: str | None = None) -> Any:
        """Send the server's `value`, without node axis, to every node of this view: [n, ...]."""
        return channel.broadcast(self, self._name("broadcast", name), value)

    def scatter(self, rows: Tree, *, name: str | None = None) -> Any:
        """Send each node a value of its own from the server: `rows` [n, ...], as they arrive.

        The counterpart of `gather`; rows travel as they are. The method says `gathers` in its traits.
        """
        return channel.scatter(self, self._name("scatter", name), rows)

    # ---- cohorts
    def sample(self, m: int, *, name: str | None = None) -> "Round":
        """A view whose node axis is m distinct nodes drawn uniformly, awake ones first.

        Under privacy of uploads with Poisson sampling: every node on its own with probability m / n. The axis is then wider, and
        those that were not drawn are asleep.
        Costs O(m^2) when everybody is awake, whatever the population's size.
        Raises: ValueError: m < 1 or m > n.
        """
        name = self._name("sample", name)
        m = whole("round.sample.m", m)
        if m > self.n:
            raise bad("round.sample.m", m, why=f"but there are {self.n} nodes", instead=f"give 1 <= m <= {self.n}")
        rows, who = cohort.of(self, fold_name(self._key, name), m)
        view = self._child(self.store, self._key, name + "/", _ids=rows, _put=None, _drawn=who, _expected=m)
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
    def map(self, fn: Callable[..., Any], *trees: Tree) -> Any:
        """vmap over nodes of code that calls no verb."""
        self._check()
        run = lambda view, _, trees: block_map(fn, view.n, None, self.problem.place)(*trees)
        return self._by_architecture(run, stacks.held(trees), trees)

    def repeat(
        self, k: LocalSteps, fn: Callable[["Round", Any], Any], carry: Tree, *, steps: Tree = None, name: str | None = None,
    ) -> Any:  # fmt: skip
        """Iterate carry <- fn(inner, carry), k times; `k` as in `local_steps`.

        Memory and meters pass through; each iteration is a phase of its own. Past its own `steps`
        [n] a node computes nothing and keeps its carry, whose leaves must then have the node axis.
        """
        return lifted.repeat(self, self._name("repeat", name), k, fn, carry, steps)

    def when(self, pred: jax.Array, fn: Callable[["Round", Any], Any], carry: Tree, *, name: str | None = None) -> Any:
        """Return fn(inner, carry) if `pred`, else carry; fn is really skipped.

        pred: a scalar that depends on the round alone.
        """
        return lifted.when(self, self._name("when", name), pred, fn, carry)

    def both(self, *branches: Callable[["Round"], Any]) -> tuple[Any, ...]:
        """Run independent verbs that overlap in time.

        Their clocks start together; the round goes on at the latest.
        """
        return lifted.both(self, branches)

    def finish(self) -> Meters:
        """The meters of this round (called by the driver)."""
        return self.store.meters(clocks.settle(self))


__all__ = ["Round"]
