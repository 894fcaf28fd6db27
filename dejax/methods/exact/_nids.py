"""NIDS: exact diffusion with a step size for every node and no average in round 0.

    y_i = x_i - lr_i (g_i(x_i) + d_i)
    r_i = c (y_i - sum_j W_ij y_j),  c = 1 / (2 max_i lr_i);  r_i = 0 in round 0
    x_i' = y_i - lr_i r_i;   d_i' = d_i + r_i,  d_i = 0 before round 0

With one lr for all it is x' = (I + W)/2 (2 x - x_last - lr (g - g_last)) from x' = x - lr g. The
paper also has a proximal term, which is left out here, and any c up to 1 / (lambda_max(I - W) max_i
lr_i).

W: doubly stochastic and symmetric. lr_i below 2 / L_i, whatever the graph. The proofs are for a
fixed W.
Wire: 1 model per directed edge and round; none in round 0.
Reference: Li, Shi and Yan, A decentralized proximal-gradient method with network independent
step-sizes and separated convergence rates, 2019.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class NidsState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    dual: NodeTree  # d, sums to zero over the nodes; ends at minus the gradients


@struct
class Nids:
    """NIDS: exact on unequal data, with step sizes that no graph makes smaller.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: y = x - lr_i (g + d); r = c (y - W y), none in round 0; x <- y - lr_i r; d <- d + r
    Choose it for: rates of its own at every node, up to 2 / L_i on any graph
    Identity: sum_i d_i = 0; at the optimum d_i = -g_i. It is exact diffusion but for the first round.
    Reference: Li, Shi and Yan, A decentralized proximal-gradient method with network independent step-sizes, 2019.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(symmetric=True, sums_keep="sum(d) = 0 of the duals")

    def init(self, params: NodeTree, key: PRNGKey) -> NidsState:
        """Duals at zero."""
        del key
        return NidsState(params, tree.zeros(params))

    def step(self, state: NidsState, round: Round) -> NidsState:
        """Adapt by own gradient and dual; then, but for round 0, move halfway to the average."""
        x, d = state
        lr = jnp.asarray(round.rate(self.lr))
        most = lr.max()
        c = jnp.where(most > 0, 0.5 / jnp.where(most > 0, most, 1), 0)  # a schedule may end at 0
        y = tree.sub(x, tree.scale(lr, tree.add(round.gradient(x), d)))
        mixed = round.when(round.index > 0, lambda r, y: r.gossip(y), y)
        gap = tree.sub(y, mixed)
        return NidsState(tree.sub(y, tree.scale(lr * c, gap)), tree.axpy(c, gap, d))


__all__ = ["Nids", "NidsState"]
