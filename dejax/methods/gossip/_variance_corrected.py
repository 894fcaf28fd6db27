"""Variance-corrected averaging: tensors regain the variance of those that were averaged.

    y_i = K local steps from x_i;   a_i = sum_j W_ij y_j
    t = c Var(y_i) + (1 - c) mean of Var(y_j) over the neighbors j of i, for each tensor
    x_i <- mean(a_i) + (a_i - mean(a_i)) sqrt((t + eps) / (Var(a_i) + eps))

Var is the unbiased variance of a tensor's numbers; one number alone is left as it is. Means of weakly correlated models have a
smaller variance than those had, which slows the start of training. Statistics of batches are no part of a method's model.
W: row sums 1 keep a consensus; the network's mean is not kept. Wire: 1 model per directed edge and round; variances are taken
from it. The published code takes for a_i the own model times c and the neighbors' mean times 1 - c, which is one choice of W.
Reference: Tian, Al-Ars, Kitsak and Hofstee, Vanishing variance problem in fully decentralized neural-network systems, 2024. Read in
simulator code that seems to be the authors'; the default of c is unconfirmed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, in_, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree, Values
from ...optimizers import check_step, local_step

EXACT = "variances are of models as they were sent, which codecs, noise and forgers change; use local_sgd"


class VarianceCorrectedState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD


@struct
class VarianceCorrected:
    """Variance-corrected averaging: local SGD whose averages keep each tensor's variance.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      own: c in [0, 1], share of the node's own variance in the target: 1 and 0 are the published modes "self" and "others",
        between them "conservative"; default 0.5 (unconfirmed).
      eps: added to both variances, > 0; 1e-4 as published, which is not small beside the variance of a wide layer.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for every node instead of lr; its state persists from round to round.
    Update: K steps; W y; every tensor spread out to the variance of those averaged
    Choose it for: nodes that start from different draws
    Raises:
      ValueError: a number out of range; K < 1; neither or both of lr and optimizer.
    Identity: a tensor's mean is that of the plain average; equal models stay as they are; eps -> infinity is local SGD.
    Reference: Tian, Al-Ars, Kitsak and Hofstee, Vanishing variance problem in fully decentralized neural-network systems, 2024.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    own: FloatLike = number(default=0.5, check=in_(0, 1))
    eps: FloatLike = number(default=1e-4, check=above(0))
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"), needs_exact=EXACT)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> VarianceCorrectedState:
        """Start from the given models."""
        del key
        return VarianceCorrectedState(params, local_step(self).init(params))

    def step(self, state: VarianceCorrectedState, round: Round) -> VarianceCorrectedState:
        """K steps, an average, and its tensors spread out again."""
        y, opt = round.local_steps(state.params, state.opt, local_step(self), self.local_steps)
        got, own = round.exchange(y), tree.map(variance, y)

        def hear(carry: Tree, value: Tree, weight: jax.Array, mask: jax.Array, s: int | Values) -> Any:
            del weight, s
            total, count = carry
            more = tree.map(lambda t, v: t + jnp.where(mask, variance(v), 0), total, value)
            return more, count + mask.astype(jnp.int32)

        total, count = got.fold(hear, (tree.zeros(own), jnp.zeros((round.n,), jnp.int32)))
        others = tree.where(count > 0, tree.scale(1 / jnp.maximum(count, 1), total), own)
        target = tree.add(tree.scale(self.own, own), tree.scale(1 - self.own, others))
        return VarianceCorrectedState(tree.map(self.spread_out, got.combine(), target), opt)

    def spread_out(self, x: jax.Array, target: jax.Array) -> jax.Array:
        """A tensor [n, ...] around its means, with variances `target` [n]."""
        if x[0].size == 1:
            return x
        wide = x.astype(target.dtype)
        eps, mean = jnp.asarray(self.eps).astype(target.dtype), wide.mean(tuple(range(1, x.ndim)), keepdims=True)
        ratio = jnp.sqrt((target + eps) / (variance(x) + eps))
        return (mean + (wide - mean) * tree.over(ratio, x)).astype(x.dtype)


def variance(x: jax.Array) -> jax.Array:
    """[n]: the unbiased variance of each node's numbers, in at least float32; 0 of one number."""
    if x[0].size == 1:
        return jnp.zeros(x.shape[:1], jnp.promote_types(x.dtype, jnp.float32))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(x.shape[0], -1)
    return wide.var(1, ddof=1)


__all__ = ["VarianceCorrected", "VarianceCorrectedState"]
