"""AD-PSGD: asynchronous pairwise averaging with stale gradients.

A gradient is taken at what the node had when it began to compute it.

    event at i with a random neighbor j:   x_i, x_j <- (x_i + x_j) / 2;   x_i <- x_i - lr g_i(view_i);   view_i <- x_i

W: each event is a pairwise average, which keeps the network's mean. Wire: 2 models per event.
Reference: Lian, Zhang, Zhang and Liu, Asynchronous decentralized parallel stochastic gradient
descent, 2018.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class AdPsgdState(NamedTuple):
    """What the next event needs."""

    params: NodeTree  # x, one model per node
    view: NodeTree  # what the node had when it began its running gradient


@struct
class AdPsgd:
    """AD-PSGD: nodes act at their own pace, average with one neighbor, apply a stale gradient.

    Needs `network.events`, e.g. `dejax.events.poisson()`.

    Args:
      lr: >= 0; scalar, [n] or a schedule of the packed round.
    Update: an event (i, j): average the pair, then x_i <- x_i - lr g_i(stale)
    Choose it for: nodes of unequal speed
    Identity: each average keeps the mean; packed events equal one event at a time, bit for bit;
      equals dsgd(order="awc") on the same events, whose stale views are kept by the network.
    Reference: Lian, Zhang, Zhang and Liu, 2018.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(footprint="pair", needs_events=True, keeps_snapshot=True)

    def init(self, params: NodeTree, key: PRNGKey) -> AdPsgdState:
        """Views start at the models."""
        del key
        return AdPsgdState(params, tree.map(jnp.copy, params))

    def step(self, state: AdPsgdState, round: Round) -> AdPsgdState:
        """All events of one packed round."""
        grad = round.gradient(state.view)
        down = tree.map(lambda v: -v, round.rate(self.lr))
        params = tree.axpy(down, grad, round.gossip(state.params))
        return AdPsgdState(params, round.keep(params, state.view))


__all__ = ["AdPsgd", "AdPsgdState"]
