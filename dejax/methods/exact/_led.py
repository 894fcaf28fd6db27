"""LED, local exact diffusion: K local steps with a correction, then one average.

    y <- x_i;  K times: y <- y - lr g_i(y) + c_i / K
    x_i' = sum_j W_ij y_j;   c_i' = c_i + x_i' - y_i,  c_i = 0 before round 0

W: doubly stochastic and symmetric. Its eigenvalues must lie above -1/3 for K = 1, which is D2; that
this is enough for K > 1, too, is not confirmed by the paper. The proofs are for a fixed W.
Wire: 1 model per directed edge and round, whatever K.
Reference: Alghunaim, Local exact-diffusion for decentralized optimization and learning, 2024.
Equations agree with the paper's algorithm as a public program of others has it, team-decent/decent-bench
(its y is -c); its second step size, free there, is 1/K here.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class LedState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    correction: NodeTree  # c, sums to zero over the nodes; ends at K lr g_i


@struct
class Led:
    """Local exact diffusion (LED): K corrected local steps between averages.

    Needs a fixed graph, as `d2` does: graphs that change from round to round are refused.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: K steps along g - c / (K lr); x <- W y; c <- c + x' - y
    Choose it for: messages cost more than gradients, unequal data
    Identity: sum_i c_i = 0; K = 1 is D2.
    Reference: Alghunaim, Local exact-diffusion for decentralized optimization and learning, 2024.
    """

    lr: NodeFloatLike = number(check=rate)
    local_steps: LocalSteps = static(default=5, check=local_steps)

    traits = Traits(symmetric=True, spectrum=-1 / 3, sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> LedState:
        """No correction: the first round is one of local SGD."""
        del key
        return LedState(params, tree.zeros(params))

    def step(self, state: LedState, round: Round) -> LedState:
        """K corrected steps, then gossip."""
        most, steps = round.steps_of(self.local_steps)
        share = tree.scale(1 / (most if steps is None else steps.astype(float)), state.correction)

        def one(r: Round, y: NodeTree) -> NodeTree:
            return tree.add(tree.sub(y, tree.scale(r.rate(self.lr), r.gradient(y))), share)

        y = round.repeat(self.local_steps, one, state.params)
        mixed = round.gossip(y)
        return LedState(mixed, tree.add(state.correction, tree.sub(mixed, y)))


__all__ = ["Led", "LedState"]
