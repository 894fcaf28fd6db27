"""Averages through a server: the pipeline of a message with one receiver, or one for each group."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..mixing import Links
from ..problem.roles import average_statistics
from . import clocks
from .pipeline import encode
from .received import Received


def average(
    round: Any, name: str, value: Any, weights: Any, codec: Any,
    groups: Any = None, num_groups: int | None = None, downloads: int = 1,
) -> Any:  # fmt: skip
    """See `Round.average`: sender's side as in gossip, then one receiver per group whose slots are the n senders."""
    network = round.network
    codec = network.codec if codec is None else codec
    kind = network.server or "star"
    if groups is not None and (not isinstance(num_groups, int) or num_groups < 1):
        raise ValueError(
            f"round.average got groups and num_groups = {num_groups!r}; give their number, a whole number >= 1"
        )
    if groups is not None and kind != "star":
        raise ValueError(
            f"network.server is {kind!r}, which forms one sum, but round.average got groups; leave server out"
        )
    _, _, sent, size = encode(round, name, value, codec)
    n, awake = round.n, round.awake
    hostile = None
    attack = network.attack
    if attack is not None and attack.hook == "message":
        hostile = jnp.asarray(attack.is_adversary(round.n_all))[round.ids]
        ctx = round._context(round.key(name + ".attack"), mask=awake, is_adversary=hostile)
        sent = attack.server(ctx, sent, hostile)
    arrived = round.uploads
    leaf = tree.leaves(sent)[0]
    share = jnp.ones((n,), jnp.promote_types(leaf.dtype, jnp.float32)) if weights is None else weights
    share = share.astype(jnp.promote_types(leaf.dtype, jnp.float32))
    if arrived is not None:
        share = jnp.where(arrived, share, 0)
    mask = None if arrived is None else arrived[None]
    share = share[None]
    if groups is not None:
        member = groups[None] == jnp.arange(num_groups, dtype=groups.dtype)[:, None]
        mask = member if mask is None else member & mask
        share = jnp.where(member, share, 0)
    share = share / jnp.maximum(share.sum(1, keepdims=True), jnp.finfo(share.dtype).tiny)
    _meter(round, name, kind, size, tree.dense_bits(sent), downloads, arrived)
    if groups is None:
        average_statistics(round, name, average, weights, codec)
    ctx = round._context(round.key(name + ".rule"), links=_Star(share), is_adversary=hostile)
    out = Received(ctx, network.rule, None, sent, base=None, mask=mask).combine()
    if mask is not None:  # where nothing arrived there is nothing to combine
        out = tree.where(mask.any(1), out, tree.zeros(out))
    return out if groups is not None else tree.map(lambda x: x[0], out)


def _meter(round: Any, name: str, kind: str, size: Any, down: int, downloads: int, arrived: Any) -> None:
    """Count up- and downloads of nodes that are awake, and move the clocks.

    Where the nodes themselves hold the server (shards, all_reduce) each keeps its own n-th part of every model.
    """
    n, awake = round.n, round.awake
    one = jnp.ones((n,), jnp.int32) if awake is None else awake.astype(jnp.int32)
    up = size.bits
    if kind != "star":
        up, down = up - up // n, down - down // n
    down = down * downloads
    round.store.meter("up/" + name, one if size.units is None else one * size.units, up)
    round.store.meter("down/" + name, one, down)
    if round.network.clock is not None:
        units = jnp.ones((n,), jnp.float32) if size.units is None else size.units.astype(jnp.float32)
        clocks.server(round, name, units * up, down, arrived, kind)


class _Star(Links):
    """Links of a server: receivers [g], whose slots are the n senders; W [g, n] holds their shares."""

    def __init__(self, share: jax.Array):
        self.share = share

    @property
    def n(self) -> int:
        return self.share.shape[0]

    @property
    def num_slots(self) -> int:
        return self.share.shape[1]

    def senders(self) -> jax.Array:
        return jnp.broadcast_to(jnp.arange(self.num_slots, dtype=jnp.int32), self.share.shape)

    def weights(self) -> jax.Array:
        return self.share

    def self_weights(self) -> jax.Array:
        return jnp.zeros((self.n,), self.share.dtype)

    def take(self, value: Any, s: Any) -> Any:
        return tree.map(lambda x: jnp.broadcast_to(x[s], (self.n, *x.shape[1:])), value)

    def mix(self, value: Any) -> Any:
        return self.weighted(value, self.weights(), None)

    def weighted(self, value: Any, weights: jax.Array, self_weights: Any, own: Any = None) -> Any:
        del self_weights, own
        heard = (weights != 0).any(0)

        def leaf(x: jax.Array) -> jax.Array:
            wide = jnp.promote_types(x.dtype, jnp.float32)
            x_ = jnp.where(tree.over(heard, x), x, 0).astype(wide)
            return jnp.tensordot(weights.astype(wide), x_, 1, precision="highest").astype(x.dtype)

        return tree.map(leaf, value)

    def fold(self, fn: Any, carry: Any, value: Any) -> Any:
        for s in range(self.num_slots):
            carry = fn(carry, self.take(value, s), s)
        return carry


__all__ = ["average"]
