"""GT-SAGA: tracking of gradients whose noise a table of the last gradients takes away.

    v_i' = mean of b (g_ib(x_i) - T_ib) + mean of all T_ij;   T_ib <- g_ib(x_i)     b: the batch; j: all samples of i
    y_i <- sum_j W_ij (y_j + v_j' - v_j);   x_i <- sum_j W_ij (x_j - lr y_j)

T_ij is the gradient of sample j of node i where it was drawn last. T = v = y = 0 before round 0; the
paper begins with all gradients at the first model, as here where batches are full.

W: unit column sums keep mean(y) = mean(v); unit row sums keep consensus.
Wire: 2 models per directed edge and round. Memory: one model per sample, beside 3 per node.
Reference: Xin, Khan and Kar, Variance-reduced decentralized stochastic optimization with accelerated
convergence, 2020. Order and estimate agree with a public program of others, team-decent/decent-bench.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree


class SagaState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    tracker: NodeTree  # y, estimate of the network-mean gradient
    estimate: NodeTree  # v, estimate of the node's own gradient
    table: NodeTree  # T, [n, places, ...], the last gradient of each sample; 0 on padding


def _of_node(new: Tree, table: Tree, places: jax.Array, count: jax.Array) -> tuple[Tree, Tree]:
    """Give (v, T) of one node.

    new: gradients [B, ...], 0 on padding. places: [B]. count: samples of the node.
    """
    drawn = jnp.maximum((places < count).sum(), 1)  # under Poisson sampling there may be none
    old = tree.map(lambda t: t.at[places].get(mode="fill", fill_value=0), table)
    correct = lambda g, o, t: (g - o).sum(0) / drawn.astype(g.dtype) + t.sum(0) / count.astype(g.dtype)
    kept = tree.map(lambda t, g: t.at[places].set(g, mode="drop"), table, new)
    return tree.map(correct, new, old, table), kept


@struct
class GtSaga:
    """GT-SAGA: gradient tracking with a table of the last gradient of every sample.

    A constant step leads to the optimum of the mean loss at a linear rate where losses are strongly
    convex. Keeps one model per sample. Samples are the nodes' own, under any sampling (but for empty Poisson draws,
    for which v is the mean of the table alone); gradients are taken one by one, so that models with
    batch statistics are refused.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: v <- mean_b (g_b(x) - T_b) + mean(T); T_b <- g_b(x); y <- W (y + v' - v); x <- W (x - lr y)
    Choose it for: nodes of few samples: exact at a constant step by batches of any size
    Identity: mean(y) = mean(v) after every round; the mean of v over what may be drawn is the node's full
      gradient; full batches, or one sample per node, make it gradient tracking.
    Reference: Xin, Khan and Kar, 2020.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(
        per_example=True, sums_keep="mean(y) = mean(v), the mean of the trackers and of the gradients' estimates"
    )

    def init(self, params: NodeTree, key: PRNGKey) -> SagaState:
        """Trackers and estimates at zero; the table gets its places in `start`."""
        del key
        empty = tree.map(lambda x: jnp.zeros((x.shape[0], 0, *x.shape[1:]), x.dtype), params)
        return SagaState(params, tree.zeros(params), tree.zeros(params), empty)

    def start(self, state: SagaState, round: Round) -> SagaState:
        """One place for each sample."""
        long = lambda x: jnp.zeros((x.shape[0], round.places, *x.shape[1:]), x.dtype)
        return state._replace(table=tree.map(long, state.params))

    def step(self, state: SagaState, round: Round) -> SagaState:
        """Estimate, track, then adapt and combine."""
        x, y, v, table = state
        batch = round.batch(places=True)
        grads = round.gradient(x, batch, per_example=True)
        estimate, table = round.keep(round.map(_of_node, grads, table, batch.places, round.counts), (v, table))
        corrected = tree.add(y, tree.sub(estimate, v))
        tracker = round.gossip(corrected, name="tracker")
        adapted = tree.sub(x, tree.scale(round.rate(self.lr), tracker))
        return SagaState(round.gossip(adapted, name="params"), tracker, estimate, table)


__all__ = ["GtSaga", "SagaState"]
