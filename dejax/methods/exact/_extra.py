"""EXTRA: adapt with combine, and the sum of all past disagreement taken off.

    x_i' = sum_j W_ij x_j - lr g_i(x_i) - q_i
    q_i' = q_i + (x_i - sum_j W_ij x_j) / 2,  q_i = 0 before round 0

The paper's form, x'' = (I + W) x' - (I + W)/2 x - lr (g' - g) from x' = W x - lr g, is the
difference of two rounds.

W: doubly stochastic and symmetric, with eigenvalues above -1; lr below 2 lambda_min((I + W)/2) / L.
The proofs are for a fixed W and full gradients.
Wire: 1 model per directed edge and round.
Reference: Shi, Ling, Wu and Yin, EXTRA: an exact first-order algorithm for decentralized consensus
optimization, 2015.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class ExtraState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    dual: NodeTree  # q, half the sum of past x - W x; sums to zero over the nodes


@struct
class Extra:
    """EXTRA: D-PSGD (awc) less all past disagreement; exact on unequal data.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
    Update: x <- W x - lr g - q; q <- q + (x - W x) / 2
    Choose it for: unequal data at half the bytes of tracking; compute overlaps messages
    Identity: sum_i q_i = 0, so that the mean model moves by -lr mean(g).
    Reference: Shi, Ling, Wu and Yin, EXTRA, 2015.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(symmetric=True, spectrum=-1.0, sums_keep="sum(q) = 0 of the duals")

    def init(self, params: NodeTree, key: PRNGKey) -> ExtraState:
        """No past: the first round is one of D-PSGD (awc)."""
        del key
        return ExtraState(params, tree.zeros(params))

    def step(self, state: ExtraState, round: Round) -> ExtraState:
        """Gradient and average of the same models."""
        x, q = state
        grads, mixed = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x))
        adapted = tree.sub(tree.sub(mixed, tree.scale(round.rate(self.lr), grads)), q)
        return ExtraState(adapted, tree.axpy(0.5, tree.sub(x, mixed), q))


__all__ = ["Extra", "ExtraState"]
