"""FedMD: nodes agree on what to answer on public rows, and never send a model.

    c = W logits(x_i; public), or their mean at a server;   K_d times: x_i <- x_i - lr mean |logits(x_i; public) - c_i|
    K times: x_i <- x_i - lr g_i(x_i)

Public rows are a batch of those that all nodes hold, the same for all in a round.
Wire: P x C numbers per neighbor and round, or to the server and back, P public rows of C classes. State: the models.
Reference: Li and Wang, FedMD: heterogenous federated learning via model distillation, 2019; there a
server forms the mean, and the fit is to it by the mean absolute error, as here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import constant_rate, or_none, rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...errors import NULL
from ...optimizers import LocalStep

ROWS = or_none(whole, "or " + NULL + " for all public rows")


class FedmdState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x_i, [n, ...]


@struct
class Fedmd:
    """Distillation: answers on public rows are averaged, models are not.

    The data need public rows: `data.partition(..., public=500)`.

    Args:
      lr: step size on the own data, >= 0; scalar, [n] or a schedule.
      digest_lr: step size towards the neighbors' answers, >= 0.
      rows: P, public rows drawn per round; None takes all; static.
      digest_steps: K_d >= 1. local_steps: K >= 1, one number, one per node or `Epochs`. Both static.
      server: a server averages the answers of all nodes, as in the paper; static; default False: neighbors.
        Who is not heard there keeps its own answers as the target.
    Update: digest W logits on public rows, or their mean at a `server`, then own steps
    Choose it for: models that cannot be averaged, as those of several architectures
    Raises:
      ValueError: a number < 1; data without public rows.
    Identity: digest_lr = 0 is training alone.
    Reference: Li and Wang, 2019.
    """

    lr: NodeFloatLike = number(check=rate)
    digest_lr: NodeFloatLike = number(default=0.1, check=constant_rate)
    rows: int | None = static(default=None, check=ROWS)
    digest_steps: int = static(default=1, check=whole)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    server: bool = static(default=False)

    @property
    def traits(self) -> Traits:
        """Answers travel; at a server, too, every node keeps a model of its own."""
        if self.server:
            return Traits(channel="server", averages=False, heads=True)
        return Traits(weights=("doubly", "row"), averages=False)

    def init(self, params: NodeTree, key: PRNGKey) -> FedmdState:
        """The models."""
        del key
        return FedmdState(params)

    def step(self, state: FedmdState, round: Round) -> FedmdState:
        """Answer, agree, digest, revisit."""
        public, answer = round.batch("public", of="public", size=self.rows), round.answer
        logits = round.forward(lambda p, batch, key: answer(p, batch), state.params, batch=public)
        target = round.merge(logits) if self.server else round.gossip(logits)

        def apart(params: Tree, batch: Tree, key: jax.Array, target: jax.Array) -> jax.Array:
            gap = jnp.abs(answer(params, batch) - target)
            return gap.reshape(gap.shape[0], -1).mean(1)

        def digest(r: Round, x: Tree) -> Any:
            slope = r.gradient(x, public, loss=apart, extra=(target,), name="answers")
            return r.keep(tree.sub(x, tree.scale(r.rate(self.digest_lr), slope)), x)

        x = round.repeat(self.digest_steps, digest, state.params, name="digest")
        x, _ = round.local_steps(x, (), LocalStep(self.lr, None), self.local_steps, name="revisit")
        return FedmdState(x)


__all__ = ["Fedmd", "FedmdState"]
