"""FedAvg: sampled nodes make K local steps from the server's model; the server averages.

    y_i <- x;  K times: y_i <- y_i - lr g_i(y_i);   x <- x + server_lr sum_S (m_i / m_S) (y_i - x)

Wire: 1 model up and 1 down per sampled node and round. State: one model; nothing is kept per node.
Reference: McMahan, Moore, Ramage, Hampson and Aguera y Arcas, Communication-efficient learning of
deep networks from decentralized data, 2017.
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, own_weights, upload_weights


class FedAvgState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis


@struct
class FedAvg:
    """Federated averaging: sampled nodes train the server's model, which becomes their mean.

    The mean is weighted by the nodes' numbers of samples, or as `weights` says.

    Args:
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static. Only these are
        computed.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
      server_lr: step along the mean difference; 1 is the paper's mean of models.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: m sampled nodes: K steps from x; x <- x + server_lr weighted mean(y - x)
    Choose it for: very many nodes: only the m sampled are computed
    Raises:
      ValueError: clients or local_steps < 1; weights < 0, all 0 or not n; neither or both of lr and
        optimizer.
    Identity: K = 1, all nodes, full batches: gradient descent on the sample-weighted objective.
    Reference: McMahan et al., Communication-efficient learning of deep networks from decentralized
      data, 2017.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))
    server_lr: FloatLike = number(default=1.0, check=constant_rate)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, one_update=not own_weights(self.weights))

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> FedAvgState:
        """Start the server's model from the mean of the nodes' starts.

        The driver hands over n copies of it.
        """
        del key
        check_cohort(self, params)
        return FedAvgState(at_server(params))

    def step(self, state: FedAvgState, round: Round) -> FedAvgState:
        """Sample, train, average the differences."""
        cohort = cohort_of(self, round)
        x, descend = tree.tile(state.params, cohort.n), local_step(self)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        change = cohort.average(tree.sub(y, x), upload_weights(self, cohort))
        return FedAvgState(tree.axpy(self.server_lr, change, state.params))


__all__ = ["FedAvg", "FedAvgState"]
