"""QG-DSGDm: D-PSGD with a momentum that follows how the mixed models moved.

    m = beta q_i + g_i(x_i);   d = g_i + beta m (Nesterov) or m;   x'_i = sum_j W_ij (x_j - lr d_j)
    q_i <- mu q_i + (1 - mu) (x_i - x'_i) / lr

q starts at zero and is not sent. W: row sums 1 keep a consensus; column sums 1 too keep the mean.
Wire: 1 model per directed edge and round.
Reference: Lin, Karimireddy, Stich and Jaggi, Quasi-global momentum: accelerating decentralized deep learning on heterogeneous data,
2021.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import choice, in_, positive_rate
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class QgState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    momentum: NodeTree  # q, quasi-global momentum, never mixed


@struct
class QgDsgdm:
    """QG-DSGDm: quasi-global momentum, from the moves of mixed models, for unequal data.

    Args:
      lr: > 0; scalar, [n] or a schedule. Moves are divided by the rate of their round, at least 1e-8.
      beta: momentum in [0, 1); the authors': 0.9.
      mu: memory of the quasi-global momentum in [0, 1); the authors': 0.9.
      nesterov: static; True (default) is the authors' QG-DSGDm-N.
    Update: m = beta q + g; x' <- W (x - lr d), d = g + beta m; q <- mu q + (1 - mu) (x - x') / lr
    Choose it for: momentum on unequal data
    Raises:
      ValueError: a number out of range.
    Identity: beta = 0 is D-PSGD (atc). One node, without Nesterov: q <- (mu + (1 - mu) beta) q + (1 - mu) g, quasi-hyperbolic
      momentum (0.99 and 0.1 by default), not heavy ball.
    Reference: Lin, Karimireddy, Stich and Jaggi, Quasi-global momentum, 2021.
    """

    lr: NodeFloatLike = number(check=positive_rate)
    beta: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))
    mu: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))
    nesterov: bool = static(default=True, check=choice(True, False))

    traits = Traits(weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> QgState:
        """Momentum at zero."""
        del key
        return QgState(params, tree.zeros(params))

    def step(self, state: QgState, round: Round) -> QgState:
        """Step with momentum, gossip, and the momentum of that move."""
        x, lr = state.params, round.rate(self.lr)
        grads = round.gradient(x)
        heavy = tree.axpy(self.beta, state.momentum, grads)
        down = tree.axpy(self.beta, heavy, grads) if self.nesterov else heavy
        mixed = round.gossip(round.keep(tree.sub(x, tree.scale(lr, down)), x))
        moved = tree.scale(1 / jnp.maximum(lr, 1e-8), tree.sub(x, mixed))
        momentum = tree.add(tree.scale(self.mu, state.momentum), tree.scale(1 - self.mu, moved))
        return QgState(mixed, round.keep(momentum, state.momentum))


__all__ = ["QgDsgdm", "QgState"]
