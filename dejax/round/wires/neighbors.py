"""Values of nodes to their neighbors, over the mixing kernel."""

from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.types import Codec, Links, Round, Tree, Values
from ...mixing import Late
from ...xla.materialize import materialize
from .. import audit, clocks, forward
from ..context import Context
from ..live import kind, under_way
from ..message import Message
from ..received import Received
from .wire import Wire, claimed, judges, own_rows


class Neighbors(Wire):
    """Send values of nodes to their neighbors: rows are nodes.

    The kernel takes to each receiver the rows of its senders.
    """

    def __init__(self, round: Round, name: str, codec: Codec):
        super().__init__(round, name, codec)
        self.live = round.links

    def message(self, value: Tree) -> Message:
        """Of a value [n, ...]."""
        return Message(materialize(value))  # several receivers read it

    def _rule_context(self, links: Links, mask: Values) -> Context:
        return self.context("attack", links=links, mask=mask, is_adversary=self.live.is_adversary)

    def attack(self, m: Message, attack: Any) -> Message:
        """Per sender, or per receiver; an adversary's own row is neither noised nor compressed."""
        ctx = self._rule_context(self.live.links, self.live.mask)
        sent, rewrite = attack.message(ctx, m.own, m.sent)
        held = claimed(m, ctx.is_adversary)
        return own_rows(m, ctx.is_adversary)._replace(sent=sent, held=held, rewrite=rewrite)

    def lose(self, m: Message) -> Message:
        """As all calls of the phase."""
        links, weights, self_weights, mask, _ = self.live
        return m._replace(links=links, weights=weights, self_weights=self_weights, mask=mask)

    def arrivals(self) -> Any:
        """[n, k]."""
        return self.live.mask

    def due(self) -> jax.Array:
        """[n, k]."""
        links, awake = self.live.links, self.round.awake
        real = links.weights() != 0
        return real if awake is None else real & awake[links.senders()]

    def ages(self, fault: Any) -> jax.Array:
        """[n, k]: of the directed edge."""
        return fault.ages(self.round.run_key, *self.live.links.ends(), self.round.n_all)

    def pick(self, m: Message, last: tuple[Tree, Tree], which: jax.Array) -> Message:
        """All places, and links that know which of them is read on each port."""
        depth = tree.leaves(last)[0].shape[1]
        sent, held = tree.map(lambda x: x.reshape(-1, *x.shape[2:]), last)
        return m._replace(sent=sent, held=held, links=Late(m.links, which, depth))

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """The weights of what is there."""
        mask = mask & (m.links.weights() != 0)
        weights, self_weights = under_way(m.links, mask, kind(self.round))
        return m._replace(mask=mask, weights=weights, self_weights=self_weights)

    def meter(self, m: Message) -> None:
        """One message per neighbor; a plan counts the pairs that meet."""
        round, links = self.round, self.live.links
        if round.plan is not None:
            messages = (links.weights() != 0).sum(1, dtype=jnp.int32)
        elif self.network.messages is not None and round._pulled is None:
            table = self.network.messages
            messages = table[round.phase % table.shape[0]]
        else:
            real = (links.weights() != 0).astype(jnp.int32)
            messages = jnp.zeros((round.n_all,), jnp.int32).at[links.senders()].add(real)
        if round.awake is not None:
            messages = jnp.where(round.awake, messages, 0)
        count = messages if m.size.units is None else messages * m.size.units
        round.meter("wire/" + self.name, count, m.size.bits)
        round.store.node_sent("wire/" + self.name, count)

    def wait(self, m: Message) -> None:
        """For all that arrive."""
        units = jnp.ones((self.round.n,), float) if m.size.units is None else m.size.units.astype(float)
        clocks.messages(self.round, self.name, self.live.links, self.live.mask, units * m.size.bits)

    def received(self, m: Message) -> Received:
        """One receiver per node."""
        hostile = self.live.is_adversary
        return Received(
            self._rule_context(m.links, m.mask), self.network.rule, m.own, m.sent, base=m.base, rewrite=m.rewrite,
            owned=m.owned, held=m.held, adversary=hostile, weights=m.weights, self_weights=m.self_weights, mask=m.mask,
            audit=audit.of_rule(self, judges(self.round, hostile)), forward=self._forward,
        )  # fmt: skip

    def _forward(self, got: Received, fn: Any, own: tuple[Any, ...], batch: Tree, name: str | None) -> Any:
        name = f"{self.name}.forward" if name is None else name
        full = self.round._name("forward", name, batch=forward.private(batch))
        return forward.of_neighbors(self.round, full, got, fn, own, batch)


__all__ = ["Neighbors"]
