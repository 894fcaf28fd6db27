"""Uploads to a server, and its answers."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.types import Codec, Round, Tree
from ...mixing import Star
from ...xla.materialize import materialize
from .. import audit, clocks
from ..message import Message
from ..received import Received
from .wire import Slot, Wire, claimed


class Server(Wire):
    """Upload values of nodes to a server, which returns one mean, or one per group.

    The nodes are all nodes, or a cohort. Where the nodes themselves hold the server (shards,
    all_reduce) each keeps its own n-th part of every model.
    """

    def __init__(self, round: Round, name: str, codec: Codec, num_groups: int | None, downloads: int):
        super().__init__(round, name, codec)
        self.kind = self.network.server or "star"
        self.num_groups, self.downloads = num_groups, downloads
        self.weighted = False  # whether the method weighs uploads

    def message(self, value: Tree, weights: Any, groups: Tree) -> Message:
        """Of a value [n, ...], with weights [n] or None and groups [n] or None."""
        self.weighted = weights is not None
        value = materialize(value)  # else XLA on CPUs computes it anew within the product of the mean
        return Message(value, along={"share": weights, "group": groups, "hostile": None})

    def memory(self, purpose: str, init: Callable[[int], Any], frozen: bool = True) -> Slot:
        """Of nodes; what is late is the upload of a cohort's place, whoever holds it."""
        if self.round._ids is None or not purpose.startswith("late"):
            return super().memory(purpose, init, frozen)
        return self.round.slot(f"{self.name}.{purpose}", lambda n: init(self.round.n), per_node=False)

    def attack(self, m: Message, attack: Any) -> Message:
        """Per sender, knowing all who are awake."""
        round = self.round
        hostile = jnp.asarray(attack.is_adversary(round.n_all))[round.ids]
        ctx = self.context("attack", mask=round.awake, is_adversary=hostile)
        sent, along = attack.server(ctx, m.sent, hostile), {**m.along, "hostile": hostile}
        return m._replace(sent=sent, held=claimed(m, hostile), along=along)

    @property
    def bounded(self) -> bool:
        """Whether privacy acts on uploads, so that what their sum is divided by is fixed."""
        return self.network.privacy is not None and self.network.privacy.hook == "upload"

    @property
    def total(self) -> jax.Array | float:
        """q W: the weight that uploads are expected to have, which does not tell who was drawn."""
        expected, count = self.round.expected, self.round.problem.data.count
        if not self.weighted:
            return float(expected)
        return self.network.privacy.weights(count, count).sum() * (expected / self.round.n_all)

    def bound(self, m: Message) -> Message:
        """Let privacy clip and weigh uploads."""
        privacy, round = self.network.privacy, self.round
        weights = privacy.weights(round.counts, round.problem.data.count) if self.weighted else None
        sent = privacy.clipped(self.value_context("privacy"), m.sent, weights, float(round.expected))
        return m._replace(sent=sent, along=m.along | {"share": None})

    def lose(self, m: Message) -> Message:
        """[n]: lost uploads have no share."""
        share = m.along["share"]
        dtype = functools.reduce(jnp.promote_types, (x.dtype for x in tree.leaves(m.sent)), jnp.float32)
        share = jnp.ones((self.round.n,), dtype) if share is None else share
        return m._replace(mask=self.arrivals(), along={**m.along, "share": share.astype(dtype)})

    def arrivals(self) -> Any:
        """[n]."""
        return self.round.uploads

    def due(self) -> jax.Array:
        """[n]."""
        return jnp.ones((self.round.n,), bool) if self.round.awake is None else self.round.awake

    def ages(self, fault: Any) -> jax.Array:
        """[n]: of the node's uplink; in a cohort of its place, as every round has other nodes."""
        at = self.round.ids if self.round._ids is None else jnp.arange(self.round.n, dtype=jnp.int32)
        return fault.ages(self.round.run_key, jnp.full_like(at, self.round.n_all), at, self.round.n_all + 1)

    def meter(self, m: Message) -> None:
        """One upload, and `downloads` answers."""
        awake, size = self.round.awake, m.size
        one = jnp.ones((self.round.n,), jnp.int32) if awake is None else awake.astype(jnp.int32)
        up, down, parts = self._bits(m)
        self.round.meter("up/" + self.name, one if size.units is None else one * size.units, up)
        if self.downloads:
            self.round.meter("down/" + self.name, one if parts is None else one * parts, down)

    def _bits(self, m: Message) -> tuple[int, int, Any]:
        """Bits up and down, in units of the message and of [n]; None: one each."""
        up, down, n = m.size.bits, tree.dense_bits(m.sent), self.round.n
        if m.owned is not None:  # answers hold what the node does
            each = tree.map(lambda x, o: o.sum(range(1, o.ndim), dtype=jnp.int32) * x.dtype.itemsize, m.value, m.owned)
            return up, 8 * self.downloads, tree.add(*tree.leaves(each)) + self.mask_bytes
        if self.kind != "star":
            up, down = up - up // n, down - down // n
        return up, down * self.downloads, None

    def wait(self, m: Message) -> None:
        """The server for the slowest upload that has weight, the nodes for the server."""
        units, weight, heard = m.size.units, m.along["share"], m.mask
        if self.weighted:
            heard = weight > 0 if heard is None else heard & (weight > 0)
        units = jnp.ones((self.round.n,), float) if units is None else units.astype(float)
        up, down, parts = self._bits(m)
        down = down if parts is None else down * parts.astype(float)
        clocks.server(self.round, self.name, units * up, down, heard, self.kind)

    def received(self, m: Message) -> Received:
        """One receiver per mean; shares are of what arrives, and sum to one."""
        share, group, hostile = m.along["share"], m.along["group"], m.along["hostile"]
        if m.mask is not None:
            share = jnp.where(m.mask, share, 0)
        mask = None if m.mask is None else (m.mask & (share != 0) if self.weighted else m.mask)[None]
        share = share[None]
        if group is not None:
            member = group[None] == jnp.arange(self.num_groups, dtype=group.dtype)[:, None]
            mask = member if mask is None else member & mask
            share = jnp.where(member, share, 0)
        total = self.total if self.bounded else jnp.maximum(share.sum(1, keepdims=True), jnp.finfo(share.dtype).tiny)
        share = share / jnp.asarray(total, share.dtype)
        ctx = self.context("rule", links=Star(share), is_adversary=hostile)
        return Received(
            ctx, self.network.rule, None, m.sent, base=None, held=m.held, mask=mask, adversary=hostile,
            audit=audit.of_rule(self),
        )  # fmt: skip


__all__ = ["Server"]
