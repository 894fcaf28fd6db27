"""Stochastic gradient push: D-PSGD on directed graphs.

A scalar weight is summed along with the models, and undoes the bias of the sums.

    x_i <- sum_j P_ij (x_j - lr g_j(z_j));   w_i <- sum_j P_ij w_j;   z_i = x_i / w_i

P: column-stochastic (each sender splits its mass). Wire: 1 model and 1 number per directed edge and
round.
Reference: Assran, Loizou, Ballas and Rabbat, Stochastic gradient push for distributed deep
learning, 2019.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloat, NodeFloatLike, NodeTree, PRNGKey, Round

EXACT = "push-sum divides sums by weights that must have travelled with them unharmed; use dsgd on an undirected graph"


class SgpState(NamedTuple):
    """What the next round needs; the model is z = x / w."""

    mass: NodeTree  # x, biased numerator
    weight: NodeFloat  # w, [n], 1 before round 0


@struct
class Sgp:
    """Stochastic gradient push (SGP): D-PSGD on directed graphs, column-stochastic weights.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: x <- P (x - lr g(z)); w <- P w; z = x / w
    Choose it for: directed graphs
    Identity: sum(w) = n; sum(x) moves by -lr sum(g); with doubly stochastic P it is D-PSGD (atc)
      and w = 1.
    Reference: Assran, Loizou, Ballas and Rabbat, 2019.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(weights=("column", "doubly"), needs_sums=EXACT, needs_exact=EXACT)

    def init(self, params: NodeTree, key: PRNGKey) -> SgpState:
        """Weights start at 1."""
        del key
        leaf = tree.leaves(params)[0]
        return SgpState(params, jnp.ones(leaf.shape[:1], jnp.promote_types(leaf.dtype, jnp.float32)))

    def model(self, state: SgpState) -> NodeTree:
        """z = x / w."""
        return tree.scale(1 / state.weight, state.mass)

    def step(self, state: SgpState, round: Round) -> SgpState:
        """Gradient at z, step on x, one push of both."""
        grad = round.gradient(self.model(state))
        pushed = tree.sub(state.mass, tree.scale(round.rate(self.lr), grad))
        return SgpState(*round.gossip((pushed, state.weight)))


__all__ = ["Sgp", "SgpState"]
