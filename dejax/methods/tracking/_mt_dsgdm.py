"""Momentum tracking (MT-DSGDm): descend along a tracked mean of momenta.

    m_i <- momentum m_i + g_i(x_i)
    x_i <- sum_j W_ij x_j - lr (m_i - c_i)
    c_i <- sum_j W_ij (c_j - m_j) + m_i

m = c = 0 before round 0. The paper starts from (g_i - mean(g)) / (1 - momentum), which takes an
exact average; zeros satisfy the same identity. m - c tracks the mean momentum, W (m - c) + m' - m.

W: unit column sums keep sum c = 0; unit row sums keep consensus.
Wire: 2 models per directed edge and round.
Reference: Takezawa, Bao, Niwa, Sato and Yamada, Momentum tracking: momentum acceleration for
decentralized deep learning on heterogeneous data, 2023.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import in_, rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class MomentumTrackingState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    momentum: NodeTree  # m, never mixed by itself
    correction: NodeTree  # c, sums to zero over the nodes


@struct
class MomentumTracking:
    """Momentum tracking (MT-DSGDm): momentum that unequal data do not bias.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      momentum: in [0, 1).
    Update: m <- b m + g; x <- W x - lr (m - c); c <- W (c - m) + m
    Choose it for: momentum on unequal data
    Identity: sum_i c_i = 0; momentum = 0 is gradient tracking in the form x' = W x - lr y, y' = W y + g' - g.
    Reference: Takezawa, Bao, Niwa, Sato and Yamada, Momentum tracking, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    momentum: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))

    traits = Traits(sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> MomentumTrackingState:
        """Momenta and corrections at zero."""
        del key
        return MomentumTrackingState(params, tree.zeros(params), tree.zeros(params))

    def step(self, state: MomentumTrackingState, round: Round) -> MomentumTrackingState:
        """Models are sent while gradients are taken; then the corrections."""
        x, m, c = state
        grads, mixed = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x, name="params"))
        m = round.keep(tree.axpy(self.momentum, m, grads), m)
        params = tree.sub(mixed, tree.scale(round.rate(self.lr), tree.sub(m, c)))
        return MomentumTrackingState(params, m, tree.add(round.gossip(tree.sub(c, m), name="correction"), m))


__all__ = ["MomentumTracking", "MomentumTrackingState"]
