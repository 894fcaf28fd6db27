"""What the receivers hold of one exchange, and the only ways to combine it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from .context import Context

BLOCK_BYTES = 64 * 2**20  # working set of a coordinate-wise rule


class Received:
    """Values that every node received from its neighbors in one phase, after privacy, codec, adversaries and links.

    Row i of a slot's value is what node i received on that slot. `own` is the node's own value as the others hold it;
    it is None at a server, whose single receiver (n = 1) has the senders as its slots. Only `combine`, `fold`, `each`
    and the entry points of rules (`weighted`, `sq_distances`, `coordinates`) reach the values, so that a robust rule
    cannot be bypassed and no [n, k, d] array is formed.
    """

    def __init__(
        self, ctx: Context, rule: Any, own: Any, sent: Any, *, base: Any, rewrite: Any = None,
        weights: Any = None, self_weights: Any = None, mask: Any = None, adversary: Any = None,
    ):  # fmt: skip
        self.ctx, self.rule, self.own, self.sent, self.base = ctx, rule, own, sent, base
        self.rewrite, self.adversary = rewrite, adversary  # tree [n, ...] per receiver; bool [n] over all senders
        self._weights, self._self_weights, self._mask = weights, self_weights, mask

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
        """[n, k]: weight of each slot; a lost link has 0."""
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
        """What was sent, where the receivers' devices can read it: one exchange serves all that follows."""
        return self.links.spread(self.sent)

    def _from_adversary(self) -> jax.Array:
        return self.adversary[self.links.senders()]

    def combine(self) -> Any:
        """The network's rule under W: one value per receiver."""
        return self.rule.combine(self.ctx, self)

    def mix(self) -> Any:
        """The plain weighted mean under W, after losses: what the default rule returns."""
        if self.plain and self.own is self.sent:
            return self.links.mix(self.sent)
        return self.weighted(self.weights, self.self_weights)

    def weighted(self, weights: jax.Array, self_weights: jax.Array) -> Any:
        """sum_s weights[:, s] * value on slot s + self_weights * own; a zero weight silences NaN and Inf."""
        if self.rewrite is None:
            return self.links.weighted(self._spread, weights, self_weights, self.own)
        hostile = self._from_adversary()
        honest = self.links.weighted(self._spread, jnp.where(hostile, 0, weights), self_weights, self.own)
        share = jnp.where(hostile, weights, 0).sum(1)
        return tree.add(honest, tree.where(share != 0, tree.scale(share, self.rewrite), tree.zeros(self.rewrite)))

    def sq_distances(self) -> jax.Array:
        """[n, k]: squared distance of each received value to the own one; inf where nothing (or no number) arrived."""
        distance = self.links.sq_distances(self._spread, self.own)
        if self.rewrite is not None:
            to_rewrite = tree.sq_norm(tree.sub(self.rewrite, self.own)).astype(distance.dtype)
            distance = jnp.where(self._from_adversary(), to_rewrite[:, None], distance)
        return jnp.where(self.mask & jnp.isfinite(distance), distance, jnp.inf)

    def value(self, s: Any) -> Any:
        """The values received on slot s: row i from senders[i, s]."""
        value = self.links.take(self._spread, s)
        if self.rewrite is None:
            return value
        return tree.where(self._from_adversary()[:, s], self.rewrite, value)

    def fold(self, fn: Callable[..., Any], carry: Any) -> Any:
        """carry <- fn(carry, value, weight [n], mask [n], s) over slots."""
        weights, mask = self.weights, self.mask
        hostile = None if self.rewrite is None else self._from_adversary()

        def one(carry: Any, value: Any, s: Any) -> Any:
            if hostile is not None:
                value = tree.where(hostile[:, s], self.rewrite, value)
            return fn(carry, value, weights[:, s], mask[:, s], s)

        return self.links.fold(one, carry, self._spread)

    def each(self) -> tuple[Any, jax.Array]:
        """The stacked form [n, k, ...] and the mask [n, k]; for small trees only."""
        k = self.links.num_slots
        return tree.map(lambda *x: jnp.stack(x, 1), *[self.value(s) for s in range(k)]), self.mask

    def coordinates(
        self, fn: Callable[[list[jax.Array], list[jax.Array]], jax.Array], include_own: bool = True, fused: int = 0
    ) -> Any:
        """A coordinate-wise rule, leaf by leaf, in blocks of coordinates where it has more than `fused` values to combine.

        `fn(values, masks) -> [n, c]` of two lists, k(+1) values [n, c] and masks [n, 1] of which arrived, so that no [k, n, c] is
        formed where the rule needs none: up to `fused` values it is elementwise, one loop that keeps nothing. The own value comes
        first where it exists and is asked for.
        """
        own = include_own and self.own is not None
        n = self.mask.shape[0]
        masks = [jnp.ones((n, 1), bool)] * own + [self.mask[:, s, None] for s in range(self.links.num_slots)]
        k = len(masks)

        def leaf(sent: jax.Array, mine: Any, hostile: Any) -> jax.Array:
            width = sent[0].size
            most = width if k <= fused else BLOCK_BYTES // max(1, k * n * max(4, sent.dtype.itemsize))
            blocks = -(-width // max(1, min(width, most)))
            columns = -(-width // blocks)

            def flat(x: jax.Array) -> jax.Array:
                return jnp.pad(x.reshape(x.shape[0], -1), ((0, 0), (0, blocks * columns - width)))

            sent, mine, hostile = (
                flat(sent),
                None if mine is None else flat(mine),
                None if hostile is None else flat(hostile),
            )

            def block(b: jax.Array) -> jax.Array:
                cut = lambda x: jax.lax.dynamic_slice_in_dim(x, b * columns, columns, 1)
                part = cut(sent)
                values = [self.links.take(part, s) for s in range(self.links.num_slots)]
                if hostile is not None:
                    bad, rewritten = self._from_adversary(), cut(hostile)
                    values = [jnp.where(bad[:, s][:, None], rewritten, v) for s, v in enumerate(values)]
                return fn(([cut(mine)] if own else []) + values, masks)

            out = jax.lax.map(block, jnp.arange(blocks)) if blocks > 1 else block(jnp.int32(0))[None]
            return jnp.moveaxis(out, 0, 1).reshape(out.shape[1], -1)[:, :width]

        shapes = self.own if self.own is not None else self.sent
        outs = [
            leaf(sent, mine, hostile)
            for sent, mine, hostile in zip(
                tree.leaves(self._spread),
                tree.leaves(self.own) if own else [None] * len(tree.leaves(self.sent)),
                tree.leaves(self.rewrite) if self.rewrite is not None else [None] * len(tree.leaves(self.sent)),
                strict=True,
            )
        ]
        like = tree.leaves(shapes)
        outs = [o.reshape(o.shape[:1] + x.shape[1:]).astype(x.dtype) for o, x in zip(outs, like, strict=True)]
        return jax.tree.unflatten(jax.tree.structure(self.sent), outs)


__all__ = ["Received"]
