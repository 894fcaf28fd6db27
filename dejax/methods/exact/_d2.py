"""D2 and exact diffusion: D-PSGD that adds back what the last average moved.

    z_i = x_i - lr g_i(x_i) + c_i
    D2                x_i' = sum_j W_ij z_j
    exact diffusion   x_i' = (z_i + sum_j W_ij z_j) / 2
    c_i' = x_i' - (x_i - lr g_i(x_i)),  c_i = 0 before round 0

With a constant lr this is x_i' = sum_j W_ij (2 x_j - x_j_last - lr (g_j - g_j_last)), with (I + W)
/ 2 for W in exact diffusion. The form with c needs no rescaling where lr changes.

W: doubly stochastic and symmetric; D2 needs its eigenvalues above -1/3. The proofs are for a fixed
W, and D2 diverges on graphs that change, which are refused: over one period of
`one_peer_hypercube(8)` its map has the spectral radius 2, exact diffusion's has 1.
Wire: 1 model per directed edge and round.
Reference: Tang, Lian, Yan, Zhang and Liu, D2: decentralized training over decentralized data, 2018;
Yuan, Ying, Zhao and Sayed, Exact diffusion for distributed optimization and learning, 2019.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class D2State(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    correction: NodeTree  # c, sums to zero over the nodes


def _start(params: NodeTree) -> D2State:
    return D2State(params, tree.zeros(params))


@struct
class D2:
    """D2: D-PSGD with the difference of two iterates; exact on unequal data.

    Needs a fixed graph: where W changes from round to round it diverges, so that such graphs are refused.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: z = x - lr g + c; x <- W z; c <- x' - (x - lr g)
    Choose it for: unequal data at half the bytes of tracking
    Identity: sum_i c_i = 0, so that the mean model moves by -lr mean(g); W = 11^T/n with equal starts is centralized SGD.
    Reference: Tang et al., D2: decentralized training over decentralized data, 2018.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(symmetric=True, spectrum=-1 / 3, sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> D2State:
        """No correction: the first round is one of D-PSGD (atc)."""
        del key
        return _start(params)

    def step(self, state: D2State, round: Round) -> D2State:
        """Adapt, correct, combine."""
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), round.gradient(state.params)))
        mixed = round.gossip(tree.add(adapted, state.correction))
        return D2State(mixed, tree.sub(mixed, adapted))


@struct
class ExactDiffusion:
    """Exact diffusion: D2 on (I + W) / 2, so that any symmetric W will do.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: as d2, with x <- (z + W z) / 2
    Choose it for: unequal data at half the bytes of tracking, on any symmetric W
    Identity: sum_i c_i = 0; D2 on lazy weights, (I + W) / 2, is the same sequence.
    Reference: Yuan, Ying, Zhao and Sayed, Exact diffusion for distributed optimization and learning, 2019.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(symmetric=True, sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> D2State:
        """No correction: the first round is one of D-PSGD (atc) on (I + W) / 2."""
        del key
        return _start(params)

    def step(self, state: D2State, round: Round) -> D2State:
        """Adapt, correct, combine halfway."""
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), round.gradient(state.params)))
        corrected = tree.add(adapted, state.correction)
        mixed = tree.scale(0.5, tree.add(corrected, round.gossip(corrected)))
        return D2State(mixed, tree.sub(mixed, adapted))


__all__ = ["D2", "D2State", "ExactDiffusion"]
