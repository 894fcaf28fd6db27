"""W of a phase after faults: what all calls of the phase share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.abstract import width_of
from ..core.random import fold_in
from ..core.types import Links, Round
from ..devices.mesh import NODES
from ..errors import bad
from ..mixing import NeighborLists, Routes
from ..mixing.sharded.halo import gathered


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
    links = _links(round)
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
    return Live(links, *repaired(links, mask, kind(round)), mask, hostile)


def _links(round: Round) -> Links:
    """Return W of the phase before faults.

    That of whom the method chose, of pairs that meet, or of the graph, where events update nodes one by one.
    """
    if round._pulled is not None:
        return round._pulled
    met = None if round.plan is None else round.plan.links(round.n_all)
    if met is not None:
        return met
    return round.network.topology.at(round.phase, _graph_key(round))


def fixed(round: Round) -> bool:
    """Whether the same neighbors are heard in every phase, but for faults."""
    meets = round.plan is not None and round.plan.links(round.n_all) is not None
    return round.network.topology.fixed and round._pulled is None and not meets


def kind(round: Round) -> str:
    """Which sums of this phase's W are one: of rows, where the method chose whom it hears."""
    return "row" if round._pulled is not None else round.network.kind


def chosen(round: Round, ids: jax.Array) -> Links:
    """Make links from the nodes `ids` [n, p], of equal weights.

    A node's own id is padding, and so is any outside 0..n-1.

    Raises:
      TypeError, ValueError: ids of another type or shape; in a cohort, or where a timetable says
        who meets.
    """
    ids = jnp.asarray(ids)
    if ids.ndim != 2 or ids.shape[0] != round.n_all or not jnp.issubdtype(ids.dtype, jnp.integer):
        says = f"is {ids.dtype} of shape {ids.shape}"
        raise bad("ids", ids, owner="round.pull", says=says, instead=f"give whole numbers [{round.n_all}, p]")
    if round._ids is not None or round.plan is not None:
        what = "a cohort" if round._ids is not None else "a timetable"
        raise bad(
            "ids", None, owner="round.pull", says=f"is called within {what}", instead="call it on the whole round"
        )
    ids = jnp.where((ids >= 0) & (ids < round.n_all), ids, round.ids[:, None])
    real = ids != round.ids[:, None]
    own = 1 / (1 + real.sum(1).astype(width_of(round.problem.task)))
    return gathered_lists(round, NeighborLists(_positions(round, ids), jnp.where(real, own[:, None], 0), own))


def gathered_lists(round: Round, lists: NeighborLists) -> Links:
    """Return the lists as they can be read on a mesh: any row may be another device's."""
    place = round.problem.place
    return lists if place is None else gathered(lists, Routes(place.mesh, NODES, None, 0))


def _positions(round: Round, ids: jax.Array) -> jax.Array:
    at = None if round.problem.place is None else round.problem.place.positions()
    return ids.astype(jnp.int32) if at is None else at[ids]


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


__all__ = ["Live", "chosen", "fixed", "gathered_lists", "kind", "live_links", "repaired", "under_way"]
