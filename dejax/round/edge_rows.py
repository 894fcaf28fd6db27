"""Messages that differ from neighbor to neighbor: the pipeline on rows [m, ...], one per directed edge of the base graph."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_in
from ..mixing import EdgeList, EdgeRows
from . import clocks
from .context import Context
from .received import Received


class ReceivedRows:
    """What arrived on each edge: `rows` [m, ...], `mask` bool [m] or None when everything did.

    Row e was sent by sender[e] to receiver[e]. Rows are different messages, so there is no rule to combine them by:
    a method keeps what it needs, usually `keep(old)`: the new row where it arrived, else the old one.
    """

    def __init__(self, round: Any, name: str, rows: Any, mask: Any, awake: Any):
        self._round, self._name, self._awake = round, name, awake
        self.rows, self.mask = rows, mask

    def keep(self, old: Any) -> Any:
        """The new rows where they arrived, else `old` [m, ...]."""
        return self.rows if self.mask is None else tree.where(self.mask, self.rows, old)

    def header(self, counts: jax.Array) -> jax.Array:
        """Small numbers [m] that ride with the same messages: metered in full, neither compressed, noised nor forged.

        Where the message was lost the result is what would have come: use it through `mask`, as `rows`.
        """
        edges = self._round.edges
        sent = edges.count(jnp.ones((edges.m,), jnp.int32))
        sent = sent if self._awake is None else jnp.where(self._awake, sent, 0)
        name = f"wire/{self._name}/header"
        self._round.store.meter(name, sent, counts.dtype.itemsize * 8)
        self._round.store.node_sent(name, sent)
        return edges.deliver(counts)


def edge_slot(round: Any, name: str, init: Callable[[int], Any]) -> tuple[Any, Callable[[Any], None]]:
    """Memory [m, ...] under `name`, and a setter: rows of a sleeping node (the receiver of the edge) stay as they are."""
    edges = round.edges
    old, store_put = round.slot(name, lambda n: init(edges.m), per_node=False)

    def put(new: Any) -> None:
        new = new if round.awake is None else tree.where(round.awake[edges.receiver], new, old)
        store_put(new)

    return old, put


def context(round: Any, key: jax.Array, **kw: Any) -> Context:
    """Of rows: ids are those of the nodes that hold them, keys those of the directed edge."""
    edges: EdgeList = round.edges
    keys = fold_in(fold_in(key, edges.receiver), edges.sender)
    progress = None if round.horizon is None else round.index / round.horizon
    return Context(round.index, edges.receiver, key, keys, progress=progress, **kw)


def arrivals(round: Any, live: Any) -> Any:
    """Bool [m]: the rows that receivers get in this phase; None when all do."""
    return None if live.mask is None else round.edges.by_slot(live.mask)


def exchange_rows(round: Any, name: str, rows: Any, codec: Any) -> ReceivedRows:
    """See `Round.exchange(per_edge=True)`."""
    edges, network, live = round.edges, round.network, round.links
    codec = network.codec if codec is None else codec
    _check_rows(rows, edges.m)
    sent, privacy = rows, network.privacy
    if privacy is not None and privacy.hook == "message":
        sent = privacy.message(context(round, round.key(name + ".privacy")), rows)[2]
    mask = arrivals(round, live)
    if getattr(codec, "per_edge", False):
        got, _, size = _two_copies(round, name, codec, sent, mask)
    else:
        memory, put = codec.init(sent), None
        if tree.leaves(memory):
            memory, put = edge_slot(round, name + ".codec", lambda m: codec.init(tree.zeros(sent)))
        decoded, memory, size = codec.encode(context(round, round.key(name + ".codec")), memory, sent)
        if put is not None:
            put(memory)
        got = edges.deliver(sent if codec.lossless else decoded)
    if live.is_adversary is not None:
        got = _attacked(round, name, live, got, edges.deliver(rows))
    meter(round, name, live, size)
    return ReceivedRows(round, name, got, mask, round.awake)


def exchange_copies(round: Any, name: str, codec: Any, base: Any, own: Any, sent: Any, value: Any) -> Received:
    """Gossip of node values [n, ...] with one copy per directed edge and end: lost messages part the two for good.

    The own value is the mean, under the weights of the row, of the copies that the node believes its neighbors to hold;
    gossip then moves by gamma sum_j W_ij (copy of j at i - copy of i meant for j).
    """
    edges, network, live = round.edges, round.network, round.links
    held, told, size = _two_copies(round, name, codec, edges.of_nodes(sent), arrivals(round, live))
    links, zeros = EdgeRows(live.links, edges), jnp.zeros((round.n,), jnp.float32)
    alone = links.self_weights() == 1  # no neighbor holds a copy of it
    share = 1 / jnp.where(alone, 1, 1 - links.self_weights())
    own = tree.scale(share, links.weighted(told, links.weights(), zeros, tree.zeros(value)))
    own = tree.where(alone, value, own)
    rewrite = None
    ctx = round._context(round.key(name + ".attack"), links=links, is_adversary=live.is_adversary)
    if live.is_adversary is not None:
        if getattr(network.attack, "needs_spread", False):
            held, rewrite = network.attack.message(ctx, own, held)
        else:
            held = _attacked(round, name, live, held, tree.map(lambda x: x[edges.sender], value))
        own = tree.where(live.is_adversary, value, own)
        base = tree.where(live.is_adversary, value, base)
    meter(round, name, live, size)
    return Received(ctx, network.rule, own, held, base=base, rewrite=rewrite, adversary=live.is_adversary)


def _two_copies(round: Any, name: str, codec: Any, rows: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Copies at both ends of every edge: (what arrives lies at its receiver, what the sender believes to lie there, size)."""
    edges = round.edges
    zeros = lambda m: {end: codec.init(tree.zeros(rows)) for end in ("told", "held")}
    memory, put = edge_slot(round, name + ".copies", zeros)
    change, size = codec.change(context(round, round.key(name + ".codec")), memory["told"], rows)
    told = tree.add(memory["told"], change)
    held = tree.add(memory["held"], edges.deliver(change))
    held = held if mask is None else tree.where(mask, held, memory["held"])
    put({"told": told, "held": held})
    cast = lambda t: tree.map(lambda x, v: x.astype(v.dtype), t, rows)
    return cast(held), cast(told), size


