"""Newcomers: nodes whose first round this is, and the models of their neighbors."""

from typing import Any

import jax
import jax.numpy as jnp

from ..compression import direct, identity
from ..core.types import NodeMask, Round, Tree
from ..mixing import NeighborLists
from . import channel
from .live import gathered_lists
from .wires import Neighbors

SLOT = "seen"  # bool [n]: who has taken part in an earlier round


def fresh(round: Round) -> NodeMask:
    """See `Round.fresh`."""
    seen, _ = round.slot(SLOT, lambda n: jnp.zeros((n,), bool))
    return ~seen if round.awake is None else round.awake & ~seen


def settle(round: Round) -> None:
    """Remember, at the end of a round, who has taken part (called by the driver)."""
    if SLOT in round.store.slots:
        seen = round.store.slots[SLOT]
        round.store.slots[SLOT] = jnp.ones_like(seen) if round.awake is None else seen | round.awake


def of_neighbors(round: Round, models: Tree, asks: NodeMask) -> tuple[Any, jax.Array]:
    """Return the mean of the neighbors' models where a node asks for it, and where one came.

    Neighbors that have no first round behind them have nothing to send. Models travel whole, through
    the stages of the channel. What is lost is left out of the mean.

    Args:
      models: tree of [n, ...]. asks: bool [n].
    Returns:
      (tree of [n, ...], bool [n]); rows that are False mean nothing.
    """
    links, new = round.links.links, fresh(round)
    senders = links.senders().astype(jnp.int32)
    there = ~new if round.awake is None else round.awake & ~new
    heard = (links.weights() != 0) & asks[:, None] & there[senders]
    weights = jnp.where(heard, links.weights(), 0)
    lists = NeighborLists(senders, weights, 1 - weights.sum(1))
    view = round._child(round.store, round._key, round._prefix, _pulled=gathered_lists(round, lists))
    wire = Neighbors(view, round._name("models", None), direct(identity()))
    got = wire.received(channel.send(wire, wire.message(models)))
    weights = jnp.where(got.mask, weights, 0)
    total = weights.sum(1)
    share = weights / jnp.where(total == 0, 1, total)[:, None]
    return got.weighted(share, jnp.zeros_like(total)), total != 0


__all__ = ["fresh", "of_neighbors", "settle"]
