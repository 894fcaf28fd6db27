"""FedOpt: FedAvg whose server takes the mean difference for a gradient, with any optimizer.

    y_i <- x;  K times: y_i <- y_i - lr g_i(y_i);   D = sum_S w_i (y_i - x);   x <- server step along -D

Wire: 1 model up and 1 down per sampled node and round. State: one model and the server optimizer's.
Reference: Reddi, Charles, Zaheer, Garrett, Rush, Konecny, Kumar and McMahan, Adaptive federated
optimization, 2021.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import Optimizer, check_step, local_step
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, own_weights, upload_weights


class FedOptState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    server: Any  # the server optimizer's state


@struct
class FedOpt:
    """Federated averaging with an optax optimizer at the server.

    `server=optimizer(optax.sgd, 1.0, momentum=0.9)` is FedAvgM; see `fedadam` for the adaptive
    optimizers as their paper writes them, without bias correction.

    Args:
      server: the server's optimizer, any of optax.
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: the server's optimizer along the mean difference
    Choose it for: badly scaled models; momentum at the server
    Raises:
      ValueError: clients or local_steps < 1; neither or both of lr and optimizer.
    Identity: `server=optimizer(optax.sgd, 1.0)` is FedAvg.
    Reference: Reddi et al., ICLR 2021.
    """

    server: Optimizer = option(check=Slot("optimizer"))
    lr: NodeFloatLike = number(default=None, check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, one_update=not own_weights(self.weights))

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> FedOptState:
        """The server's model, and its optimizer's state."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return FedOptState(x, self.server.make().init(x))

    def step(self, state: FedOptState, round: Round) -> FedOptState:
        """Sample, train, hand the mean difference to the server's optimizer."""
        cohort, descend = cohort_of(self, round), local_step(self)
        x = tree.tile(state.params, cohort.n)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        change = cohort.average(tree.sub(y, x), upload_weights(self, cohort))
        gradient = tree.map(jnp.negative, change)
        update, server = self.server.make(round).update(gradient, state.server, state.params)
        return FedOptState(tree.add(state.params, update), server)


__all__ = ["FedOpt", "FedOptState"]
