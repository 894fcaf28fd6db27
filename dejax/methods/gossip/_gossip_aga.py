"""Gossip-AGA: Gossip-PGA whose global averages come more rarely as the loss falls.

    z_i = x_i - lr g_i(x_i);   x_i <- (1/n) sum_j z_j every H rounds, else sum_j W_ij z_j
    at a global average, F = (1/n) sum_i f_i(x_i), on the batches of that round:
    in the first `warm_up` rounds F_init <- (F_init + F) / 2, later H <- ceil(F_init / F H_init)

F_init is the first F to begin with. All nodes learn F together with the mean of the z_j, and so agree on H; where nobody is
heard it stays, and where messages are compressed F is the mean of what nodes then hold.
W: row sums 1 keep a consensus; column sums 1 too keep the mean.
Wire: 1 model per directed edge in rounds of gossip; 1 model and 1 number each way per node in the others, or an all-reduce
where network.server says so. Work: a forward pass at each node in rounds of a global average.
Reference: Chen, Yuan, Zhang, Pan, Xu and Yin, Accelerating gossip SGD with periodic global averaging, 2021, algorithm 2, from
knowledge: how F_init begins is not confirmed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core.checks import natural, rate, whole
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round
from ...optimizers import check_step, local_step

LONGEST = 2**30  # rounds, where the loss has all but vanished


class GossipAgaState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD
    every: jax.Array  # int32, H, the same at all nodes
    since: jax.Array  # int32, rounds since the last global average
    first: jax.Array  # F_init; 0 before the first global average


@struct
class GossipAga:
    """Gossip-AGA: Gossip-PGA whose global averages come more rarely as the loss falls.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      every: H_init >= 1, rounds from one global average to the next at the start, static.
      warm_up: rounds in which H stays and F_init is measured, >= 0, static.
      optimizer: an optax optimizer for every node instead of lr; its state stays at the node.
    Update: as gossip_pga, with H <- ceil(F_init / F H_init) at each mean of all, F the loss there
    Choose it for: large sparse graphs; averages of all become rare as the loss falls
    Raises:
      ValueError: every < 1; warm_up < 0; neither or both of lr and optimizer.
    Identity: a warm-up longer than the run is gossip_pga; a loss that does not fall keeps H.
    Reference: Chen et al., Accelerating gossip SGD with periodic global averaging, 2021.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    every: int = static(default=4, check=whole)
    warm_up: int = static(default=100, check=natural)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"), server="all", raw_losses=True)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> GossipAgaState:
        """Start from the given models, with H_init."""
        del key
        opt = local_step(self).init(params)
        return GossipAgaState(params, opt, jnp.int32(self.every), jnp.int32(0), jnp.zeros((), float))

    def step(self, state: GossipAgaState, round: Round) -> GossipAgaState:
        """One step, then an average with neighbors, or with all and another H."""
        batch = round.batch(params=state.params)
        grads = round.gradient(state.params, batch)
        z, opt = local_step(self)(round, grads, state.opt, state.params)
        everyone = state.since + 1 >= state.every

        def meet(r: Round, carry: Any) -> Any:
            z, every, _, first = carry
            z, losses = r.merge((z, r.loss(state.params, batch)))
            those = jnp.ones((r.n,), bool) if r.uploads is None else r.uploads
            heard, loss = those.any(), losses.sum(where=those).astype(float) / jnp.maximum(those.sum(), 1)
            warm = r.index < self.warm_up
            begun = jnp.where(first == 0, loss, jnp.where(warm, (first + loss) / 2, first))
            ratio = jnp.where(loss > 0, begun / jnp.where(loss > 0, loss, 1), LONGEST)
            longer = jnp.clip(jnp.ceil(ratio * self.every), 1, LONGEST).astype(jnp.int32)
            every = jnp.where(heard & ~warm, longer, every)
            return z, every, jnp.int32(0), jnp.where(heard, begun, first)

        x = round.when(~everyone, lambda r, z: r.gossip(z), z, name="neighbors")
        found = round.when(everyone, meet, (x, state.every, state.since + 1, state.first), name="everyone")
        x, every, since, first = found
        return GossipAgaState(x, opt, every, since, first)


__all__ = ["GossipAga", "GossipAgaState"]
