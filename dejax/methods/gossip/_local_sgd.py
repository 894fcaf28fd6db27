"""Local SGD over a graph: K local steps, then one gossip average.

With heavy-ball momentum it is DFedAvgM.

    y <- x_i;  K times: y <- y - lr g_i(y) + theta (y - y_previous);  x_i <- sum_j W_ij y_j

W: row sums 1 keep a consensus; column sums 1 too keep the mean of the local results.
Wire: 1 model per directed edge and round, whatever K.
Reference: Stich, Local SGD converges fast and communicates little, 2019 (W = 11^T/n); Sun, Li and
Wang, Decentralized federated averaging, 2022 (momentum; their quantized form is this method with a
codec).
"""

from typing import Any, NamedTuple

from ...core import tree
from ...core.checks import in_, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step


class LocalSgdState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD


@struct
class LocalSgd:
    """Local SGD: K optimizer steps at every node, then one weighted average with the neighbors.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for every node instead of lr; its state persists from round to
        round.
    Update: K steps, then x <- W x
    Choose it for: messages cost more than gradients
    Raises:
      ValueError: K < 1; neither or both of lr and optimizer.
    Identity: K = 1 is D-PSGD (atc).
    Reference: Stich, Local SGD converges fast and communicates little, 2019.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    local_steps: LocalSteps = static(default=5, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"))

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> LocalSgdState:
        """Start from the given models."""
        del key
        return LocalSgdState(params, local_step(self).init(params))

    def step(self, state: LocalSgdState, round: Round) -> LocalSgdState:
        """K steps, then gossip."""
        y, opt = round.local_steps(state.params, state.opt, local_step(self), self.local_steps)
        return LocalSgdState(round.gossip(y), opt)


class DFedAvgMState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node


@struct
class DFedAvgM:
    """Decentralized FedAvg with momentum: K heavy-ball steps, then one average with neighbors.

    Args:
      lr: > 0 in use, >= 0 allowed; scalar, [n] or a schedule.
      momentum: theta in [0, 1); restarts at every round.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: K heavy-ball steps, then x <- W x
    Choose it for: as local SGD, with momentum
    Identity: K = 1 is D-PSGD (atc) for every theta; theta = 0 is local SGD.
    Reference: Sun, Li and Wang, Decentralized federated averaging, 2022.
    """

    lr: NodeFloatLike = number(check=rate)
    momentum: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))
    local_steps: LocalSteps = static(default=5, check=local_steps)

    traits = Traits(weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> DFedAvgMState:
        """Start from the given models."""
        del key
        return DFedAvgMState(params)

    def step(self, state: DFedAvgMState, round: Round) -> DFedAvgMState:
        """K heavy-ball steps, then gossip."""

        def one(r: Round, carry: Tree) -> Any:
            y, previous = carry
            speed = tree.scale(self.momentum, tree.sub(y, previous))
            moved = tree.sub(tree.add(y, speed), tree.scale(r.rate(self.lr), r.gradient(y)))
            return r.keep(moved, y), r.keep(y, previous)

        y, _ = round.repeat(self.local_steps, one, (state.params, state.params))
        return DFedAvgMState(round.gossip(y))


__all__ = ["DFedAvgM", "DFedAvgMState", "LocalSgd", "LocalSgdState"]
