"""DLM: decentralized ADMM whose local problems are replaced by one gradient step.

    r_i = x_i - sum_j W_ij x_j
    f_i <- f_i + penalty r_i                                  but for round 0, where f_i = 0
    x_i <- x_i - lr (g_i(x_i) + penalty r_i + f_i)

The paper counts neighbors, sum_j c (x_i - x_j) over the d_i of them, and steps by 1 / (2 c d_i +
rho). Here an edge has penalty c = penalty W_ij, and lr may be an array [n] of those steps: with one
weight w on all edges it is the paper with c = penalty w.

W: doubly stochastic and symmetric. lr below 1 / (L / 2 + 2 penalty) is safe on any graph. The
proofs are for a fixed W.
Wire: 1 model per directed edge and round.
Reference: Ling, Shi, Wu and Ribeiro, DLM: decentralized linearized alternating direction method of
multipliers, 2015. Equations and order agree with a public program of others, team-decent/decent-bench,
which has one step for all nodes.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class DlmState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    dual: NodeTree  # f, sums to zero over the nodes; ends at minus the gradients


@struct
class Dlm:
    """DLM: linearized decentralized ADMM; exact on unequal data with a constant step.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      penalty: price of disagreement, >= 0, in units of curvature.
    Update: r = x - W x; f <- f + penalty r; x <- x - lr (g + penalty r + f)
    Choose it for: ADMM with one gradient per round
    Identity: sum_i f_i = 0; penalty = 1 / (2 lr) and equal starts are EXTRA; penalty = 0 is local SGD without averages.
    Reference: Ling, Shi, Wu and Ribeiro, DLM, 2015.
    """

    lr: NodeFloatLike = number(check=rate)
    penalty: FloatLike = number(default=0.5, check=constant_rate)

    traits = Traits(symmetric=True, sums_keep="sum(f) = 0 of the duals")

    def init(self, params: NodeTree, key: PRNGKey) -> DlmState:
        """Duals at zero."""
        del key
        return DlmState(params, tree.zeros(params))

    def step(self, state: DlmState, round: Round) -> DlmState:
        """Gradient and disagreement of the same models, then one step down the augmented Lagrangian."""
        x = state.params
        grads, mixed = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x))
        price = tree.scale(self.penalty, tree.sub(x, mixed))
        dual = tree.axpy(jnp.where(round.index > 0, 1, 0), price, state.dual)
        return DlmState(tree.sub(x, tree.scale(round.rate(self.lr), tree.add(grads, price, dual))), dual)


__all__ = ["Dlm", "DlmState"]
