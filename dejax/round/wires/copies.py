"""Values of nodes to neighbors, as changes of copies at both ends of every directed edge."""

from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.types import Codec, Round, Tree
from ...mixing import EdgeRows
from .. import audit
from ..context import Context
from ..live import under_way
from ..message import Message
from ..received import Received
from .edges import Edges
from .wire import Wire, judges, own_rows


class CopiesPerEdge(Edges):
    """Gossip of node values with one copy per directed edge at each of its ends.

    After a lost message the two copies differ for good. The own value is the mean, under the
    weights of the row, of the copies that the node believes its neighbors to hold; gossip then
    moves by gamma sum_j W_ij (copy of j at i - copy of i meant for j).
    """

    def __init__(self, round: Round, name: str, codec: Codec):
        super().__init__(round, name, codec)
        self.links = EdgeRows(self.live.links, self.edges)

    def message(self, value: Tree) -> Message:
        """Of a value [n, ...]."""
        return Message(value)

    def value_context(self, purpose: str) -> Context:
        """Of nodes."""
        return Wire.context(self, purpose)

    def _rule_context(self, mask: Tree = None) -> Context:
        return Wire.context(self, "attack", links=self.links, mask=mask, is_adversary=self.live.is_adversary)

    def encode(self, m: Message) -> Message:
        """Each node's value to the copies at the far ends of its edges."""
        held, told, size = self._two_copies(self.edges.of_nodes(m.sent))
        links, value = self.links, m.value
        alone = links.self_weights() == 1  # no neighbor holds a copy of it
        share = 1 / jnp.where(alone, 1, 1 - links.self_weights())
        zeros = jnp.zeros_like(links.self_weights())
        own = tree.scale(share, links.weighted(told, links.weights(), zeros, tree.zeros(value)))
        return m._replace(own=tree.where(alone, value, own), sent=held, size=size)

    def attack(self, m: Message, attack: Any) -> Message:
        """Per edge, or per receiver."""
        if attack.needs_spread:
            sent, rewrite = attack.message(self._rule_context(), m.own, m.sent)
            m = m._replace(sent=sent, rewrite=rewrite)
        else:
            m = m._replace(sent=self._forged(m, attack, tree.map(lambda x: x[self.edges.sender], m.value)))
        return own_rows(m, self.live.is_adversary)

    def lose(self, m: Message) -> Message:
        """What is lost the codec knows: the copies are there all the same."""
        return m._replace(links=self.links)

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """The weights of what is there."""
        ports = self.edges.on_ports(mask, self.links.num_ports)
        weights, self_weights = under_way(self.links, ports, self.network.kind)
        return m._replace(mask=ports, weights=weights, self_weights=self_weights)

    def received(self, m: Message) -> Received:
        """One receiver per node."""
        hostile = self.live.is_adversary
        return Received(
            self._rule_context(m.mask), self.network.rule, m.own, m.sent, base=m.base, rewrite=m.rewrite,
            adversary=hostile, weights=m.weights, self_weights=m.self_weights, mask=m.mask,
            audit=audit.of_rule(self, judges(self.round, hostile)),
        )  # fmt: skip


__all__ = ["CopiesPerEdge"]
