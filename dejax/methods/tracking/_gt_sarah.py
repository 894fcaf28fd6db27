"""GT-SARAH and GT-HSGD: tracking of gradients of reduced variance.

    GT-SARAH  v_i' = mean of `anchor` gradients at x_i               every `period` rounds, from round 0
              v_i' = v_i + g_i(x_i; b) - g_i(x_i_last; b)            else
    GT-HSGD   v_i' = g_i(x_i; b) + (1 - beta) (v_i - g_i(x_i_last; b)),  v_i' = g_i in round 0
    GT-SARAH  y_i <- sum_j W_ij y_j + v_i' - v_i;     x_i <- sum_j W_ij x_j - lr y_i
    GT-HSGD   y_i <- sum_j W_ij (y_j + v_j' - v_j);   x_i <- sum_j W_ij (x_j - lr y_j)

v = y = 0 before round 0. The anchor of GT-SARAH's paper is the gradient on all local samples, as
here where batches are full; else it is a mean over fresh batches. GT-HSGD's paper takes a larger
batch in round 0, which is left out here.

W: unit column sums keep mean(y) = mean(v); unit row sums keep consensus.
Wire: 2 models per directed edge and round. Work: 2 gradients of one batch per round, `anchor` in a
round of an anchor.
Reference: Xin, Khan and Kar, Fast decentralized nonconvex finite-sum optimization with recursive
variance reduction, 2022; Xin, Khan and Kar, A hybrid variance-reduced method for decentralized
stochastic non-convex optimization, 2021. GT-SARAH's order, and its start from zero, are those of two public
programs of others, which agree: liboyue/Network-Distributed-Algorithm and team-decent/decent-bench (by the
paper's algorithm 2.1). GT-HSGD is written from knowledge of its paper.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Values


class SarahState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    tracker: NodeTree  # y, estimate of the network-mean gradient
    estimate: NodeTree  # v, estimate of the node's own gradient at `last`
    last: NodeTree  # x of the last round in which the node computed


def _start(params: NodeTree) -> SarahState:
    return SarahState(params, tree.zeros(params), tree.zeros(params), tree.map(jnp.copy, params))


def _recursion(round: Round, state: SarahState, keep: Values) -> NodeTree:
    """g(x) + keep (v - g(last)), both gradients on one batch."""
    batch = round.batch(params=state.params)
    new = round.gradient(state.params, batch, name="new")
    old = round.gradient(state.last, batch, name="old")
    return tree.axpy(keep, tree.sub(state.estimate, old), new)


@struct
class GtSarah:
    """GT-SARAH: gradient tracking with recursive variance reduction, anchored every few rounds.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      anchor: fresh batches in an anchor, >= 1, static. The paper takes the full gradient: 1 where batches are
        full, else about samples of a node / batch size. There is no default, because with few of them the
        noise of an anchor stays for `period` rounds, which may be worse than plain tracking.
      period: rounds from anchor to anchor, >= 1, static.
    Update: v <- v + g(x; b) - g(x_last; b), afresh every few rounds; y <- W y + v' - v; x <- W x - lr y
    Choose it for: small batches of a finite set: less noise at a constant step
    Identity: mean(y) = mean(v) after every round; full batches make v = g, whatever the period.
    Reference: Xin, Khan and Kar, Fast decentralized nonconvex finite-sum optimization with recursive variance reduction, 2022.
    """

    lr: NodeFloatLike = number(check=rate)
    anchor: int = static(check=whole)
    period: int = static(default=20, check=whole)

    traits = Traits(sums_keep="mean(y) = mean(v), the mean of the trackers and of the gradients' estimates")

    def init(self, params: NodeTree, key: PRNGKey) -> SarahState:
        """Trackers and estimates at zero."""
        del key
        return _start(params)

    def step(self, state: SarahState, round: Round) -> SarahState:
        """Estimate afresh or by recursion, then track."""

        def afresh(r: Round, v: NodeTree) -> NodeTree:
            add = lambda r, total: tree.add(total, r.gradient(state.params))
            return tree.scale(1 / self.anchor, r.repeat(self.anchor, add, tree.zeros(v)))

        anchors = round.index % self.period == 0
        v = round.when(anchors, afresh, state.estimate, name="anchor")
        v = round.when(~anchors, lambda r, v: _recursion(r, state, 1.0), v, name="recursion")
        v = round.keep(v, state.estimate)
        mixed = round.gossip(state.tracker, name="tracker")
        tracker = tree.add(mixed, tree.sub(v, state.estimate))
        params = tree.sub(round.gossip(state.params, name="params"), tree.scale(round.rate(self.lr), tracker))
        return SarahState(params, tracker, v, round.keep(state.params, state.last))


@struct
class GtHsgd:
    """GT-HSGD: gradient tracking with hybrid variance reduction, which needs no anchor.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      beta: share of the plain gradient in the estimate, in [0, 1].
    Update: v <- g(x; b) + (1 - beta) (v - g(x_last; b)); y <- W (y + v' - v); x <- W (x - lr y)
    Choose it for: small batches of a stream: less noise, without anchors
    Identity: mean(y) = mean(v) after every round; beta = 1 makes v = g, and so do full batches.
    Reference: Xin, Khan and Kar, A hybrid variance-reduced method for decentralized stochastic non-convex optimization, 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    beta: FloatLike = number(default=0.1, check=in_(0, 1))

    traits = Traits(sums_keep="mean(y) = mean(v), the mean of the trackers and of the gradients' estimates")

    def init(self, params: NodeTree, key: PRNGKey) -> SarahState:
        """Trackers and estimates at zero."""
        del key
        return _start(params)

    def step(self, state: SarahState, round: Round) -> SarahState:
        """Estimate by recursion, then track."""
        keep = jnp.where(round.index > 0, 1 - jnp.asarray(self.beta), 0)
        v = round.keep(_recursion(round, state, keep), state.estimate)
        corrected = tree.add(state.tracker, tree.sub(v, state.estimate))
        tracker = round.gossip(corrected, name="tracker")
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), tracker))
        return SarahState(round.gossip(adapted, name="params"), tracker, v, round.keep(state.params, state.last))


__all__ = ["GtHsgd", "GtSarah", "SarahState"]
