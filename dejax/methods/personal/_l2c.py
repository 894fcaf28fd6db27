"""L2C: every node learns whose updates help it, by the gradient of its own loss.

    y_i <- x_i, K times: y_i <- y_i - lr g_i(y_i);   D_i = x_i - y_i, sent
    x_i <- x_i - sum_j w_ij D_j,   w_i = softmax(a_i) over i and the neighbors j whose D_j arrived
    a_i <- a_i - mix_lr df_i(x_i)/da_i, at the new x_i, on a fresh batch:   df_i/dw_ij = -<g_i(x_i), D_j>

Updates are mixed, not models: nothing pulls together models that started apart. Weights of the topology are not used: it says who hears
whom. Left out of the paper: it judges on validation samples, and drops the smallest weights after some rounds.
Wire: 1 model per neighbor and round. State: the models, and a [n, n].
Reference: Li, Zhou, Tian and Tao, Learning to collaborate in decentralized learning of personalized models, 2022. Written from
knowledge of the paper.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Values
from ...optimizers import LocalStep


class L2cState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x_i, [n, ...]
    logits: jax.Array  # a_ij, [n, n]: what node i thinks of the updates of node j


@struct
class L2c:
    """Personal models whose nodes learn the weights by which they mix their neighbors' updates.

    Args:
      lr: step size of local steps, >= 0; scalar, [n] or a schedule.
      mix_lr: step size of the logits a_i, >= 0; likewise. Their gradient shrinks with lr and the square of gradients.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: K steps move x by D; x <- x - sum_j w_ij D_j; w = softmax(a), a moves along the own loss's
      gradient in w
    Choose it for: personal models in groups that are not known: who helps whom is learned
    Raises:
      ValueError: local_steps < 1; a rate < 0.
    Identity: equal updates, or mix_lr = 0, leave all weights equal: with a complete graph and equal starts that is averaging of all
      models; without neighbors it is training alone. sum_j a_ij stays as it is.
    Reference: Li et al., CVPR 2022.
    """

    lr: NodeFloatLike = number(check=rate)
    mix_lr: NodeFloatLike = number(default=1.0, check=rate)
    local_steps: LocalSteps = static(default=1, check=local_steps)

    traits = Traits(
        weights=("doubly", "row", "column"), needs_sums="it learns the weights by which it mixes; leave it out"
    )

    def init(self, params: NodeTree, key: PRNGKey) -> L2cState:
        """All weights equal."""
        del key
        leaves = tree.leaves(params)
        n = leaves[0].shape[0]
        return L2cState(params, jnp.zeros((n, n), jnp.result_type(jnp.float32, *leaves)))

    def step(self, state: L2cState, round: Round) -> L2cState:
        """Train, mix updates, judge them."""
        y, _ = round.local_steps(state.params, (), LocalStep(self.lr, None), self.local_steps)
        got = round.exchange(tree.sub(state.params, y))
        ids, _ = round.neighbors
        rows = jnp.arange(round.n)
        own, others = state.logits[rows, round.ids], state.logits[rows[:, None], ids]
        both = jnp.concatenate([own[:, None], jnp.where(got.mask, others, -jnp.inf)], 1)
        w = jax.nn.softmax(both, 1)
        x = tree.sub(state.params, got.moved(got.average(w[:, 1:], w[:, 0])))
        slope = round.gradient(x, name="judge")
        along = lambda carry, value, weight, mask, s: carry.at[:, s].set(-_dot(slope, value, carry.dtype))
        of_others = got.fold(along, jnp.zeros(others.shape, both.dtype))
        of_w = jnp.concatenate([-_dot(slope, got.own, both.dtype)[:, None], of_others], 1)
        of_w = jnp.where(w > 0, of_w, 0)  # of what did not arrive nothing is known
        slope_of_a = w * (of_w - (w * of_w).sum(1, keepdims=True))
        change = -tree.scale(round.rate(self.mix_lr), slope_of_a)
        logits = state.logits.at[rows, round.ids].add(change[:, 0]).at[rows[:, None], ids].add(change[:, 1:])
        return L2cState(x, round.keep(logits, state.logits))


def _dot(a: NodeTree, b: NodeTree, dtype: Any) -> Values:
    """[n]: inner products of the nodes' rows."""
    wide = lambda x: x.astype(dtype).reshape(x.shape[0], -1)
    return functools.reduce(jnp.add, tree.leaves(tree.map(lambda x, y: (wide(x) * wide(y)).sum(1), a, b)))


__all__ = ["L2c", "L2cState"]
