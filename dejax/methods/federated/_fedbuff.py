"""FedBuff: the server steps once m updates are in its buffer, each of a stale model.

    y_i <- x^{t - a_i};  K times: y_i <- y_i - lr g_i(y_i)
    x <- x + server_lr (1/m) sum_S s(a_i) (y_i - x^{t - a_i}),   s(a) = 1 / sqrt(1 + a)

A round is one step of the server: m nodes finish, whose model was a_i of the server's steps old. Ages are
drawn anew for each, uniformly from 0 to `delay`, so that what a clock would give is set, not simulated.
Wire: 1 model up and 1 down per update. State: the server's last `delay` + 1 models.
Reference: Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek and Huba, Federated learning with buffered
asynchronous aggregation, 2022.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import constant_rate, natural, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import LocalStep
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class FedBuffState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    past: Tree  # [delay, ...]: its models of the rounds before, the newest first


@struct
class FedBuff:
    """Asynchronous federated averaging: updates of stale models, weighed down by their age.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      clients: m, updates that fill the buffer, 1 <= m <= n; None takes all nodes; static.
      delay: most steps of the server between a node's download and its upload, >= 0; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      server_lr: step along the mean update.
    Update: m updates of models up to delay steps old, weighed by 1 / sqrt(1 + age)
    Choose it for: servers that do not wait
    Raises:
      ValueError: clients or local_steps < 1; delay < 0.
    Identity: delay = 0 is FedAvg with nodes that count alike.
    Reference: Nguyen et al., AISTATS 2022; the server divides by m, not by the sum of s(a_i).
    """

    lr: NodeFloatLike = number(check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    delay: int = static(default=4, check=natural)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    server_lr: FloatLike = number(default=1.0, check=constant_rate)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees those whose updates arrive."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> FedBuffState:
        """All models before round 0 are the start."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return FedBuffState(x, tree.tile(x, self.delay))

    def step(self, state: FedBuffState, round: Round) -> FedBuffState:
        """Train from models of some rounds ago; add their updates by age."""
        cohort = cohort_of(self, round)
        models = tree.map(lambda x, old: jnp.concatenate([x[None], old]), state.params, state.past)
        age = jax.vmap(lambda key: jax.random.randint(key, (), 0, self.delay + 1))(cohort.node_keys("age"))
        x = tree.map(lambda models: models[age], models)
        descend = LocalStep(self.lr, None)
        y, _ = cohort.local_steps(x, (), descend, self.local_steps)
        update = tree.scale(1 / jnp.sqrt(1.0 + age), tree.sub(y, x))
        new = tree.axpy(self.server_lr, cohort.average(update), state.params)
        return FedBuffState(new, tree.map(lambda m: m[:-1], models))


__all__ = ["FedBuff", "FedBuffState"]
