"""The wires of the pipeline: neighbors, edges, server. Each says who sends to whom, what the rows are and who remembers.

| wire | rows | memory | what arrives, `mask` | a value becomes |
|---|---|---|---|---|
| Neighbors | nodes [n, ...] | per node | [n, k], by the kernel's slots | one message per neighbor, all alike |
| Edges | directed edges [m, ...] | per edge | [m] | one message |
| CopiesPerEdge | nodes, then edges | per edge | [m] for the codec | one message per neighbor, each another |
| Server | nodes, or a cohort | per node | [n] | one upload, and downloads |
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_in
from ..mixing import EdgeRows, Late, Star
from ..xla.materialize import materialize
from . import audit, clocks
from .context import Context
from .live import repaired
from .message import Message
from .received import Received, ReceivedRows

Slot = tuple[Any, Callable[[Any], None]]


class Wire(ABC):
    """What the stages ask of a wire; rows are nodes unless it says otherwise."""

    def __init__(self, round: Any, name: str, codec: Any):
        self.round, self.name, self.codec, self.network = round, name, codec, round.network

    # ---- rows and their memory
    def context(self, purpose: str, **kw: Any) -> Context:
        """What options may know of the rows on the wire."""
        return self.round._context(self.round.key(f"{self.name}.{purpose}"), **kw)

    def value_context(self, purpose: str) -> Context:
        """What options may know of the rows that the method handed over."""
        return self.context(purpose)

    def memory(self, purpose: str, init: Callable[[int], Any], frozen: bool = True) -> Slot:
        """Memory of the rows on the wire, made by `init(rows)`; that of sleepers stays as it is if `frozen`."""
        return self.round.slot(f"{self.name}.{purpose}", init, frozen=frozen)

    def receiver_memory(self, purpose: str, init: Callable[[int], Any]) -> Slot:
        """Memory of the receivers, made by `init(n)`."""
        return self.round.slot(f"{self.name}.{purpose}", init)

    def deliver(self, rows: Any) -> Any:
        """Rows where their receivers find them."""
        return rows

    # ---- stages
    def encode(self, m: Message) -> Message:
        """Through the codec, with one memory per row."""
        codec, sent = self.codec, m.sent
        # `init` may check the value and refuse it, so it is called even where there is no memory
        memory, put = codec.init(sent), None
        if tree.leaves(memory):
            memory, put = self.memory("codec", lambda rows: codec.init(_zeros(sent, rows)))
        decoded, memory, size = codec.encode(self.context("codec"), memory, sent)
        if put is not None:
            put(memory)
        if codec.lossless:
            return m._replace(sent=self.deliver(sent), size=size)
        return m._replace(own=decoded, sent=self.deliver(decoded), size=size)

    @abstractmethod
    def attack(self, m: Message, attack: Any) -> Message:
        """With the messages of adversaries rewritten."""

    @abstractmethod
    def lose(self, m: Message) -> Message:
        """With the mask of what arrives in this phase."""

    @abstractmethod
    def arrivals(self) -> Any:
        """Bool, as `mask`: the messages that links do not lose in this phase; None: all."""

    @abstractmethod
    def due(self) -> jax.Array:
        """Bool, as `mask`: the messages that awake nodes send in this phase."""

    @abstractmethod
    def ages(self, fault: Any) -> jax.Array:
        """int32, as `mask`: by how many phases each message is late, where that is drawn."""

    def pick(self, m: Message, held: Any, which: jax.Array) -> Message:
        """With the rows at place `which` of the last few, `held` [rows, depth, ...]."""
        return m._replace(sent=tree.map(lambda x: x[jnp.arange(x.shape[0]), which], held))

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """With another mask of what arrives: messages that are not there yet are not lost."""
        return m._replace(mask=mask)

    @abstractmethod
    def meter(self, m: Message) -> None:
        """Count messages."""

    @abstractmethod
    def wait(self, m: Message) -> None:
        """Move clocks."""

    @abstractmethod
    def received(self, m: Message) -> Received:
        """What the rule sees."""


class Neighbors(Wire):
    """Values of nodes to their neighbors: rows are nodes, and the kernel takes each receiver the rows of its senders."""

    def __init__(self, round: Any, name: str, codec: Any):
        super().__init__(round, name, codec)
        self.live = round.links

    def message(self, value: Any) -> Message:
        """Of a value [n, ...]."""
        return Message(materialize(value))  # several receivers read it

    def _rule_context(self, links: Any, mask: Any) -> Context:
        return self.context("attack", links=links, mask=mask, is_adversary=self.live.is_adversary)

    def attack(self, m: Message, attack: Any) -> Message:
        """Per sender, or per receiver; an adversary's own row is neither noised nor compressed."""
        ctx = self._rule_context(self.live.links, self.live.mask)
        sent, rewrite = attack.message(ctx, m.own, m.sent)
        return _own_rows(m, ctx.is_adversary)._replace(sent=sent, rewrite=rewrite)

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

    def pick(self, m: Message, held: Any, which: jax.Array) -> Message:
        """All places, and links that know which of them is read on each slot."""
        depth = tree.leaves(held)[0].shape[1]
        flat = tree.map(lambda x: x.reshape(-1, *x.shape[2:]), held)
        return m._replace(sent=flat, links=Late(m.links, which, depth))

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """Rows of W keep their sums; where its columns sum to one a message under way has its weight with it."""
        mask = mask & (m.links.weights() != 0)
        weights, self_weights = repaired(m.links, mask, self.network.kind)
        if self.network.kind == "column":
            self_weights = m.links.self_weights()
        return m._replace(mask=mask, weights=weights, self_weights=self_weights)

    def meter(self, m: Message) -> None:
        """One message per neighbor; a plan counts the pairs that meet."""
        round, links = self.round, self.live.links
        if round.plan is not None:
            messages = (links.weights() != 0).sum(1, dtype=jnp.int32)
        elif self.network.messages is not None:
            table = self.network.messages
            messages = table[round.phase % table.shape[0]]
        else:
            real = (links.weights() != 0).astype(jnp.int32)
            messages = jnp.zeros((round.n_all,), jnp.int32).at[links.senders()].add(real)
        if round.awake is not None:
            messages = jnp.where(round.awake, messages, 0)
        count = messages if m.size.units is None else messages * m.size.units
        round.store.meter("wire/" + self.name, count, m.size.bits)
        round.store.node_sent("wire/" + self.name, count)

    def wait(self, m: Message) -> None:
        """For all that arrive."""
        units = jnp.ones((self.round.n,), jnp.float32) if m.size.units is None else m.size.units.astype(jnp.float32)
        clocks.messages(self.round, self.name, self.live.links, self.live.mask, units * m.size.bits)

    def received(self, m: Message) -> Received:
        """One receiver per node."""
        hostile = self.live.is_adversary
        return Received(
            self._rule_context(m.links, m.mask), self.network.rule, m.own, m.sent, base=m.base, rewrite=m.rewrite,
            adversary=hostile, weights=m.weights, self_weights=m.self_weights, mask=m.mask,
            audit=audit.of_rule(self, judges(self.round, hostile)),
        )  # fmt: skip


