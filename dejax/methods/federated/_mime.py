"""Mime and MimeLite: local steps with the server's momentum, fixed while nodes train.

    y_i <- x;  K times: y_i <- y_i - lr ((1 - b) d + b m),   d = g_i(y_i) - g_i(x) + c  (Mime)  or  g_i(y_i)  (MimeLite)
    x <- x + sum_S w_i (y_i - x);   m <- (1 - b) c + b m,   c = sum_S w_i g_i(x)

g_i(y_i) and g_i(x) see the same batch; c is the mean gradient of the cohort at x, of one batch per node.
Wire, per sampled node and round: 2 models up; 3 down (Mime) or 2 (MimeLite). State: x and m.
Reference: Karimireddy, Jaggi, Kale, Mohri, Reddi, Stich and Suresh, Breaking the centralized barrier
for cross-device federated learning, 2021; here with momentum as the base optimizer.
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import in_, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, upload_weights


class MimeState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    momentum: Tree  # m, no node axis


@struct
class Mime:
    """Local steps that imitate a step of the server's own momentum SGD, corrected for drift.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      momentum: b, 0 <= b < 1.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      lite: MimeLite: no correction d, and one model less to send; static.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: local steps with the server's fixed momentum; lite without correction
    Choose it for: cross-device training with momentum
    Raises:
      ValueError: momentum outside [0, 1); clients or local_steps < 1.
    Identity: lite and b = 0 is FedAvg; K = 1 without lite is the server's own momentum SGD.
    Reference: Karimireddy et al., NeurIPS 2021. The paper's c is a gradient of all samples of the
      cohort; here of one batch per node, which is the same with full batches.
    """

    lr: NodeFloatLike = number(check=rate)
    momentum: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    lite: bool = static(default=False)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> MimeState:
        """m = 0."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return MimeState(x, tree.zeros(x))

    def step(self, state: MimeState, round: Round) -> MimeState:
        """Gather the mean gradient, train with the fixed momentum, average."""
        cohort, b = cohort_of(self, round), self.momentum
        x, m = (tree.tile(part, cohort.n) for part in state)
        lr, shares = cohort.rate(self.lr), upload_weights(self, cohort)
        c = cohort.average(cohort.gradient(x, name="at server"), shares, name="gradient")
        mean = tree.tile(c, cohort.n)

        def one(r: Round, y: Tree) -> Any:
            batch = r.batch(params=y)
            d = r.gradient(y, batch)
            if not self.lite:
                d = tree.add(tree.sub(d, r.gradient(x, batch, name="same batch")), mean)
            move = tree.map(lambda d, m: (1 - b) * d + b * m, d, m)
            return r.keep(tree.sub(y, tree.scale(lr, move)), y)

        y = cohort.repeat(self.local_steps, one, x)
        change = cohort.average(tree.sub(y, x), shares, name="model", downloads=1 if self.lite else 2)
        momentum = tree.map(lambda c, m: (1 - b) * c + b * m, c, state.momentum)
        return MimeState(tree.add(state.params, change), momentum)


__all__ = ["Mime", "MimeState"]
