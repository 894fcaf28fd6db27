"""FedRep: a body that all nodes share, and a head of its own for each of them.

    K_h times: h_i <- h_i - lr_h grad_h f_i(x, h_i);   K times, from b_i = x: b_i <- b_i - lr grad_b f_i(b_i, h_i)
    x <- x + sum_S w_i (b_i - x)

While one part moves the other stays. Heads are never sent, and go on from where they were. Wire: the body up and
down per sampled node and round. State: x, h_i of every node. FedPer, where both parts move at once, is `fedavg` with
`roles={head: personal}`.
Reference: Collins, Hassani, Mokhtari and Shakkottai, Exploiting shared representations for personalized
federated learning, 2021.
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import or_none, rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.parts import part
from ...core.struct import number, static, struct
from ...core.tree import join
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...errors import NULL
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, upload_weights


class FedrepState(NamedTuple):
    """What the next round needs; each part has None where the other has the leaf."""

    body: Tree  # x, the server's, no node axis
    head: NodeTree  # h_i, [n, ...]


@struct
class Fedrep:
    """Train heads at home, then the common body for them.

    Args:
      lr: step size of the body, >= 0; scalar, [n] or a schedule.
      head: path of the head's leaves, such as "layer1", or several; None: the last part of the model; static.
      head_lr: step size of heads; None: lr.
      head_steps: K_h >= 1, static. local_steps: K >= 1, of the body, one number, one per node or `Epochs`; static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: K_h steps of heads at home, then K of bodies; mean of bodies
    Choose it for: personal heads on a common body
    Raises:
      ValueError: clients, head_steps or local_steps < 1; paths without leaves, or of all leaves.
    Identity: without a head it is fedavg; with head_lr = 0 it is fedavg with a frozen head; lr = 0 trains heads alone.
    Reference: Collins et al., ICML 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    head: str | tuple[str, ...] | None = static(default=None)
    head_lr: NodeFloatLike = number(default=None, check=or_none(rate, "or " + NULL + " for lr"))
    head_steps: int = static(default=10, check=whole)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    clients: int | None = static(default=None, check=CLIENTS)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One body at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, heads=True)

    def init(self, params: NodeTree, key: PRNGKey) -> FedrepState:
        """All models start alike."""
        del key
        check_cohort(self, params)
        head, body = part(self.head, params)
        return FedrepState(at_server(body), head)

    def model(self, state: FedrepState) -> NodeTree:
        """The body with each node's head, [n, ...]; the body alone where there is no head."""
        heads = tree.leaves(state.head)
        return join(tree.tile(state.body, heads[0].shape[0]), state.head) if heads else state.body

    def step(self, state: FedrepState, round: Round) -> FedrepState:
        """Sample, train heads, train bodies, average these."""
        cohort = cohort_of(self, round)
        x, head = tree.tile(state.body, cohort.n), cohort.take(state.head)

        def moved(r: Round, own: Tree, rest: Tree, lr: Any) -> Any:
            slope = r.gradient(own, fixed=rest)
            return r.keep(tree.sub(own, tree.scale(r.rate(lr), slope)), own)

        head_lr = self.lr if self.head_lr is None else self.head_lr
        if tree.leaves(head):
            head = cohort.repeat(self.head_steps, lambda r, h: moved(r, h, x, head_lr), head, name="head")
        body = cohort.repeat(self.local_steps, lambda r, b: moved(r, b, head, self.lr), x, name="body")
        change = cohort.average(tree.sub(body, x), upload_weights(self, cohort))
        return FedrepState(tree.add(state.body, change), cohort.put(state.head, head))


__all__ = ["Fedrep", "FedrepState"]
