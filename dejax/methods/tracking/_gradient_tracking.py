"""Gradient tracking (DSGT): nodes descend along a running estimate of the mean gradient.

    y_i <- sum_j W_ij y_j + g_i(x_i) - g_i(x_i of the previous round)   tracker
    x_i <- sum_j W_ij (x_j - lr y_j)                                    adapt, then combine

W: unit column sums keep mean(y) = mean(g) every round; unit row sums keep consensus.
Wire: 2 models (y, then x) per directed edge and round.
Reference: Nedic, Olshevsky and Shi, 2017 (DIGing); Pu and Nedic, Distributed stochastic gradient
tracking methods, 2021.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class TrackingState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    tracker: NodeTree  # y, estimate of the network-mean gradient
    last_grad: NodeTree  # g_i of the previous round; zeros before round 0


@struct
class GradientTracking:
    """Gradient tracking (DSGT): descend along a tracked mean gradient; exact on unequal data.

    Exact means that a constant step leads to the optimum of the mean loss.

    Args:
      lr: >= 0, smaller than D-PSGD's on sparse graphs; scalar or a schedule.
    Update: y <- W y + g - g_last; x <- W (x - lr y)
    Choose it for: unequal data and a constant step: exact
    Identity: mean(y) = mean(g) after every round (W with unit column sums, no losses that break
      them).
    Reference: Pu and Nedic, Distributed stochastic gradient tracking methods, 2021.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(sums_keep="mean(y) = mean(g), the mean of the trackers and of the gradients")

    def init(self, params: NodeTree, key: PRNGKey) -> TrackingState:
        """Trackers and last gradients at zero: the first round sets y = g."""
        del key
        return TrackingState(params, tree.zeros(params), tree.zeros(params))

    def step(self, state: TrackingState, round: Round) -> TrackingState:
        """Update the tracker, then adapt and combine."""
        grad = round.gradient(state.params)
        mixed = round.gossip(state.tracker, name="tracker")
        tracker = round.keep(tree.add(mixed, tree.sub(grad, state.last_grad)), mixed)
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), tracker))
        return TrackingState(round.gossip(adapted, name="params"), tracker, round.keep(grad, state.last_grad))


__all__ = ["GradientTracking", "TrackingState"]