class Edges(Wire):
    """Another value for every neighbor: rows [m, ...], one per directed edge of the base graph, which a permutation delivers."""

    def __init__(self, round: Any, name: str, codec: Any):
        super().__init__(round, name, codec)
        self.edges, self.live = round.edges, round.links

    def message(self, value: Any) -> Message:
        """Of rows [m, ...]."""
        m = self.edges.m
        bad = [x.shape for x in tree.leaves(value) if x.ndim == 0 or x.shape[0] != m]
        if bad:
            raise ValueError(
                f"a leaf given to exchange(per_edge=True) has shape {bad[0]}; give one row per directed edge, [{m}, ...], in the order "
                "of round.edges (round.edges.of_nodes makes them from node values)"
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

    def deliver(self, rows: Any) -> Any:
        """To the other end."""
        return self.edges.deliver(rows)

    def encode(self, m: Message) -> Message:
        """Copies per edge have two ends; other codecs one memory per edge."""
        if not getattr(self.codec, "per_edge", False):
            return super().encode(m)
        held, _, size = self._two_copies(m.sent)
        return m._replace(sent=held, size=size)

    def _two_copies(self, rows: Any) -> tuple[Any, Any, Any]:
        """Copies at both ends of every edge: (what lies at its receiver, what the sender believes to lie there, size)."""
        codec, mask = self.codec, self.arrivals()
        zeros = lambda m: {end: codec.init(tree.zeros(rows)) for end in ("told", "held")}
        memory, put = self.memory("copies", zeros)
        change, size = codec.change(Edges.context(self, "codec"), memory["told"], rows)
        told = tree.add(memory["told"], change)
        held = tree.add(memory["held"], self.edges.deliver(change))
        held = held if mask is None else tree.where(mask, held, memory["held"])
        put({"told": told, "held": held})
        cast = lambda t: tree.map(lambda x, v: x.astype(v.dtype), t, rows)
        return cast(held), cast(told), size

    def arrivals(self) -> Any:
        """[m]."""
        return None if self.live.mask is None else self.edges.by_slot(self.live.mask)

    def attack(self, m: Message, attack: Any) -> Message:
        """Adversaries' rows, made of the honest ones that they held."""
        return m._replace(sent=self._forged(m, attack, self.edges.deliver(m.value)))

    def _forged(self, m: Message, attack: Any, honest: Any) -> Any:
        hostile = self.live.is_adversary[self.edges.sender]
        ctx = self.context("attack", is_adversary=hostile)
        return attack.server(ctx, tree.where(hostile, honest, m.sent), hostile)

    def lose(self, m: Message) -> Message:
        """[m]; W is not used."""
        return m._replace(mask=self.arrivals())

    def due(self) -> jax.Array:
        """[m]."""
        awake = self.round.awake
        return jnp.ones((self.edges.m,), bool) if awake is None else awake[self.edges.sender]

    def ages(self, fault: Any) -> jax.Array:
        """[m]: of the directed edge, as on the other wires."""
        return fault.ages(self.round.run_key, self.edges.receiver, self.edges.sender, self.round.n_all)

    def meter(self, m: Message) -> None:
        """One message per row."""
        round, edges = self.round, self.edges
        units = jnp.ones((edges.m,), jnp.int32) if m.size.units is None else m.size.units
        count = edges.count(units)
        if round.awake is not None:
            count = jnp.where(round.awake, count, 0)
        round.store.meter("wire/" + self.name, count, m.size.bits)
        round.store.node_sent("wire/" + self.name, count)

    def wait(self, m: Message) -> None:
        """A node's uplink carries the sum of its messages."""
        edges = self.edges
        units = jnp.ones((edges.m,), jnp.int32) if m.size.units is None else m.size.units
        degree = jnp.maximum(edges.count(jnp.ones((edges.m,), jnp.int32)), 1)
        mean = edges.count(units).astype(jnp.float32) / degree.astype(jnp.float32)
        clocks.messages(self.round, self.name, self.live.links, self.live.mask, mean * m.size.bits)

    def received(self, m: Message) -> Received:
        """Rows are different messages: no rule combines them."""
        raise TypeError("rows per edge have no rule; see rows_received")

    def rows_received(self, m: Message) -> ReceivedRows:
        """What arrived on each edge."""
        return ReceivedRows(self.round, self.name, m.sent, m.mask, m.ride)


class CopiesPerEdge(Edges):
    """Gossip of node values with one copy per directed edge and end: lost messages part the two for good.

    The own value is the mean, under the weights of the row, of the copies that the node believes its neighbors to hold;
    gossip then moves by gamma sum_j W_ij (copy of j at i - copy of i meant for j).
    """

    def __init__(self, round: Any, name: str, codec: Any):
        super().__init__(round, name, codec)
        self.links = EdgeRows(self.live.links, self.edges)

    def message(self, value: Any) -> Message:
        """Of a value [n, ...]."""
        return Message(value)

    def value_context(self, purpose: str) -> Context:
        """Of nodes."""
        return Wire.context(self, purpose)

    def _rule_context(self, mask: Any = None) -> Context:
        return Wire.context(self, "attack", links=self.links, mask=mask, is_adversary=self.live.is_adversary)

    def encode(self, m: Message) -> Message:
        """Each node's value to the copies at the far ends of its edges."""
        held, told, size = self._two_copies(self.edges.of_nodes(m.sent))
        links, value = self.links, m.value
        alone = links.self_weights() == 1  # no neighbor holds a copy of it
        share = 1 / jnp.where(alone, 1, 1 - links.self_weights())
        zeros = jnp.zeros((self.round.n,), jnp.float32)
        own = tree.scale(share, links.weighted(told, links.weights(), zeros, tree.zeros(value)))
        return m._replace(own=tree.where(alone, value, own), sent=held, size=size)

    def attack(self, m: Message, attack: Any) -> Message:
        """Per edge, or per receiver."""
        if getattr(attack, "needs_spread", False):
            sent, rewrite = attack.message(self._rule_context(), m.own, m.sent)
            m = m._replace(sent=sent, rewrite=rewrite)
        else:
            m = m._replace(sent=self._forged(m, attack, tree.map(lambda x: x[self.edges.sender], m.value)))
        return _own_rows(m, self.live.is_adversary)

    def lose(self, m: Message) -> Message:
        """What is lost the codec knows: the copies are there all the same."""
        return m._replace(links=self.links)

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """As between neighbors: rows of W keep their sums."""
        edges = self.edges
        slots = jnp.zeros((self.round.n, self.links.num_slots), bool).at[edges.receiver, edges.slot].set(mask)
        weights, self_weights = repaired(self.links, slots, self.network.kind)
        return m._replace(mask=slots, weights=weights, self_weights=self_weights)

    def received(self, m: Message) -> Received:
        """One receiver per node."""
        hostile = self.live.is_adversary
        return Received(
            self._rule_context(m.mask), self.network.rule, m.own, m.sent, base=m.base, rewrite=m.rewrite,
            adversary=hostile, weights=m.weights, self_weights=m.self_weights, mask=m.mask,
            audit=audit.of_rule(self, judges(self.round, hostile)),
        )  # fmt: skip


class Server(Wire):
    """Uploads of all nodes, or of a cohort, to a server that forms one mean, or one per group, and answers all of them.

    Where the nodes themselves hold the server (shards, all_reduce) each keeps its own n-th part of every model.
    """

    def __init__(self, round: Any, name: str, codec: Any, num_groups: int | None, downloads: int):
        super().__init__(round, name, codec)
        self.kind = self.network.server or "star"
        self.num_groups, self.downloads = num_groups, downloads

    def message(self, value: Any, weights: Any, groups: Any) -> Message:
        """Of a value [n, ...], with weights [n] or None and groups [n] or None."""
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
        return m._replace(sent=attack.server(ctx, m.sent, hostile), along={**m.along, "hostile": hostile})

    def lose(self, m: Message) -> Message:
        """[n]: lost uploads have no share."""
        share = m.along["share"]
        dtype = jnp.promote_types(tree.leaves(m.sent)[0].dtype, jnp.float32)
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
        up, down = self._bits(m)
        self.round.store.meter("up/" + self.name, one if size.units is None else one * size.units, up)
        self.round.store.meter("down/" + self.name, one, down)

    def _bits(self, m: Message) -> tuple[int, int]:
        up, down, n = m.size.bits, tree.dense_bits(m.sent), self.round.n
        if self.kind != "star":
            up, down = up - up // n, down - down // n
        return up, down * self.downloads

    def wait(self, m: Message) -> None:
        """The server for the slowest upload, the nodes for the server."""
        units = m.size.units
        units = jnp.ones((self.round.n,), jnp.float32) if units is None else units.astype(jnp.float32)
        up, down = self._bits(m)
        clocks.server(self.round, self.name, units * up, down, m.mask, self.kind)

    def received(self, m: Message) -> Received:
        """One receiver per mean; shares are of what arrives, and sum to one."""
        share, group, hostile = m.along["share"], m.along["group"], m.along["hostile"]
        if m.mask is not None:
            share = jnp.where(m.mask, share, 0)
        mask = None if m.mask is None else m.mask[None]
        share = share[None]
        if group is not None:
            member = group[None] == jnp.arange(self.num_groups, dtype=group.dtype)[:, None]
            mask = member if mask is None else member & mask
            share = jnp.where(member, share, 0)
        share = share / jnp.maximum(share.sum(1, keepdims=True), jnp.finfo(share.dtype).tiny)
        ctx = self.context("rule", links=Star(share), is_adversary=hostile)
        return Received(
            ctx, self.network.rule, None, m.sent, base=None, mask=mask, adversary=hostile, audit=audit.of_rule(self)
        )


def judges(round: Any, hostile: Any) -> Any:
    """Bool [n]: the receivers whose judgement an audit counts, honest and awake; None: all."""
    awake = round.awake
    if hostile is None:
        return awake
    return ~hostile if awake is None else awake & ~hostile


def edge_slot(round: Any, name: str, init: Callable[[int], Any]) -> Slot:
    """Memory [m, ...] under `name`, and a setter: rows of a sleeping node (the receiver of the edge) stay as they are."""
    edges = round.edges
    old, store_put = round.slot(name, lambda n: init(edges.m), per_node=False)

    def put(new: Any) -> None:
        new = new if round.awake is None else tree.where(round.awake[edges.receiver], new, old)
        store_put(new)

    return old, put


def _own_rows(m: Message, hostile: jax.Array) -> Message:
    """An adversary's own row is neither noised nor compressed."""
    return m._replace(own=tree.where(hostile, m.value, m.own), base=tree.where(hostile, m.value, m.base))


def _zeros(value: Any, rows: int) -> Any:
    """Zeros [rows, ...] in the shape of a view's value."""
    return tree.map(lambda x: jnp.zeros((rows, *x.shape[1:]), x.dtype), value)


__all__ = ["CopiesPerEdge", "Edges", "Neighbors", "Server", "Wire", "edge_slot"]
