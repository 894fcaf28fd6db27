"""The way of a value: privacy, codec at the sender; then adversaries, links; then the rule at the receiver."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.random import fold_in
from ..xla.materialize import materialize
from . import clocks
from .edge_rows import exchange_copies
from .received import Received


class Live(NamedTuple):
    """W of a phase after faults. weights, self_weights and mask are None when nothing failed."""

    links: Any
    weights: Any
    self_weights: Any
    mask: Any  # bool [n, k]: something arrives on the slot
    is_adversary: Any  # bool [n] or None


def live_links(round: Any) -> Live:
    """W_t with lost links repaired: to the receiver if rows sum to one, to the sender if columns do, to both if both."""
    network, awake = round.network, round.awake
    links = (
        round.plan.links(round.n_all) if round.plan is not None else network.topology.at(round.phase, _graph_key(round))
    )
    attack = network.attack
    hostile = None if attack is None or attack.hook != "message" else round.by_id(attack.is_adversary(round.n_all))
    real = links.weights() != 0
    arrives = None
    ctx = round._fault_context()
    if round.plan is None and awake is not None:
        arrives = awake[:, None] & awake[links.senders()]
    for fault in network.faults:
        up = fault.arrives(ctx, links)
        if up is not None:
            arrives = up if arrives is None else arrives & up
    if arrives is None:
        return Live(links, None, None, None, hostile)
    mask = real & arrives
    weights, self_weights = links.weights(), links.self_weights()
    lost = jnp.where(real & ~arrives, weights, 0)
    if network.kind == "column":
        self_weights = self_weights.at[links.senders()].add(lost)
    else:
        self_weights = self_weights + lost.sum(1)
    return Live(links, jnp.where(mask, weights, 0), self_weights, mask, hostile)


def _graph_key(round: Any) -> jax.Array:
    """What random graphs are drawn from: shared by all nodes, indexed by the phase."""
    return fold_in(round.run_key, round.phase)


def _private(round: Any, name: str, value: Any) -> tuple[Any, Any, Any]:
    """(what the node goes on from, its own value in the rule, what leaves)."""
    privacy = round.network.privacy
    if privacy is None or privacy.hook != "message":
        return value, value, value
    return privacy.message(round._context(round.key(name + ".privacy")), value)


def encode(round: Any, name: str, value: Any, codec: Any) -> tuple[Any, Any, Any, Any]:
    """Sender's side: (base, own, what receivers reconstruct, size of a message)."""
    base, own, sent = _private(round, name, value)
    # `init` may check the value and refuse it, so it is called even where there is no memory
    memory, put = codec.init(sent), None
    if tree.leaves(memory):
        memory, put = round.slot(name + ".codec", lambda n: codec.init(_like(sent, n)))
    decoded, memory, size = codec.encode(round._context(round.key(name + ".codec")), memory, sent)
    if put is not None:
        put(memory)
    if codec.lossless:
        decoded = sent
    else:
        own = decoded
    return base, own, decoded, size


def _like(value: Any, n: int) -> Any:
    """Zeros of the whole population in the shape of a view's value."""
    return tree.map(lambda x: jnp.zeros((n, *x.shape[1:]), x.dtype), value)


def exchange(round: Any, name: str, value: Any, codec: Any) -> Received:
    """See `Round.exchange`."""
    network = round.network
    codec = network.codec if codec is None else codec
    if getattr(codec, "per_edge", False):
        return exchange_copies(round, name, codec, *_private(round, name, value), value)
    live = round.links
    value = materialize(value)  # several receivers read it
    base, own, sent, size = encode(round, name, value, codec)
    rewrite = None
    ctx = round._context(round.key(name + ".attack"), links=live.links, mask=live.mask, is_adversary=live.is_adversary)
    if live.is_adversary is not None:
        sent, rewrite = network.attack.message(ctx, own, sent)
        own = tree.where(live.is_adversary, value, own)  # an adversary's own row is neither noised nor compressed
        base = tree.where(live.is_adversary, value, base)
    _meter(round, name, live, size)
    return Received(
        ctx, network.rule, own, sent, base=base, rewrite=rewrite, adversary=live.is_adversary,
        weights=live.weights, self_weights=live.self_weights, mask=live.mask,
    )  # fmt: skip


def _meter(round: Any, name: str, live: Live, size: Any) -> None:
    """Count what awake nodes send, lost or not; a plan counts the pairs that meet."""
    links, awake = live.links, round.awake
    if round.plan is not None:
        messages = (links.weights() != 0).sum(1, dtype=jnp.int32)
    elif round.network.messages is not None:
        table = round.network.messages
        messages = table[round.phase % table.shape[0]]
    else:
        real = (links.weights() != 0).astype(jnp.int32)
        messages = jnp.zeros((round.n_all,), jnp.int32).at[links.senders()].add(real)
    if awake is not None:
        messages = jnp.where(awake, messages, 0)
    count = messages if size.units is None else messages * size.units
    round.store.meter("wire/" + name, count, size.bits)
    round.store.node_sent("wire/" + name, count)
    if round.network.clock is not None:
        units = jnp.ones((round.n,), jnp.float32) if size.units is None else size.units.astype(jnp.float32)
        clocks.messages(round, name, links, live.mask, units * size.bits)


__all__ = ["Live", "encode", "exchange", "live_links"]
