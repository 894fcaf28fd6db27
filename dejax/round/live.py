"""W of a phase after faults: what all calls of the phase share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.random import fold_in
from ..core.types import Links, Round


class Live(NamedTuple):
    """W of a phase after faults. weights, self_weights and mask are None when nothing failed."""

    links: Any
    weights: Any
    self_weights: Any
    mask: Any  # bool [n, k]: something arrives on the port
    is_adversary: Any  # bool [n] or None


def live_links(round: Round) -> Live:
    """Return the links of this phase, W_t with the weight of lost links given back.

    It goes to the receiver if rows of W sum to one, to the sender if columns do, to both if both
    do.
    """
    network, awake = round.network, round.awake
    links = (
        round.plan.links(round.n_all) if round.plan is not None else network.topology.at(round.phase, _graph_key(round))
    )
    attack = network.attack
    hostile = None if attack is None or attack.hook != "message" else round.by_id(attack.is_adversary(round.n_all))
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
    mask = (links.weights() != 0) & arrives
    return Live(links, *repaired(links, mask, network.kind), mask, hostile)


def repaired(links: Links, mask: jax.Array, kind: str) -> tuple[jax.Array, jax.Array]:
    """Return (weights [n, k], self weights [n]) when only the messages of `mask` arrive.

    Lost weight goes back to the sender if columns of W sum to one, else to the receiver.
    """
    weights, self_weights = links.weights(), links.self_weights()
    lost = jnp.where(mask, 0, weights)
    back_to_sender = kind == "column"
    self_weights = self_weights.at[links.senders()].add(lost) if back_to_sender else self_weights + lost.sum(1)
    return jnp.where(mask, weights, 0), self_weights


def under_way(links: Links, mask: jax.Array, kind: str) -> tuple[jax.Array, jax.Array]:
    """The same when only the messages of `mask` are there and the others are late, not lost.

    Rows of W keep their sums; where its columns alone sum to one, a message under way has its
    weight with it.
    """
    if kind == "column":
        return jnp.where(mask, links.weights(), 0), links.self_weights()
    return repaired(links, mask, kind)


def _graph_key(round: Round) -> jax.Array:
    """What random graphs are drawn from: shared by all nodes, indexed by the phase."""
    return fold_in(round.run_key, round.phase)


__all__ = ["Live", "live_links", "repaired", "under_way"]
