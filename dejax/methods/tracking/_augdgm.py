"""AugDGM: gradient tracking with a step size for every node.

    y_i <- sum_j W_ij (y_j + g_j(x_j) - g_j(x_j of the previous round));  y_i = g_i in round 0
    x_i <- sum_j W_ij (x_j - lr_j y_j)

W: unit column sums keep mean(y) = mean(g); unit row sums keep consensus. It may change from round
to round.
Wire: 2 models per directed edge and round, 1 in round 0.
Reference: Xu, Zhu, Soh and Xie, Augmented distributed gradient methods for multi-agent optimization
under uncoordinated constant stepsizes, 2015; Nedic, Olshevsky, Shi and Uribe, Geometrically
convergent distributed optimization with uncoordinated step-sizes, 2017 (as ATC-DIGing).
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class AugDgmState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    tracker: NodeTree  # y, estimate of the network-mean gradient
    last_grad: NodeTree  # g_i of the previous round; zeros before round 0


@struct
class AugDgm:
    """AugDGM: gradient tracking for step sizes that differ from node to node.

    Args:
      lr: >= 0; scalar, [n] or a schedule. Unequal ones weigh how fast nodes move, not what is minimized.
    Update: y <- W (y + g - g_last); x <- W (x - lr_i y)
    Choose it for: as tracking, with a rate of its own at every node
    Identity: mean(y) = mean(g) after every round.
    Reference: Xu, Zhu, Soh and Xie, Augmented distributed gradient methods, 2015.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(sums_keep="mean(y) = mean(g), the mean of the trackers and of the gradients")

    def init(self, params: NodeTree, key: PRNGKey) -> AugDgmState:
        """Trackers and last gradients at zero: the first round sets y = g."""
        del key
        return AugDgmState(params, tree.zeros(params), tree.zeros(params))

    def step(self, state: AugDgmState, round: Round) -> AugDgmState:
        """Correct the tracker and combine, then adapt and combine."""
        grad = round.keep(round.gradient(state.params), state.last_grad)
        corrected = tree.add(state.tracker, tree.sub(grad, state.last_grad))
        mix = lambda r, y: r.gossip(y, name="tracker")
        tracker = round.when(round.index > 0, mix, corrected, name="later")
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), tracker))
        return AugDgmState(round.gossip(adapted, name="params"), tracker, grad)


__all__ = ["AugDgm", "AugDgmState"]
