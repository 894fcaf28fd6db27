"""DOBGA: one projected boosted gradient step per reward, for (1 - 1/e) of the best, not 1/2.

    z_i = 1 + ln((1 - 1/e) U_i + 1/e),  U_i uniform in [0, 1): the density e^(z-1) / (1 - 1/e) on [0, 1]
    x_i <- proj_C(sum_j W_ij x_j - lr (1 - 1/e) g_i(z_i x_i))

g_i is the gradient of the loss, which is the reward with its sign turned, at the scaled point: its
mean over z is integral_0^1 e^(z-1) grad f_i(z x) dz, a direction in which monotone DR-submodular
rewards with f_i(0) = 0 have no stationary point below (1 - 1/e) of the best. C is convex and holds 0
and the starts.

W: doubly stochastic. lr about 1 / sqrt(rounds) has regret of order sqrt(rounds).
Wire: 1 model per directed edge and round.
Reference: Zhang, Deng, Jian, Chen, Hu and Yang, Communication-efficient decentralized online
continuous DR-submodular maximization, 2023. Written from knowledge of the paper, without its code;
the law of z is checked against quadrature, the constant in front of lr is not known.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.random import uniform
from ...core.struct import number, option, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round
from ...proximal import none

SHARE = 1 - 1 / math.e


class DobgaState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, what each node plays


@struct
class Dobga:
    """DOBGA: decentralized online boosted gradient ascent of DR-submodular rewards.

    Args:
      lr: step size, >= 0; scalar, [n] or a schedule; about 1 / sqrt(rounds).
      prox: C, by its projection (`dejax.proximal.box`, `budget`); default: everything.
    Update: x <- proj(W x - lr (1 - 1/e) g(z x)), z drawn from a density on [0, 1]
    Choose it for: monotone DR-submodular rewards, one at a time
    Identity: the mean of boosted gradients is integral_0^1 e^(z-1) grad f(z x) dz; for linear rewards
      (1 - 1/e) grad f, exactly.
    Reference: Zhang et al., CIKM 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    prox: Any = option(default=none(), check=Slot("prox"))

    traits = Traits()

    def init(self, params: NodeTree, key: PRNGKey) -> DobgaState:
        """Play the starts, which lie in C."""
        del key
        return DobgaState(params)

    def step(self, state: DobgaState, round: Round) -> DobgaState:
        """A gradient at a point scaled down, beside the average, then the projection."""
        x, lr = state.params, round.rate(self.lr)
        z = 1 + jnp.log(SHARE * uniform(round.node_keys("scale")) + 1 / math.e)
        slope, mixed = round.both(lambda r: r.gradient(tree.scale(z, x)), lambda r: r.gossip(x))
        moved = tree.sub(mixed, tree.scale(lr, tree.scale(SHARE, slope)))
        return DobgaState(round.keep(self.prox.prox(lr, moved), x))


__all__ = ["Dobga", "DobgaState"]
