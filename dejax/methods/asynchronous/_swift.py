"""SWIFT: nodes that never wait average with what their neighbors sent last.

    node i fires, its event number c:   send x_i to all neighbors;   g = g_i(x_i)
                                        x_i <- sum_j W_ij (what i heard last of j)    if c is a multiple of `period`
                                        x_i <- x_i - lr g

c counts the node's own events, from 1. What i heard last of j is the model after an event of j: the last
one, or an older one as `events.updates(age=)` draws it. Before the first message the own model stands in.

W: doubly stochastic, in the paper from nodes of high degree down (`topology.degree_sorted`). Nodes
that act out of step do not keep the mean. Wire: 1 model per neighbor and event, whatever the period.
Reference: Bornstein, Rabbani, Wang, Bedi and Huang, SWIFT: rapid decentralized federated learning via
wait-free model communication, 2023. The order of a step, the count from 1 and the send in every event
are those of the authors' public code, umd-huang-lab/SWIFT; it sends just before a step what stands
here just after the step before, and adds momentum to the local step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class SwiftState(NamedTuple):
    """What the next event needs."""

    params: NodeTree  # x, one model per node
    events: jax.Array  # c, int32 [n], events that the node has behind it


@struct
class Swift:
    """SWIFT: nodes act at their own pace and average with what they heard last; nobody waits.

    Runs under `network.events`, e.g. `dejax.events.updates(rate=..., age=1)`, and in rounds.

    Args:
      lr: >= 0; scalar, [n] or a schedule of the packed round.
      period: events from average to average, >= 1, static; the paper's s + 1.
    Update: an event at i: x_i <- sum_j W_ij (heard last of j), every period events; x_i <- x_i - lr g_i
    Choose it for: nodes of unequal speed that combine several neighbors
    Identity: in rounds with period = 1 it is dsgd(order="awc"); between averages it is local training.
    Reference: Bornstein et al., 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    period: int = static(default=1, check=whole)

    traits = Traits(footprint="neighbors")

    def init(self, params: NodeTree, key: PRNGKey) -> SwiftState:
        """No event yet."""
        del key
        return SwiftState(params, jnp.zeros((tree.nodes(params),), jnp.int32))

    def step(self, state: SwiftState, round: Round) -> SwiftState:
        """One event at each node that acts."""
        x, events = state.params, state.events + 1
        grad, heard = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x, heard=True))
        mixed = tree.where(events % self.period == 0, heard, x)
        params = tree.axpy(tree.map(lambda v: -v, round.rate(self.lr)), grad, mixed)
        return SwiftState(params, round.keep(events, state.events))


__all__ = ["Swift", "SwiftState"]
