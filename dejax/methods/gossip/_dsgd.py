"""D-PSGD: every node makes a gradient step and averages with its neighbors.

In one of three orders:

    atc   x_i <- sum_j W_ij (x_j - lr g_j(x_j))        adapt, then combine
    awc   x_i <- sum_j W_ij x_j - lr g_i(x_i)          adapt with combine: the paper's form, compute overlaps messages
    cta   p_i = sum_j W_ij x_j;  x_i <- p_i - lr g_i(p_i)   combine, then adapt

W: row sums 1 keep a consensus; column sums 1 too make the mean model follow the mean gradient.
Wire: 1 model per directed edge and round.
Reference: Lian et al., Can decentralized algorithms outperform centralized algorithms?, 2017.
"""

from typing import Any, Literal, NamedTuple

from ...core.checks import choice, rate
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round
from ...optimizers import check_step, local_step


class DsgdState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node, never mixed


@struct
class Dsgd:
    """Decentralized SGD (D-PSGD): each round a gradient step and one average with the neighbors.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule; swept without recompiling.
      order: "atc" (default), "awc" (the paper's) or "cta"; static. ATC and CTA are one sequence
        seen at two half steps.
      optimizer: an optax optimizer for every node (`dejax.optimizer`) instead of lr.
    Update: "atc": x <- W (x - lr g(x)); "awc": x <- W x - lr g(x); "cta": p = W x, x <- p - lr g(p)
    Choose it for: the baseline; "atc" has the smaller bias, "awc" is D-PSGD as published and computes while
      messages travel
    Raises:
      ValueError: neither or both of lr and optimizer; an unknown order.
    Identity: with W doubly stochastic, mean(x) moves by -lr mean(g) exactly; with lr = 0 it is
      gossip.
    Reference: Lian et al., Can decentralized algorithms outperform centralized algorithms?, 2017.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    order: Literal["atc", "awc", "cta"] = static(default="atc", check=choice("atc", "awc", "cta"))
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"), footprint="pair")

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> DsgdState:
        """Start from the given models."""
        del key
        return DsgdState(params, local_step(self).init(params))

    def step(self, state: DsgdState, round: Round) -> DsgdState:
        """One round in the chosen order."""
        descend, x = local_step(self), state.params
        if self.order == "cta":
            mixed = round.gossip(x)
            return DsgdState(*descend(round, round.gradient(mixed), state.opt, mixed))
        if self.order == "atc":
            adapted, opt = descend(round, round.gradient(x), state.opt, x)
            return DsgdState(round.gossip(adapted), opt)
        grads, mixed = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x))
        return DsgdState(*descend(round, grads, state.opt, mixed))


__all__ = ["Dsgd", "DsgdState"]
