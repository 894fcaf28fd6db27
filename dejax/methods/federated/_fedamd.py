"""FedAMD: anchors refresh a direction; miners walk along it with less noise.

    anchor, with probability p:  v_i <- g_i(x), of `anchor_batches` batches
    miner:   y <- x, h <- v;  K times, on one batch: h <- h + g_i(y) - g_i(y_last), y_last <- y, y <- y - lr h;   D_i = x - y
    x <- x - server_lr mean of D_i over miners;   v, the mean of all n nodes' v_i, then takes in the anchors' new ones

In the first step y_last = y, so that h = v. In round 0 all nodes first send v_i = g_i(x). Where nobody mines, x stays.
Wire: 1 model up and 2 down (x, v) per sampled node and round; 1 up from each node before round 0.
State: x, v and v_i of every node, which with plain messages is what the server would cache.
Reference: Wu, Guo, Qu, He, Liu and Gao, Anchor sampling for federated learning with partial client participation, 2023; rules and
defaults after their code, but for the size of anchors' batches, which is set by anchor_batches = 8 here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import Number, constant_rate, rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, at_server, check_cohort, cohort_of

SHARE = Number("a probability: a number in [0, 1]", lambda v: 0 <= v <= 1, schedules=True)


class FedAmdState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    direction: Tree  # v, no node axis
    anchors: NodeTree  # v_i, [n, ...]


@struct
class FedAmd:
    """Federated learning by anchors and miners: variance-reduced steps along a mean gradient.

    Nodes count alike.

    Args:
      lr: step size of miners, >= 0; scalar, [n] or a schedule.
      p: probability that a sampled node is an anchor, in [0, 1]; a number or a schedule, which may be 1 in some rounds and 0 in others.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      anchor_batches: batches of an anchor's gradient, >= 1, static.
      server_lr: step along the miners' mean.
    Update: anchors renew g_i(x) in v, the mean of all n; miners: h <- v, then h + g(y) - g(y_last) on one
      batch, y <- y - lr h
    Choose it for: less noise under partial participation
    Raises:
      ValueError: p outside [0, 1]; clients, local_steps or anchor_batches < 1.
    Identity: v = mean_i v_i always (plain rule and codec), also under churn and lost uploads; p = 1: x stays; K = 1: x moves by
      -lr server_lr v.
    Reference: Wu et al., Anchor sampling for federated learning with partial client participation, ICML 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    p: FloatLike = number(default=0.2, check=SHARE)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=10, check=local_steps)
    anchor_batches: int = static(default=8, check=whole)
    server_lr: FloatLike = number(default=1.0, check=constant_rate)

    @property
    def traits(self) -> Traits:
        """A server that tells anchors from miners; in round 0 all nodes work, whoever is sampled."""
        return Traits(
            channel="server",
            server=self.clients or "all",
            groups=True,
            sums_keep="v = mean(v_i) of the nodes' gradients",
        )

    def init(self, params: NodeTree, key: PRNGKey) -> FedAmdState:
        """v_i = 0, which round 0 replaces."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return FedAmdState(x, tree.zeros(x), tree.zeros(params))

    def step(self, state: FedAmdState, round: Round) -> FedAmdState:
        """Sample; anchors refresh, miners train; the server takes in both."""
        x = state.params
        everyone = lambda r, carry: self.refresh(r, x, carry, None)[:2]
        v, anchors = round.when(round.index == 0, everyone, (state.direction, state.anchors), name="first")
        cohort = cohort_of(self, round)
        p = round.rate(self.p)
        draw = jax.vmap(lambda key: jax.random.uniform(key, dtype=float))(cohort.node_keys("anchor"))
        mines = (draw >= p).astype(jnp.int32)
        v_new, anchors, moved = self.refresh(cohort, x, (v, anchors), mines)
        return FedAmdState(tree.axpy(self.server_lr, moved, x), v_new, anchors)

    def refresh(self, r: Round, x: Tree, carry: Tree, mines: Tree) -> tuple[Any, Any, Any]:
        """(v, v_i, mean move of the miners) after a view's nodes have uploaded.

        mines: int32 [m], 1 for miners; None where all are anchors.
        """
        v, anchors = carry
        start, own = tree.tile(x, r.n), r.take(anchors)
        add = lambda r, total: tree.add(total, r.gradient(start))
        is_anchor = jnp.ones((r.n,), bool) if mines is None else mines == 0
        k = self.anchor_batches
        gradient = r.repeat(k, add, tree.zeros(start), steps=k * is_anchor, name="anchor")
        fresh = r.keep(tree.scale(1 / k, gradient), own)
        value, group = tree.sub(fresh, own), jnp.where(is_anchor, 0, 1)
        if mines is not None:
            value = tree.where(is_anchor, value, tree.sub(self._mined(r, start, v, mines), start))
        means = r.average(value, groups=group, num_groups=2, downloads=2)
        arrived = is_anchor if r.uploads is None else r.uploads & is_anchor
        share = arrived.sum() / r.n_all
        v = tree.map(lambda v, m: v + (share * m[0]).astype(v.dtype), v, means)
        return v, r.put(anchors, tree.where(arrived, fresh, own)), tree.map(lambda m: m[1], means)

    def _mined(self, r: Round, x: NodeTree, v: Tree, mines: Tree) -> Any:
        lr = r.rate(self.lr)

        def one(r: Round, carry: Tree) -> Any:
            y, last, h = carry
            batch = r.batch(params=y)
            change = tree.sub(r.gradient(y, batch, name="here"), r.gradient(last, batch, name="there"))
            h = tree.add(h, change)
            return r.keep(tree.sub(y, tree.scale(lr, h)), y), r.keep(y, last), h

        steps = r.steps_of(self.local_steps)[0] * mines
        return r.repeat(self.local_steps, one, (x, x, tree.tile(v, r.n)), steps=steps, name="miner")[0]


__all__ = ["FedAmd", "FedAmdState"]
