"""What the receivers hold of one exchange, and the only ways to combine it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.types import Round, Tree, Values
from ..errors import bad
from . import wrong
from .context import Context

BLOCK_BYTES = 64 * 2**20  # working set of a coordinate-wise rule


class Received:
    """Values that every node received from its neighbors in one phase.

    They have passed privacy, codec, adversaries and links. Row i of a port's value is what node i
    received on that port. `own` is the node's own value as the others hold it; it is None at a
    server, whose single receiver (n = 1) has the senders as its ports. No [n, k, d] array is formed.
    `combine` asks the network's rule, and weights of a method's own (`average`, `weighted`) are
    refused beside a robust one. Single values (`fold`, `each`, `forward`) come as they were heard: a
    method that reads them decides itself whom to trust, and says `needs_sums` where a rule would
    not act.
    """

    def __init__(
        self, ctx: Context, rule: Any, own: Tree, sent: Values, *, base: Tree, rewrite: Tree = None,
        weights: Tree = None, self_weights: Any = None, mask: Tree = None, adversary: Any = None, audit: Any = None,
        forward: Any = None, owned: Tree = None, held: Tree = None,
    ):  # fmt: skip
        self.ctx, self.rule, self.own, self.sent, self.base = ctx, rule, own, sent, base
        self.owned, self.held = owned, held  # bool trees like own and sent: the entries that are there; None: all
        self.rewrite, self.adversary = rewrite, adversary  # tree [n, ...] per receiver; bool [n] over all senders
        self._audit, self._forward, self._judging = audit, forward, False
        self._weights, self._self_weights, self._mask = weights, self_weights, mask
        self.codec: Any = None  # of an exchange between neighbors
        self.fixed = False  # whether the same neighbors are heard in every phase

    @property
    def links(self) -> Any:
        """W of the phase, before losses."""
        return self.ctx.links

    @property
    def plain(self) -> bool:
        """True when nothing was lost or rewritten per receiver: W applies as it stands."""
        return self._mask is None and self.rewrite is None

    @property
    def weights(self) -> jax.Array:
        """[n, k]: weight of each port; a lost link has 0."""
        return self.links.weights() if self._weights is None else self._weights

    @property
    def self_weights(self) -> jax.Array:
        """[n]: weight of the own value, lost links given back."""
        return self.links.self_weights() if self._self_weights is None else self._self_weights

    @property
    def mask(self) -> jax.Array:
        """[n, k]: True where a value arrived."""
        return self.links.weights() != 0 if self._mask is None else self._mask

    @cached_property
    def _spread(self) -> Any:
        """Bring the values to where the receivers' devices can read them, in one exchange."""
        return self.links.with_neighbors(self.sent)

    def from_adversary(self) -> jax.Array:
        """[n, k]: who sent on each port is an adversary."""
        return self.adversary[self.links.senders()]

    def combine(self) -> Any:
        """The network's rule under W: one value per receiver."""
        if self._audit is not None:
            self._audit(self)
        self._judging = True
        out = self.rule.combine(self.ctx, self)
        self._judging = False
        return out

    def mix(self) -> Any:
        """The plain weighted mean under W, after losses: what the default rule returns."""
        if self.plain and self.own is self.sent:
            return self.links.mix(self.sent)
        return self.weighted(self.weights, self.self_weights)

    def weighted(self, weights: jax.Array, self_weights: jax.Array) -> Any:
        """Sum values under given weights: sum_s weights[:, s] * port s + self_weights * own.

        A zero weight silences NaN and Inf. Whole numbers under whole weights, such as `mask`, are summed exactly.

        Raises:
          ValueError: a method calls it under a rule that is not linear, and so must judge the
            values.
          TypeError: whole numbers under weights that are not.
          FieldError: weights of other shapes than [n, k] and [n].
        """
        wrong.weights("got.weighted", self.links, weights, self_weights)
        self._check_linear()
        if self.rewrite is None:
            return self.links.weighted(self._spread, weights, self_weights, self.own)
        hostile = self.from_adversary()
        honest = self.links.weighted(self._spread, jnp.where(hostile, 0, weights), self_weights, self.own)
        share = jnp.where(hostile, weights, 0).sum(1)
        return tree.add(honest, tree.where(share != 0, tree.scale(share, self.rewrite), tree.zeros(self.rewrite)))

    def sq_distances(self) -> jax.Array:
        """Return [n, k], the squared distance of each received value to the own one.

        It is inf where nothing arrived, or something that is not finite.
        """
        distance = self.links.sq_distances(self._spread, self.own)
        if self.rewrite is not None:
            to_rewrite = tree.sq_norm(tree.sub(self.rewrite, self.own)).astype(distance.dtype)
            distance = jnp.where(self.from_adversary(), to_rewrite[:, None], distance)
        return jnp.where(self.mask & jnp.isfinite(distance), distance, jnp.inf)

    def value(self, s: int | Values) -> Any:
        """The values received on port s: row i from senders[i, s]."""
        value = self.links.take(self._spread, s)
        if self.rewrite is None:
            return value
        return tree.where(self.from_adversary()[:, s], self.rewrite, value)

    def fold(self, fn: Callable[..., Any], carry: Tree) -> Any:
        """carry <- fn(carry, value, weight [n], mask [n], s) over ports."""
        weights, mask = self.weights, self.mask
        hostile = None if self.rewrite is None else self.from_adversary()

        def one(carry: Tree, value: Tree, s: int | Values) -> Any:
            if hostile is not None:
                value = tree.where(hostile[:, s], self.rewrite, value)
            return fn(carry, value, weights[:, s], mask[:, s], s)

        return self.links.fold(one, carry, self._spread)

    def forward(self, fn: Callable[..., Any], *own: Tree, batch: Tree = None, name: str | None = None) -> Any:
        """Evaluate what arrived: fn(model on port s, batch_i, key_i, *own_i), a tree of [n, k, ...].

        Args:
          fn: as in `Round.forward`; the receiver joins its own leaves of other roles to what it
            received.
          batch: from `round.batch`, also a public one; one fresh batch for all ports is drawn when
            it is None.
        Where nothing arrived the result means nothing: use it through `mask`.
        """
        if self._forward is None:
            raise bad(
                "forward", None, says="is asked of what a server received", instead="evaluate models at the nodes"
            )
        return self._forward(self, fn, own, batch, name)

    def average(self, weights: jax.Array, self_weights: jax.Array) -> Any:
        """Mix by weights of the method's own, [n, k] and [n].

        Weights of lost links go to the own value.

        Raises:
          ValueError: the network's rule is not linear, so that it must judge the values; weights of
            other shapes.
        """
        wrong.weights("got.average", self.links, weights, self_weights)
        self._check_linear()
        if self._audit is not None:
            self._audit(self)
        return self.weighted(*self._given_back(weights, self_weights))

    def _given_back(self, weights: jax.Array, self_weights: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Give what lost links would have had of the method's own weights to the own value."""
        weights = jnp.where(self.links.weights() != 0, weights, 0)
        lost = jnp.where(self.mask, 0, weights)
        return jnp.where(self.mask, weights, 0), self_weights + lost.sum(1)

    def moved(self, mean: Tree) -> Any:
        """Move to base + gamma (mean - own), as `Round.gossip` does.

        mean: tree of [n, ...], made of the values by the method. It is the result itself where codec and privacy are plain.
        """
        if self.codec.lossless and self.base is self.own:
            return mean
        gamma = jnp.asarray(self.codec.gamma)
        return tree.map(lambda b, r, o: b + gamma.astype(b.dtype) * (r - o), self.base, mean, self.own)

    def _check_linear(self) -> None:
        if self.rule is not None and not self.rule.linear and not self._judging:
            why = "but the method mixes by weights of its own, which a robust rule cannot replace"
            raise bad("network.rule", self.rule, says=f"is {type(self.rule).__name__}", why=why, instead="leave it out")

    def edge(self, values: Values) -> jax.Array:
        """Data on the edges of a fixed graph, [m, ...], on ports [n, k, ...]; 0 on padding.

        values: row e belongs to row e of `topology.edges()`, the edges (receiver, sender) in ascending order. With another
          number of rows than edges all of the result is NaN (of whole numbers the least there is).
        Raises:
          ValueError: a graph that changes from phase to phase, neighbors that the method chose, or pairs
            that meet.
        """
        if not self.fixed:
            says, why = "is asked for", "where other nodes are heard in every phase"
            way = "use a fixed graph, or compute the data from got.links.senders()"
            raise bad("values", values, owner="got.edge", says=says, why=why, instead=way)
        values, ids, n = jnp.asarray(values), self.ctx.ids, self.links.n
        real = self.links.weights() != 0
        senders = jnp.where(real, ids[self.links.senders()], n)
        degree = real.sum(1, dtype=jnp.int32)
        by_id = jnp.zeros((n,), jnp.int32).at[ids].set(degree)
        first = (jnp.cumsum(by_id, dtype=jnp.int32) - by_id)[ids]
        rank = jnp.argsort(jnp.argsort(senders, 1), 1)  # among a receiver's senders, by id
        at = jnp.where(real, first[:, None] + rank, values.shape[0])
        out = values.at[at].get(mode="fill", fill_value=0)
        least = jnp.nan if jnp.issubdtype(values.dtype, jnp.inexact) else jnp.iinfo(values.dtype).min
        return jnp.where(degree.sum() == values.shape[0], out, jnp.asarray(least, values.dtype))

    def each(self) -> tuple[Any, jax.Array]:
        """The stacked form [n, k, ...] and the mask [n, k]; for small trees only."""
        k = self.links.num_ports
        return tree.map(lambda *x: jnp.stack(x, 1), *[self.value(s) for s in range(k)]), self.mask

    def coordinates(
        self, fn: Callable[[list[jax.Array], list[jax.Array]], jax.Array], include_own: bool = True, fused: int = 0
    ) -> Any:
        """Apply a coordinate-wise rule leaf by leaf.

        Coordinates are taken in blocks where there are more than `fused` values to combine.

        `fn(values, masks) -> [n, c]` of two lists, k(+1) values [n, c] and masks [n, 1] of which
        arrived (of parts of models [n, c]), so that no [k, n, c] is formed where the rule needs none:
        up to `fused` values it is elementwise, one loop that keeps nothing. The own value comes first
        where it exists and is asked for.
        """
        like = self.own if self.own is not None else self.sent

        def joined(blocks: jax.Array, x: jax.Array, width: int) -> jax.Array:
            flat = jnp.moveaxis(blocks, 0, 1).reshape(blocks.shape[1], -1)[:, :width]
            return flat.reshape(flat.shape[:1] + x.shape[1:]).astype(x.dtype)

        parts = self._in_blocks(fn, include_own, fused)
        outs = [joined(blocks, x, width) for (blocks, width), x in zip(parts, tree.leaves(like), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(self.sent), outs)

    def left_out(
        self,
        kept: Callable[[list[jax.Array], list[jax.Array]], list[jax.Array]],
        include_own: bool = True,
        fused: int = 0,
    ) -> jax.Array:
        """Return [n, k]: the share of each received value's coordinates that a rule does not keep.

        Of parts of models: of the coordinates that the sender holds.

        `kept(values, masks)` is a list of bool [n, c], one for each of `values`.
        """
        first = int(include_own and self.own is not None)

        def dropped(values: list[jax.Array], masks: list[jax.Array]) -> jax.Array:
            out = zip(kept(values, masks)[first:], masks[first:], strict=True)
            if self.held is None:
                return jnp.stack([(~x).sum(1, dtype=jnp.int32) for x, _ in out], 1)
            both = [jnp.stack([(m & ~x).sum(1, dtype=jnp.int32), m.sum(1, dtype=jnp.int32)], 1) for x, m in out]
            return jnp.stack(both, 2)  # [n, 2, k]

        parts = self._in_blocks(dropped, include_own, fused)
        left = tree.add(*[blocks.sum(0).astype(jnp.float32) for blocks, _ in parts])
        if self.held is None:
            return left / sum(width for _, width in parts)
        return left[:, 0] / jnp.maximum(left[:, 1], 1)

    def _in_blocks(self, fn: Callable[..., jax.Array], include_own: bool, fused: int) -> list[tuple[jax.Array, int]]:
        """Apply fn to blocks of coordinates, leaf by leaf.

        The last block is filled up with zeros.

        Returns:
          Of each leaf (fn's results [blocks, n, ...], number of coordinates).
        """
        own = include_own and self.own is not None
        n = self.mask.shape[0]
        masks = [jnp.ones((n, 1), bool)] * own + [self.mask[:, s, None] for s in range(self.links.num_ports)]
        k = len(masks)

        def leaf(sent: jax.Array, mine: Tree, hostile: Tree, owned: Tree, held: Tree) -> tuple[jax.Array, int]:
            width = sent[0].size
            most = width if k <= fused else BLOCK_BYTES // max(1, k * n * max(4, sent.dtype.itemsize))
            blocks = -(-width // max(1, min(width, most)))
            columns = -(-width // blocks)

            def flat(x: jax.Array) -> jax.Array:
                return jnp.pad(x.reshape(x.shape[0], -1), ((0, 0), (0, blocks * columns - width)))

            sent, others = flat(sent), (mine, hostile, owned, held)
            mine, hostile, owned, held = (None if x is None else flat(x) for x in others)

            def block(b: jax.Array) -> jax.Array:
                cut = lambda x: jax.lax.dynamic_slice_in_dim(x, b * columns, columns, 1)
                part = cut(sent)
                values = [self.links.take(part, s) for s in range(self.links.num_ports)]
                if hostile is not None:
                    bad, rewritten = self.from_adversary(), cut(hostile)
                    values = [jnp.where(bad[:, s][:, None], rewritten, v) for s, v in enumerate(values)]
                return fn(([cut(mine)] if own else []) + values, masks if held is None else entries(cut))

            def entries(cut: Callable[[jax.Array], jax.Array]) -> list[jax.Array]:
                """The masks [n, c] of what arrived, of entries that its sender holds."""
                theirs = cut(held)
                there = [self.mask[:, s, None] & self.links.take(theirs, s) for s in range(self.links.num_ports)]
                return ([cut(owned)] if own else []) + there

            return jax.lax.map(block, jnp.arange(blocks)) if blocks > 1 else block(jnp.int32(0))[None], width

        sent = tree.leaves(self._spread)
        mine = tree.leaves(self.own) if own else [None] * len(sent)
        each = lambda x: [None] * len(sent) if x is None else tree.leaves(x)
        held = None if self.held is None else self.links.with_neighbors(self.held)
        leaves = zip(sent, mine, each(self.rewrite), each(self.owned), each(held), strict=True)
        return [leaf(*parts) for parts in leaves]


class ReceivedRows:
    """What arrived on each edge: `rows` [m, ...], `mask` bool [m] or None when everything did.

    Row e was sent by sender[e] to receiver[e]. Rows are different messages, so there is no rule to
    combine them by: a method keeps what it needs, usually `keep(old)`: the new row where it
    arrived, else the old one.
    """

    def __init__(self, round: Round, name: str, rows: Tree, mask: Values, ride: Any = None):
        self._round, self._name, self._ride, self._headers = round, name, ride, 0
        self.rows, self.mask = rows, mask

    def keep(self, old: Tree) -> Any:
        """The new rows where they arrived, else `old` [m, ...]."""
        return self.rows if self.mask is None else tree.where(self.mask, self.rows, old)

    def header(self, counts: jax.Array) -> jax.Array:
        """Send small numbers [m] along with the same messages.

        They are metered in full, and neither compressed, noised nor forged. Where the message was
        lost the result is what would have come: use it through `mask`, as `rows`.
        """
        edges, awake = self._round.network.edges, self._round.awake
        sent = edges.sum(jnp.ones((edges.m,), jnp.int32))
        sent = sent if awake is None else jnp.where(awake, sent, 0)
        name = f"wire/{self._name}/header"
        self._round.meter(name, sent, counts.dtype.itemsize * 8)
        self._round.store.node_sent(name, sent)
        rows = edges.deliver(counts)
        self._headers += 1
        return rows if self._ride is None else self._ride(f"header{self._headers}", rows)


__all__ = ["Received", "ReceivedRows"]
