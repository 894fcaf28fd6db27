"""Ditto: FedAvg, and a personal model per node that is pulled towards the global one.

    y_i <- x;  K times: y_i <- y_i - lr g_i(y_i);   x <- x + sum_S w_i (y_i - x)
    K times: v_i <- v_i - lr (g_i(v_i) + lam (v_i - x)),   x as the round began

v_i is never sent. Wire: 1 model up and 1 down per sampled node and round. State: x, v_i of every node.
Reference: Li, Hu, Beirami and Smith, Ditto: fair and robust federated learning through
personalization, 2021.
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import LocalStep
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, upload_weights


class DittoState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    personal: NodeTree  # v_i, [n, ...]


@struct
class Ditto:
    """A global model by federated averaging, and a personal one for each node.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      lam: pull of the personal model towards the global one, >= 0; the paper tries 0.05 to 2.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, of both models, one number, one per node or `Epochs`; static.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: fedavg, and v <- v - lr (g(v) + lam (v - x)) at home
    Choose it for: personal models, robustly
    Raises:
      ValueError: lam < 0; clients or local_steps < 1.
    Views: "personal", v_i; what is evaluated without a name is x.
    Identity: x moves as under FedAvg; lam = 0 makes v_i local training.
    Reference: Li et al., ICML 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    lam: FloatLike = number(default=0.1, check=constant_rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> DittoState:
        """All models start alike."""
        del key
        check_cohort(self, params)
        return DittoState(at_server(params), params)

    def views(self, state: DittoState) -> dict[str, NodeTree]:
        """The personal models."""
        return {"personal": state.personal}

    def step(self, state: DittoState, round: Round) -> DittoState:
        """Sample, train both models, average the global one."""
        cohort = cohort_of(self, round)
        x, v, lr = tree.tile(state.params, cohort.n), cohort.take(state.personal), cohort.rate(self.lr)
        y, _ = cohort.local_steps(x, (), LocalStep(self.lr, None), self.local_steps, name="global")

        def pulled(r: Round, v: Tree) -> Any:
            slope = tree.axpy(self.lam, tree.sub(v, x), r.gradient(v))
            return r.keep(tree.sub(v, tree.scale(lr, slope)), v)

        v = cohort.repeat(self.local_steps, pulled, v, name="personal")
        change = cohort.average(tree.sub(y, x), upload_weights(self, cohort))
        return DittoState(tree.add(state.params, change), cohort.put(state.personal, v))


__all__ = ["Ditto", "DittoState"]
