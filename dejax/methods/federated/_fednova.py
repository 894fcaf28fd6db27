"""FedNova: unequal numbers of steps, averaged so that nobody counts double.

    y_i <- x;  tau_i times: y_i <- y_i - lr u_i(y_i);   a_i = what its tau_i gradients weigh in (x - y_i) / lr
    x <- x + (sum_S w_i a_i) sum_S w_i (y_i - x) / a_i

For plain SGD a_i = tau_i; with momentum b, a_i = (tau_i - b (1 - b^tau_i) / (1 - b)) / (1 - b).
Wire: 1 model and one number up, 1 model down per sampled node and round. State: one model.
Reference: Wang, Liu, Liang, Joshi and Poor, Tackling the objective inconsistency problem in
heterogeneous federated optimization, 2020.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, WEIGHTS, WORK, at_server, check_cohort, cohort_of, own_steps, upload_weights


class FedNovaState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis


@struct
class FedNova:
    """Federated averaging normalised by how much each node worked.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      work: share of the K steps that a node makes, 0 < work <= 1, scalar or [n]; None: all make K.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, of which `work` takes a share; one number, one per node or `Epochs`; static.
      momentum: b of heavy-ball steps at the nodes, 0 <= b < 1; starts anew in every round.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: x + (mean a_i) mean((y_i - x) / a_i), a_i the work of node i
    Choose it for: unequal numbers of steps
    Raises:
      ValueError: momentum outside [0, 1); work outside (0, 1]; clients or local_steps < 1.
    Identity: where all nodes make equally many steps it is FedAvg.
    Reference: Wang et al., NeurIPS 2020.
    """

    lr: NodeFloatLike = number(check=rate)
    work: NodeFloatLike | None = number(default=None, check=WORK)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    momentum: FloatLike = number(default=0.0, check=in_(0, 1, "[)"))
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> FedNovaState:
        """The server's model."""
        del key
        check_cohort(self, params)
        return FedNovaState(at_server(params))

    def step(self, state: FedNovaState, round: Round) -> FedNovaState:
        """Sample, train, average what one unit of work changed, and step by the mean work."""
        cohort, b = cohort_of(self, round), self.momentum
        x, lr = tree.tile(state.params, cohort.n), cohort.rate(self.lr)
        steps = own_steps(cohort, self.work, self.local_steps)

        def one(r: Round, carry: Tree) -> Any:
            y, m = carry
            m = r.keep(tree.axpy(b, m, r.gradient(y)), m)
            return r.keep(tree.sub(y, tree.scale(lr, m)), y), m

        y, _ = cohort.repeat(self.local_steps, one, (x, tree.zeros(x)), steps=steps)
        tau = jnp.full((cohort.n,), cohort.steps_of(self.local_steps)[0]) if steps is None else steps
        a = (tau - b * (1 - b**tau) / (1 - b)) / (1 - b)
        shares = upload_weights(self, cohort)
        unit = cohort.average(tree.scale(1 / a, tree.sub(y, x)), shares, name="unit")
        work = cohort.average({"a": a}, shares, name="work")["a"]
        return FedNovaState(tree.axpy(work, unit, state.params))


__all__ = ["FedNova", "FedNovaState"]
