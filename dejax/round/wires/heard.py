"""Values of nodes to their neighbors, who keep what they heard last."""

from typing import Any

import jax.numpy as jnp

from ...core import tree
from ...core.random import draw_index, fold_in, uniform
from ...core.types import Codec, Round
from ...mixing import EdgeRows, Late
from .. import audit
from ..context import Context
from ..live import kind, under_way
from ..message import Message
from ..received import Received
from .edges import edge_slot
from .neighbors import Neighbors
from .wire import judges


class Heard(Neighbors):
    """Send values of nodes to their neighbors, who go on from the last that came on each edge.

    In a timetable a node publishes what it holds after each of its events, its version 0, 1, 2, ...,
    and reads versions of its neighbors in its own events. A version passes privacy, codec and
    adversaries by draws of its own number. Their memory stands still until the node acts again, so
    that a version is the same whenever it is read.
    """

    def __init__(self, round: Round, name: str, codec: Codec):
        super().__init__(round, name, codec)
        self.edges = round.network.edges
        self.version: Any = None  # int32 [n]: events that the node has behind it; None: synchronous rounds
        if round.plan is not None:
            self.version, write = round.slot(name + ".version", lambda n: jnp.zeros((n,), jnp.int32))
            write(self.version + 1)

    def context(self, purpose: str, **kw: Any) -> Context:
        """Draws are by the number of the version."""
        ctx = super().context(purpose, **kw)
        if self.version is None:
            return ctx
        return ctx._replace(node_keys=fold_in(fold_in(ctx.key, ctx.ids), self.version), ticks=self.version)

    def lose(self, m: Message) -> Message:
        """As all calls of the phase; what arrives is a version of the age that its event draws."""
        m = super().lose(m)
        if self.version is None or self.network.events.age == 0:
            return m
        depth = self.network.events.age + 1
        zeros = lambda rows: tree.map(lambda x: jnp.zeros((rows, depth, *x.shape[1:]), x.dtype), m.sent)
        held, write = self.memory("versions", zeros)
        rows = jnp.arange(self.round.n)
        held = tree.map(lambda h, x: h.at[rows, self.version % depth].set(x), held, m.sent)
        write(held)
        receivers, senders = self.live.links.ends()
        keys = self.round.node_keys(f"{self.name}.age")[receivers]
        ages = draw_index(uniform(fold_in(keys, senders)), jnp.int32(depth))
        there = self.version[senders]
        return self.pick(m, (held, None), (there - jnp.minimum(ages, there)) % depth)

    def received(self, m: Message) -> Received:
        """One receiver per node; memory is kept where something may be lost."""
        if m.mask is None:
            return super().received(m)
        edges, came = self.edges, self.edges.by_port(m.mask)
        at = edges.sender
        if isinstance(m.links, Late):
            at = at * m.links.depth + edges.by_port(m.links.which)
        rows = tree.map(lambda x: x[at], m.sent)
        hostile = self.live.is_adversary
        if m.rewrite is not None:
            rows = tree.where(hostile[edges.sender], edges.of_nodes(m.rewrite), rows)
        before = lambda count: (
            tree.map(lambda x: jnp.zeros((count, *x.shape[1:]), x.dtype), rows),
            jnp.zeros((count,), bool),
        )
        (last, ever), write = edge_slot(self.round, self.name + ".heard", before)
        rows, ever = tree.where(came, rows, last), ever | came
        write((rows, ever))
        links = EdgeRows(self.live.links, edges)
        mask = edges.on_ports(ever, links.num_ports)
        weights, self_weights = under_way(links, mask, kind(self.round))
        return Received(
            self._rule_context(links, mask), self.network.rule, m.own, rows, base=m.base, adversary=hostile,
            weights=weights, self_weights=self_weights, mask=mask,
            audit=audit.of_rule(self, judges(self.round, hostile)), forward=self._forward,
        )  # fmt: skip


__all__ = ["Heard"]
