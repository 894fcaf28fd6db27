"""SCAFFOLD: FedAvg with control variates, so that local steps do not drift on unequal data.

    y_i <- x;  K times: y_i <- y_i - lr (g_i(y_i) - c_i + c)
    c_i' = c_i - c + (x - y_i) / (K lr)                       (option II)
    x <- x + server_lr mean_S (y_i - x);   c <- c + (1/n) sum_S (c_i' - c_i)

Wire: 2 models up and 2 down per sampled node and round. State: one model, c, and c_i of every node.
Reference: Karimireddy et al., SCAFFOLD: stochastic controlled averaging for federated learning,
2020.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import constant_rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, LR, check_cohort


class ScaffoldState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    control: Tree  # c, no node axis
    controls: NodeTree  # c_i, [n, ...], zero before round 0


@struct
class Scaffold:
    """SCAFFOLD: federated averaging with control variates; exact on unequal data.

    Exact means that constant steps lead to the optimum of the mean loss.

    Args:
      lr: > 0 (option II divides by it); scalar or a schedule.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      server_lr: step along the mean difference.
    Update: as FedAvg, with steps g_i - c_i + c
    Choose it for: FedAvg on unequal data
    Raises:
      ValueError: lr <= 0; clients or local_steps < 1.
    Identity: c = mean_i c_i always, also under churn and lost uploads (with the plain rule and
      codec); K = 1, all nodes: c_i = g_i(x).
    Reference: Karimireddy et al., 2020.
    """

    lr: FloatLike = number(check=LR)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    server_lr: FloatLike = number(default=1.0, check=constant_rate)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, sums_keep="c = mean(c_i) of the control variates")

    def init(self, params: NodeTree, key: PRNGKey) -> ScaffoldState:
        """Controls start at zero."""
        del key
        check_cohort(self, params)
        x = tree.map(lambda p: p[0], params)
        return ScaffoldState(x, tree.zeros(x), tree.zeros(params))

    def step(self, state: ScaffoldState, round: Round) -> ScaffoldState:
        """Sample, train with corrections, average models and controls."""
        cohort = round if self.clients is None else round.sample(self.clients)
        lr, (most, steps) = round.rate(self.lr), cohort.steps_of(self.local_steps)
        k = most if steps is None else steps
        mine = cohort.take(state.controls)
        x, c = tree.tile(state.params, cohort.n), tree.tile(state.control, cohort.n)
        shift = tree.sub(c, mine)

        def one(r: Round, y: Tree) -> Any:
            return r.keep(tree.sub(y, tree.scale(lr, tree.add(r.gradient(y), shift))), y)

        y = cohort.repeat(self.local_steps, one, x)
        lr = jnp.asarray(lr)
        new = tree.add(tree.sub(mine, c), tree.scale(1 / (k * jnp.where(lr > 0, lr, 1)), tree.sub(x, y)))
        new = tree.where(jnp.broadcast_to(lr > 0, (cohort.n,)), new, mine)  # a schedule may end at 0
        heard = cohort.uploads  # a node whose upload was lost keeps its control, so that c stays the mean
        new, count = cohort.keep(new, mine), cohort.n
        if heard is not None:
            new, count = (
                tree.where(heard, new, mine),
                heard.sum(dtype=jnp.promote_types(tree.leaves(c)[0].dtype, jnp.float32)),
            )
        # two messages, as their scales differ by 1 / (K lr): a compressor of both together would
        # keep one of them only
        moved = cohort.average(tree.sub(y, x), name="model")
        learned = cohort.average(tree.sub(new, mine), name="control")
        return ScaffoldState(
            tree.axpy(self.server_lr, moved, state.params),
            tree.axpy(count / round.n, learned, state.control),
            cohort.put(state.controls, new),
        )


__all__ = ["Scaffold", "ScaffoldState"]
