"""DecentLaM: momentum on the whole move of a D-PSGD round, which adds no bias of its own.

    d_i = (x_i - sum_j W_ij (x_j - lr g_j(x_j))) / lr;   m_i <- beta m_i + d_i;   x_i <- x_i - lr m_i

m starts at zero and is not sent. W: row sums 1 keep a consensus; column sums 1 too keep the mean.
Wire: 1 model per directed edge and round.
Reference: Yuan, Chen, Huang, Zhang, Pan, Xu and Yin, DecentLaM: decentralized momentum SGD for large-batch deep training, 2021.
The update was read in a repository of others, not the authors'.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, positive_rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class DecentLamState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    momentum: NodeTree  # m, never mixed


@struct
class DecentLam:
    """DecentLaM: D-PSGD with momentum whose fixed point is that of D-PSGD, for large batches.

    Args:
      lr: > 0; scalar, [n] or a schedule. Moves are divided by the rate of their round, at least 1e-8.
      momentum: beta in [0, 1); default 0.9.
    Update: d = (x - W (x - lr g)) / lr; m <- beta m + d; x <- x - lr m
    Choose it for: momentum and large batches
    Raises:
      ValueError: a number out of range.
    Identity: beta = 0 is D-PSGD (atc); every beta has the fixed point of D-PSGD; W = J and equal starts: heavy ball on the mean
      gradient.
    Reference: Yuan et al., DecentLaM: decentralized momentum SGD for large-batch deep training, 2021.
    """

    lr: NodeFloatLike = number(check=positive_rate)
    momentum: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))

    traits = Traits(weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> DecentLamState:
        """Momentum at zero."""
        del key
        return DecentLamState(params, tree.zeros(params))

    def step(self, state: DecentLamState, round: Round) -> DecentLamState:
        """One D-PSGD round, of which the move becomes a gradient for heavy ball."""
        x, lr = state.params, jnp.maximum(round.rate(self.lr), 1e-8)
        mixed = round.gossip(tree.sub(x, tree.scale(lr, round.gradient(x))))
        move = tree.scale(1 / lr, tree.sub(x, mixed))
        momentum = tree.axpy(self.momentum, state.momentum, move)
        return DecentLamState(tree.sub(x, tree.scale(lr, momentum)), momentum)


__all__ = ["DecentLam", "DecentLamState"]
