"""Network Lasso by ADMM: own models, and a price on each edge for the distance of its ends.

    minimise sum_i f_i(x_i) + lam sum over edges |x_i - x_j|       norms, not squares: neighbors may become equal

    a_ij = x_i + u_ij, sent to j, who sends a_ji;   t = max(1 - lam / (penalty |a_ij - a_ji|), 1/2)
    z_ij = t a_ij + (1 - t) a_ji;   u_ij <- a_ij - z_ij
    x_i <- argmin_y  f_i(y) + (penalty / 2) sum_j |y - z_ij + u_ij|^2

The argmin has no closed form for a network, nor one that reads samples alone: K steps y <- y - lr
(g_i(y) + penalty sum_j (y - z_ij + u_ij)) from y = x_i take its place, on a fresh batch each. They
reach it as K grows, and K = 1 has the same fixed points. Papers begin a round with x_i; here it
begins with the exchange, so that copies z need no memory and no start. Where a message was lost,
u_ij stays and z_ij is x_i, which moves no fixed point.

All edges count alike; W is not used. lr below 2 / (L + penalty * neighbors) lets local problems
converge, L the curvature of f_i; half of that is safe for all K. Disagreement that is left shrinks
slowly where penalty is far from the curvature.
Wire: 1 model per directed edge and round. Memory: 1 model per directed edge.
Reference: Hallac, Leskovec and Boyd, Network Lasso: clustering and optimization in large graphs,
2015; Zhu et al., Decentralised traffic incident detection via network lasso, 2024. The step of x
and u is that of public code, the closed form of z is derived here; settings of the latter paper
are not known.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, constant_rate, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class NetworkLassoState(NamedTuple):
    """What the next round needs, beside the duals u on edges."""

    params: NodeTree  # x, one model per node


@struct
class NetworkLasso:
    """Network Lasso: personal models whose neighbors may become exactly equal, by ADMM.

    Args:
      lr: step size within a local problem, >= 0; scalar, [n] or a schedule.
      lam: price of an edge, >= 0, in units of gradients.
      penalty: of ADMM, > 0, in units of curvature; moves no fixed point.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: a = x + u, sent; u <- share of a_ij - a_ji, at most half; K steps along g + penalty sum_j (y -
      z_ij + u_ij)
    Choose it for: personal models in groups that are not known: neighbors become exactly equal
    Raises:
      ValueError: lam < 0; penalty <= 0; K < 1.
    Identity: u_ij + u_ji = 0; at a fixed point u_ij is the slope of f_i's share on that edge, of norm at most
      lam / penalty; lam = 0 and K = 1 is local training; lam large is the optimum of the mean loss.
    Reference: Hallac, Leskovec and Boyd, 2015.
    """

    lr: NodeFloatLike = number(check=rate)
    lam: FloatLike = number(default=0.1, check=constant_rate)
    penalty: FloatLike = number(default=1.0, check=above(0))
    local_steps: LocalSteps = static(default=5, check=local_steps)

    traits = Traits(channel="edges", weights=("doubly", "row", "column"))

    def init(self, params: NodeTree, key: PRNGKey) -> NetworkLassoState:
        """Duals at zero."""
        del key
        return NetworkLassoState(params)

    def step(self, state: NetworkLassoState, round: Round) -> NetworkLassoState:
        """Exchange, the step of each edge, then K steps at each node."""
        x, edges = state.params, round.edges
        dual, write = round.edge_slot(
            "dual", lambda m: tree.map(lambda leaf: jnp.zeros((m, *leaf.shape[1:]), leaf.dtype), x)
        )
        at_home = edges.of_nodes(x)
        mine = tree.add(at_home, dual)
        got = round.exchange(mine, per_edge=True)
        gap = tree.sub(mine, got.rows)
        size = jnp.sqrt(tree.sq_norm(gap))
        moved = jnp.minimum(self.lam / (self.penalty * jnp.where(size > 0, size, 1)), 0.5)  # 1 - t
        new = tree.scale(moved, gap)
        copies = tree.sub(mine, new)
        if got.mask is not None:
            new, copies = tree.where(got.mask, new, dual), tree.where(got.mask, copies, at_home)
        write(new)
        target, degree = edges.sum(tree.sub(copies, new)), edges.sum(jnp.ones((edges.m,), jnp.int32))

        def one(r: Round, y: NodeTree) -> NodeTree:
            pull = tree.scale(self.penalty, tree.sub(tree.scale(degree, y), target))
            return r.keep(tree.sub(y, tree.scale(r.rate(self.lr), tree.add(r.gradient(y), pull))), y)

        return NetworkLassoState(round.repeat(self.local_steps, one, x))


__all__ = ["NetworkLasso", "NetworkLassoState"]
