"""IFCA: a server keeps K models; each node trains the one that suits its data best.

Each model is averaged over the nodes that chose it.

    c_i <- argmin_k f_i(x_k);   K_steps times: y_i <- y_i - lr g_i(y_i) from y_i = x_(c_i);   x_k <- x_k + mean over c_i = k of (y_i - x_k)

A model that nobody chose stays as it is. Wire: K models down and 1 up per sampled node and round.
State: K models, and the choice of each node.
Reference: Ghosh, Chung, Yin and Ramchandran, An efficient framework for clustered federated
learning, 2020.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate, whole
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeInt, NodeTree, PRNGKey, Round, Tree
from ...errors import bad
from ...optimizers import check_step, local_step
from .._parts import CLIENTS, WEIGHTS, cohort_of, upload_weights


class IfcaState(NamedTuple):
    """What the next round needs."""

    models: Tree  # x_k, [K, ...]
    choice: NodeInt  # c_i, [n]: the model that node i chose when it last took part; 0 before


@struct
class Ifca:
    """Iterative federated clustering (IFCA): nodes choose among K models and train their choice.

    The starts of the first K nodes are those of the K models, so they must differ:
    `Problem(starts="independent")`. It may end in a poor partition, as k-means may: on clustered
    regression 10 of 10 seeds found the clusters from starts of their law, 2 of 10 from standard
    normal ones (docs/experiments.md). Try several seeds.

    Args:
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clusters: K >= 1, static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: steps from the chosen model, >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Nodes choose by raw losses and tell the server, which no mechanism of `dejax.privacy` covers: refused beside one.

    Update: c_i = argmin_k f_i(x_k); K_steps from x_(c_i); each x_k moves by the mean of those who chose it
    Choose it for: nodes of a few kinds, unknown which
    Raises:
      ValueError: clusters, clients or local_steps < 1; neither or both of lr and optimizer.
    Identity: K = 1 is FedAvg; a node's choice never increases its loss for fixed models.
    Reference: Ghosh et al., An efficient framework for clustered federated learning, 2020.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    clusters: int = static(default=2, check=whole)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """Describe several models at a server, which differ by their starts; a round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, groups=True, own_starts=True, raw_losses=True)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> IfcaState:
        """The starts of the first K nodes."""
        del key
        n = tree.leaves(params)[0].shape[0]
        if self.clusters > n:
            raise bad(
                "clusters", self.clusters, owner="Ifca", why=f"but there are n = {n} nodes", instead=f"give at most {n}"
            )
        return IfcaState(tree.map(lambda x: x[: self.clusters], params), jnp.zeros((n,), jnp.int32))

    def model(self, state: IfcaState) -> NodeTree:
        """Each node's choice."""
        return tree.map(lambda x: x[state.choice], state.models)

    def step(self, state: IfcaState, round: Round) -> IfcaState:
        """Sample, choose, train, average by choice."""
        cohort = cohort_of(self, round)
        acting = tree.map(lambda x: x[cohort.take(state.choice)], state.models)  # as it chose last
        batch, descend = cohort.batch("choose", params=acting), local_step(self)
        model = lambda k: tree.tile(tree.map(lambda x: x[k], state.models), cohort.n)
        losses = [cohort.loss(model(k), batch, name=f"loss{k}") for k in range(self.clusters)]
        choice = jnp.stack(losses).argmin(0).astype(jnp.int32)
        x = tree.map(lambda x: x[choice], state.models)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        change = cohort.average(
            tree.sub(y, x),
            upload_weights(self, cohort),
            groups=choice,
            num_groups=self.clusters,
            downloads=self.clusters,
        )
        return IfcaState(tree.add(state.models, change), cohort.put(state.choice, choice))


__all__ = ["Ifca", "IfcaState"]
