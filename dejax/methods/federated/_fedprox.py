"""FedProx: FedAvg whose local steps are pulled back to the server's model.

    y_i <- x;  K times: y_i <- y_i - lr (g_i(y_i) + mu (y_i - x));   x <- x + server_lr sum_S w_i (y_i - x)

Wire: 1 model up and 1 down per sampled node and round. State: one model.
Reference: Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, Federated optimization in heterogeneous
networks, 2020.
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, WEIGHTS, WORK, at_server, check_cohort, cohort_of, own_steps, own_weights, upload_weights


class FedProxState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis


@struct
class FedProx:
    """Federated averaging with a proximal term, for nodes that do unequal amounts of work.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      mu: weight of the proximal term (mu / 2) ||y - x||^2, >= 0; the paper tries 0.001 to 1.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      work: share of the K steps that a node makes, 0 < work <= 1, scalar or [n]; None: all make K.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
      server_lr: step along the mean difference.
    Update: K steps y <- y - lr (g(y) + mu (y - x)), then the server's mean
    Choose it for: nodes that do unequal work
    Raises:
      ValueError: mu < 0; clients or local_steps < 1; work outside (0, 1].
    Identity: mu = 0 is FedAvg; so is K = 1, where y = x at the only step.
    Reference: Li et al., MLSys 2020.
    """

    lr: NodeFloatLike = number(check=rate)
    mu: FloatLike = number(default=0.01, check=constant_rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    work: NodeFloatLike | None = number(default=None, check=WORK)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)
    server_lr: FloatLike = number(default=1.0, check=constant_rate)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, one_update=not own_weights(self.weights))

    def init(self, params: NodeTree, key: PRNGKey) -> FedProxState:
        """The server's model."""
        del key
        check_cohort(self, params)
        return FedProxState(at_server(params))

    def step(self, state: FedProxState, round: Round) -> FedProxState:
        """Sample, train near the server's model, average the differences."""
        cohort = cohort_of(self, round)
        x, lr = tree.tile(state.params, cohort.n), cohort.rate(self.lr)

        def one(r: Round, y: Tree) -> Any:
            pulled = tree.axpy(self.mu, tree.sub(y, x), r.gradient(y))
            return r.keep(tree.sub(y, tree.scale(lr, pulled)), y)

        y = cohort.repeat(self.local_steps, one, x, steps=own_steps(cohort, self.work, self.local_steps))
        change = cohort.average(tree.sub(y, x), upload_weights(self, cohort))
        return FedProxState(tree.axpy(self.server_lr, change, state.params))


__all__ = ["FedProx", "FedProxState"]
