"""Decentralized ADMM: nodes solve local problems near their neighbors' models.

    r_i = x_i - sum_j W_ij x_j
    f_i <- f_i + penalty r_i                                  but for round 0, where f_i = 0
    x_i <- argmin_y  loss_i(y) + f_i . y + penalty sum_j W_ij |y - (x_i + x_j) / 2|^2

The argmin has no closed form for a network, nor one that reads samples alone: K steps y <- y - lr
(g_i(y) + f_i + penalty r_i + 2 penalty (y - x_i)) from y = x_i take its place, on a fresh batch
each. On least squares they reach it as K grows. The paper counts neighbors; here an edge has
penalty W_ij, and the sum has j = i, too, which adds penalty W_ii |y - x_i|^2 and moves no fixed
point.

W: doubly stochastic and symmetric. lr below 2 / (L + 2 penalty) lets local problems converge, 1 /
(L / 2 + 2 penalty) is safe for all K. The proofs are for a fixed W.
Wire: 1 model per directed edge and round, whatever K.
Reference: Shi, Ling, Yuan, Wu and Yin, On the linear convergence of the ADMM in decentralized
consensus optimization, 2014. Written from knowledge of the paper.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class DAdmmState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    dual: NodeTree  # f, sums to zero over the nodes; ends at minus the gradients


@struct
class DAdmm:
    """Decentralized ADMM by K local gradient steps; exact on unequal data.

    Args:
      lr: step size within a local problem, >= 0; scalar, [n] or a schedule.
      penalty: price of disagreement, >= 0, in units of curvature.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: as dlm, with K gradient steps on the local problem
    Choose it for: ADMM with inner steps
    Identity: sum_i f_i = 0; K = 1 is DLM.
    Reference: Shi, Ling, Yuan, Wu and Yin, On the linear convergence of the ADMM in decentralized consensus optimization, 2014.
    """

    lr: NodeFloatLike = number(check=rate)
    penalty: FloatLike = number(default=0.5, check=constant_rate)
    local_steps: LocalSteps = static(default=5, check=local_steps)

    traits = Traits(symmetric=True, sums_keep="sum(f) = 0 of the duals")

    def init(self, params: NodeTree, key: PRNGKey) -> DAdmmState:
        """Duals at zero."""
        del key
        return DAdmmState(params, tree.zeros(params))

    def step(self, state: DAdmmState, round: Round) -> DAdmmState:
        """Hear the neighbors, then K steps down the augmented Lagrangian."""
        x = state.params
        price = tree.scale(self.penalty, tree.sub(x, round.gossip(x)))
        dual = tree.axpy(jnp.where(round.index > 0, 1, 0), price, state.dual)
        slope = tree.add(price, dual)

        def one(r: Round, y: NodeTree) -> NodeTree:
            pull = tree.axpy(2 * self.penalty, tree.sub(y, x), slope)
            return tree.sub(y, tree.scale(r.rate(self.lr), tree.add(r.gradient(y), pull)))

        return DAdmmState(round.repeat(self.local_steps, one, x), dual)


__all__ = ["DAdmm", "DAdmmState"]
