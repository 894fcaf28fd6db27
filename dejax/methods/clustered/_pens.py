"""PENS: each node finds out whose models suit its data, and later averages with them alone.

    for T1 rounds: hear s nodes drawn at random; average the own model with the `best` of them, by the loss of
    their models on the own batch; count whom it chose
    afterwards: hear s nodes drawn from those chosen more often than chance would; average with all

After each average K local steps. Wire: s models per node and round. State: the models, and counts [n, n].
Reference: Onoszko, Karlsson, Mogren and Zec, Decentralized federated learning of deep neural networks
on non-iid data, 2021. Read in third-party code; models count alike here, whatever their data.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round
from ...errors import bad
from ...optimizers import LocalStep


class PensState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x_i, [n, ...]
    chosen: jax.Array  # int32 [n, n]: how often node i chose node j


@struct
class Pens:
    """Gossip with whom one's own data like: performance-based neighbor selection.

    Nodes choose whom they hear, among all: the topology says who could talk, and is not used.

    Args:
      lr: step size, >= 0; scalar, [n] or a schedule.
      peers: s, nodes that each hears in a round, 1 <= s < n; static.
      best: how many of them it averages with in the first phase, 1 <= best <= s; static.
      explore: T1, rounds of the first phase, >= 1; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: average with the best of s peers by loss on the own batch, later with those chosen often
    Choose it for: unknown groups of nodes
    Raises:
      ValueError: best > peers; peers >= n; a number < 1.
    Identity: best = peers is gossip with random peers; nodes of equal data are chosen alike.
    Reference: Onoszko et al., 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    peers: int = static(default=5, check=whole)
    best: int = static(default=2, check=whole)
    explore: int = static(default=50, check=whole)
    local_steps: LocalSteps = static(default=1, check=local_steps)

    traits = Traits(
        weights=("doubly", "row", "column"),
        pulls=True,
        raw_losses=True,
        needs_sums="it weighs models by their loss on the own data; leave it out",
    )

    def __post_init__(self) -> None:
        if self.best > self.peers:
            raise bad(
                "best",
                self.best,
                owner=self,
                why=f"but a node hears {self.peers} peers",
                instead=f"give 1 to {self.peers}",
            )

    def init(self, params: NodeTree, key: PRNGKey) -> PensState:
        """Nobody was chosen yet."""
        del key
        n = tree.leaves(params)[0].shape[0]
        if self.peers >= n:
            raise bad(
                "peers", self.peers, owner=self, why=f"but a node has {n - 1} others", instead=f"give 1 to {n - 1}"
            )
        return PensState(params, jnp.zeros((n, n), jnp.int32))

    def step(self, state: PensState, round: Round) -> PensState:
        """Hear peers, average with those that fit, train."""
        n, s = round.n, self.peers
        exploring = round.index < self.explore
        often = state.chosen > self.explore * self.best / (n - 1)
        open_to = jnp.where(exploring | ~often.any(1, keepdims=True), True, often)
        ids = round.map(lambda key, i, ok: _drawn(key, i, ok, s), round.node_keys("peers"), round.ids, open_to)
        got = round.pull(ids).exchange(state.params)
        arrived = got.mask
        loss = got.forward(round.mean_loss, batch=round.batch("judge", params=state.params))
        rank = jnp.argsort(jnp.argsort(jnp.where(arrived, loss, jnp.inf), 1), 1)
        picked = arrived & ((rank < self.best) | ~exploring)
        share = 1.0 / (1 + picked.sum(1))
        x = got.moved(got.average(jnp.where(picked, share[:, None], 0), share))
        new = state.chosen.at[jnp.arange(n)[:, None], ids].add(picked & exploring)
        y, _ = round.local_steps(x, (), LocalStep(self.lr, None), self.local_steps)
        return PensState(y, new)


def _drawn(key: jax.Array, own: jax.Array, open_to: jax.Array, s: int) -> jax.Array:
    """int32 [s]: distinct nodes among those that are open; the own id where there are too few."""
    n = open_to.shape[0]
    wanted = open_to & (jnp.arange(n) != own)
    score, ids = jax.lax.top_k(jnp.where(wanted, jax.random.uniform(key, (n,)), -1), s)
    return jnp.where(score >= 0, ids, own).astype(jnp.int32)


__all__ = ["Pens", "PensState"]
