"""Gossip-PGA: gossip SGD, and every H rounds one exact average of all nodes.

    z_i = x_i - lr g_i(x_i);   x_i <- (1/n) sum_j z_j if t + 1 is a multiple of H, else sum_j W_ij z_j

W: row sums 1 keep a consensus; column sums 1 too keep the mean.
Wire: 1 model per directed edge in rounds of gossip; 1 up and 1 down per node in the others, or an all-reduce where network.server
says so. Who sleeps, or whose upload is lost, keeps z_i in that round.
Reference: Chen, Yuan, Zhang, Pan, Xu and Yin, Accelerating gossip SGD with periodic global averaging, 2021. Their variant that makes H
longer as the loss falls is not here. H = 6 is their choice for ImageNet.
"""

from typing import Any, NamedTuple

from ...core.checks import rate, whole
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round
from ...optimizers import check_step, local_step


class GossipPgaState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD


@struct
class GossipPga:
    """Gossip-PGA: D-PSGD with an exact average of all nodes every H rounds.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      every: H >= 1, rounds from one global average to the next, static.
      optimizer: an optax optimizer for every node instead of lr; its state stays at the node.
    Update: z = x - lr g; x <- mean of all z every H rounds, else W z
    Choose it for: large sparse graphs with an all-reduce now and then
    Raises:
      ValueError: H < 1; neither or both of lr and optimizer.
    Identity: H = 1 is parallel SGD; H longer than the run is D-PSGD (atc); W = I is local SGD with a mean every H steps.
    Reference: Chen et al., Accelerating gossip SGD with periodic global averaging, 2021.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    every: int = static(default=6, check=whole)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"), server="all")

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> GossipPgaState:
        """Start from the given models."""
        del key
        return GossipPgaState(params, local_step(self).init(params))

    def step(self, state: GossipPgaState, round: Round) -> GossipPgaState:
        """One step, then an average with neighbors or with all."""
        z, opt = round.local_steps(state.params, state.opt, local_step(self), 1)
        everyone = (round.index + 1) % self.every == 0
        x = round.when(~everyone, lambda r, z: r.gossip(z), z, name="neighbors")
        return GossipPgaState(round.when(everyone, lambda r, z: r.merge(z), x, name="everyone"), opt)


__all__ = ["GossipPga", "GossipPgaState"]
