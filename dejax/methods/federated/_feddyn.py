"""FedDyn: local objectives, regularised anew in each round, that agree on the optimum.

    y_i <- x;  K times: y_i <- y_i - lr (g_i(y_i) - d_i + alpha (y_i - x));   d_i <- d_i - alpha (y_i - x)
    h <- h - alpha (1/n) sum_S (y_i - x);   x <- mean_S y_i - h / alpha

d_i, kept by node i, tends to its gradient at the optimum; h stays the mean of all d_i.
Wire: 1 model up and 1 down per sampled node and round. State: x, h, and d_i of every node.
Reference: Acar, Zhao, Matas Navarro, Mattina, Whatmough and Saligrama, Federated learning based on
dynamic regularization, 2021. Signs as there; others square no norm or flip the correction.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class FedDynState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    drift: Tree  # h, no node axis
    duals: NodeTree  # d_i, [n, ...], zero before round 0


@struct
class FedDyn:
    """Federated learning with dynamic regularisation; exact on unequal data.

    Nodes count alike, whatever their numbers of samples.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      alpha: weight of the regulariser, > 0; the paper takes 0.001 to 0.1.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static; the paper's nodes solve their problems to the end.
    Update: local objectives with a linear and a proximal term, renewed in each round
    Choose it for: unequal data, exactly
    Raises:
      ValueError: alpha <= 0; clients or local_steps < 1.
    Identity: h = mean_i d_i always (plain rule and codec), also under churn and lost uploads; at a
      fixed point of all nodes d_i = grad f_i(x) and the mean gradient is 0.
    Reference: Acar et al., ICLR 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    alpha: FloatLike = number(default=0.01, check=above(0))
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, sums_keep="h = mean(d_i) of the nodes' linear terms")

    def init(self, params: NodeTree, key: PRNGKey) -> FedDynState:
        """All corrections start at zero."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return FedDynState(x, tree.zeros(x), tree.zeros(params))

    def step(self, state: FedDynState, round: Round) -> FedDynState:
        """Sample, train on regularised objectives, average, correct."""
        cohort, alpha = cohort_of(self, round), self.alpha
        x, lr, dual = tree.tile(state.params, cohort.n), cohort.rate(self.lr), cohort.take(state.duals)

        def one(r: Round, y: Tree) -> Any:
            slope = tree.axpy(alpha, tree.sub(y, x), tree.sub(r.gradient(y), dual))
            return r.keep(tree.sub(y, tree.scale(lr, slope)), y)

        y = cohort.repeat(self.local_steps, one, x)
        heard = cohort.uploads  # whose upload was lost keeps its d_i, so that h stays the mean
        arrived = jnp.ones((cohort.n,), bool) if heard is None else heard
        moved = cohort.keep(tree.sub(y, x), tree.zeros(x))
        dual = tree.where(arrived, tree.sub(dual, tree.scale(alpha, moved)), dual)
        change = cohort.average(moved)
        wide = tree.leaves(state.params)[0].dtype
        share = arrived.sum(dtype=jnp.promote_types(wide, jnp.float32)) / round.n
        drift = tree.map(lambda h, c: h - (alpha * share * c).astype(h.dtype), state.drift, change)
        # where nobody was heard the server waits: x <- mean_S y_i - h / alpha of an empty S means nothing
        step = tree.map(lambda c, h: jnp.where(share > 0, c - (h / alpha).astype(c.dtype), 0), change, drift)
        return FedDynState(tree.add(state.params, step), drift, cohort.put(state.duals, dual))


__all__ = ["FedDyn", "FedDynState"]
