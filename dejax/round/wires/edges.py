"""Messages that differ from neighbor to neighbor: rows per directed edge of the base graph."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.random import fold_in
from ...core.types import Attack, Round, Tree, Values
from ...errors import RefusedError, bad
from .. import clocks
from ..context import Context
from ..message import Message
from ..received import Received, ReceivedRows
from .wire import Slot, Wire


class Edges(Wire):
    """Send each neighbor another value: rows [m, ...], one per directed edge of the base graph.

    A permutation delivers them.
    """

    only: Any = None  # bool [m], by the node that holds the row: it is sent; None: all are

    def __init__(self, round: Round, name: str, codec: Any):
        super().__init__(round, name, codec)
        self.edges, self.live = round.network.edges, round.links

    def send_only(self, rows: jax.Array) -> None:
        """Send only some of the rows, bool [m]."""
        if jnp.shape(rows) != (self.edges.m,) or rows.dtype != bool:
            way = f"give bool [{self.edges.m}], one for each directed edge in the order of round.edges"
            raise bad("to", rows, owner="round.ask", says=f"is {rows.dtype} of shape {jnp.shape(rows)}", instead=way)
        if self.codec.memory != "none":
            why = "whose memory would take rows for sent that are not, as the method asks some neighbors alone"
            raise bad(
                "network.codec",
                self.codec,
                says=f"is {type(self.codec).__name__}",
                why=why,
                instead="leave it out",
                error=RefusedError,
            )
        self.only = rows

    def message(self, value: Tree) -> Message:
        """Of rows [m, ...]."""
        m = self.edges.m
        wrong = [x.shape for x in tree.leaves(value) if x.ndim == 0 or x.shape[0] != m]
        if wrong:
            way = f"give one row per directed edge, [{m}, ...], in the order of round.edges (round.edges.of_nodes makes them from node values)"
            raise bad(
                "rows",
                owner="round.exchange",
                says=f"has a leaf of shape {wrong[0]}",
                why="beside per_edge=True",
                instead=way,
            )
        return Message(value)

    def context(self, purpose: str, **kw: Any) -> Context:
        """Ids are those of the nodes that hold the rows, keys those of the directed edges."""
        round, edges, key = self.round, self.edges, self.round.key(f"{self.name}.{purpose}")
        keys = fold_in(fold_in(key, edges.receiver), edges.sender)
        progress = None if round.horizon is None else round.index / round.horizon
        return Context(round.index, edges.receiver, key, keys, progress=progress, **kw)

    def memory(self, purpose: str, init: Callable[[int], Any], frozen: bool = True) -> Slot:
        """[m, ...]."""
        name = f"{self.name}.{purpose}"
        if frozen:
            return edge_slot(self.round, name, init)
        return self.round.slot(name, lambda n: init(self.edges.m), per_node=False)

    def deliver(self, rows: Tree) -> Any:
        """To the other end."""
        return self.edges.deliver(rows)

    def encode(self, m: Message) -> Message:
        """Copies per edge have two ends; other codecs one memory per edge."""
        if not self.codec.per_edge:
            return super().encode(m)
        held, _, size = self._two_copies(m.sent)
        return m._replace(sent=held, size=size)

    def _two_copies(self, rows: Tree) -> tuple[Any, Any, Any]:
        """Update the copies at both ends of every edge.

        Returns:
          (copies at the receivers, what the senders believe these to be, size).
        """
        codec, mask = self.codec, self.arrivals()
        zeros = lambda m: {end: codec.init(tree.zeros(rows)) for end in ("told", "held")}
        memory, write = self.memory("copies", zeros)
        change, size = codec.change(Edges.context(self, "codec"), memory["told"], rows)
        told = tree.add(memory["told"], change)
        held = tree.add(memory["held"], self.edges.deliver(change))
        held = held if mask is None else tree.where(mask, held, memory["held"])
        write({"told": told, "held": held})
        cast = lambda t: tree.map(lambda x, v: x.astype(v.dtype), t, rows)
        return cast(held), cast(told), size

    def arrivals(self) -> Any:
        """[m]."""
        return None if self.live.mask is None else self.edges.by_port(self.live.mask)

    def attack(self, m: Message, attack: Attack) -> Message:
        """Adversaries' rows, made of the honest ones that they held."""
        return m._replace(sent=self._forged(m, attack, self.edges.deliver(m.value)))

    def _forged(self, m: Message, attack: Any, honest: Any) -> Any:
        hostile = self.live.is_adversary[self.edges.sender]
        ctx = self.context("attack", is_adversary=hostile)
        return attack.server(ctx, tree.where(hostile, honest, m.sent), hostile)

    def lose(self, m: Message) -> Message:
        """[m]; W is not used."""
        mask = self.arrivals()
        if self.only is not None:
            sent = self.edges.deliver(self.only)
            mask = sent if mask is None else mask & sent
        return m._replace(mask=mask)

    def due(self) -> jax.Array:
        """[m]."""
        awake = self.round.awake
        due = jnp.ones((self.edges.m,), bool) if awake is None else awake[self.edges.sender]
        return due if self.only is None else due & self.edges.deliver(self.only)

    def ages(self, fault: Any) -> jax.Array:
        """[m]: of the directed edge, as on the other wires."""
        return fault.ages(self.round.run_key, self.edges.receiver, self.edges.sender, self.round.n_all)

    def meter(self, m: Message) -> None:
        """One message per row."""
        round, edges = self.round, self.edges
        units = self._units(m)
        count = edges.sum(units)
        if round.awake is not None:
            count = jnp.where(round.awake, count, 0)
        round.meter("wire/" + self.name, count, m.size.bits)
        round.store.node_sent("wire/" + self.name, count)

    def wait(self, m: Message) -> None:
        """A node's uplink carries the sum of its messages."""
        edges, mask = self.edges, self.live.mask
        degree = jnp.maximum(edges.sum(jnp.ones((edges.m,), jnp.int32)), 1)
        mean = edges.sum(self._units(m)).astype(float) / degree.astype(float)
        if self.only is not None:  # nobody waits for what is not sent
            there = edges.on_ports(edges.deliver(self.only), self.live.links.num_ports)
            mask = there if mask is None else mask & there
        clocks.messages(self.round, self.name, self.live.links, mask, mean * m.size.bits)

    def _units(self, m: Message) -> jax.Array:
        """int32 [m]: what is counted of each row."""
        units = jnp.ones((self.edges.m,), jnp.int32) if m.size.units is None else m.size.units
        return units if self.only is None else jnp.where(self.only, units, 0)

    def received(self, m: Message) -> Received:
        """Rows are different messages: no rule combines them."""
        raise TypeError("rows per edge have no rule; see rows_received")

    def rows_received(self, m: Message) -> ReceivedRows:
        """What arrived on each edge."""
        return ReceivedRows(self.round, self.name, m.sent, m.mask, m.ride)


def edge_slot(round: Round, name: str, init: Callable[[int], Any]) -> Slot:
    """Return memory [m, ...] under `name`, and a setter.

    Rows of a sleeping node (the receiver of the edge) stay as they are.
    """
    edges = round.network.edges
    old, store_put = round.slot(name, lambda n: init(edges.m), per_node=False)

    def write(new: Values) -> None:
        new = new if round.awake is None else tree.where(round.awake[edges.receiver], new, old)
        store_put(new)

    return old, write


__all__ = ["Edges", "edge_slot"]