def _attacked(round: Any, name: str, live: Any, got: Any, honest: Any) -> Any:
    """Rows [m] at their receivers after adversaries rewrote theirs, of which they held `honest`."""
    hostile = live.is_adversary[round.edges.sender]
    ctx = context(round, round.key(name + ".attack"), is_adversary=hostile)
    return round.network.attack.server(ctx, tree.where(hostile, honest, got), hostile)


def meter(round: Any, name: str, live: Any, size: Any) -> None:
    """Count what awake nodes send, lost or not."""
    edges = round.edges
    units = jnp.ones((edges.m,), jnp.int32) if size.units is None else size.units
    count = edges.count(units)
    if round.awake is not None:
        count = jnp.where(round.awake, count, 0)
    round.store.meter("wire/" + name, count, size.bits)
    round.store.node_sent("wire/" + name, count)
    if round.network.clock is not None:  # a node's uplink carries the sum of its messages
        degree = jnp.maximum(edges.count(jnp.ones((edges.m,), jnp.int32)), 1)
        mean = edges.count(units).astype(jnp.float32) / degree.astype(jnp.float32)
        clocks.messages(round, name, live.links, live.mask, mean * size.bits)


def _check_rows(rows: Any, m: int) -> None:
    bad = [x.shape for x in tree.leaves(rows) if x.ndim == 0 or x.shape[0] != m]
    if bad:
        raise ValueError(
            f"a leaf given to exchange(per_edge=True) has shape {bad[0]}; give one row per directed edge, [{m}, ...], in the order "
            "of round.edges (round.edges.of_nodes makes them from node values)"
        )


__all__ = ["ReceivedRows", "arrivals", "context", "edge_slot", "exchange_copies", "exchange_rows", "meter"]
