"""CHOCO-SGD: compressed gossip on public copies of the models.

    z_i = x_i - lr g_i(x_i);   q_i = C(z_i - h_i);   h_i <- h_i + q_i;   x_i <- z_i + gamma sum_j W_ij (h_j - h_i)

It is D-PSGD whose messages go through a codec with copies: the codec carries h, and the wire sees q
only.
W: doubly stochastic. C: any contractive compressor. Wire: C of one model per directed edge and
round.
Reference: Koloskova, Stich and Jaggi, Decentralized stochastic optimization and gossip algorithms
with compressed communication, 2019.
"""

from typing import Any, Literal, NamedTuple

from ...compression import copies
from ...core import tree
from ...core.checks import choice, in_, rate
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class ChocoState(NamedTuple):
    """What the next round needs; the copies live with the codec."""

    params: NodeTree  # x, one model per node


@struct
class Choco:
    """CHOCO-SGD: D-PSGD with compressed differences to public copies of the models.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      gamma: step of gossip in (0, 1]; must shrink with the compression. Ring of 8, published runs:
        sign 0.45, top-1 % 0.04.
      compressor: contractive, e.g. `top_k(ratio=0.01)` or `qsgd(levels=16)`.
      order: "atc" (the paper's) or "awc", where the message of round t is the model before its
        gradient step; static.
    Update: h <- h + C(z - h); x <- z + gamma (W h - h)
    Choose it for: few bits per round
    Identity: keeps the mean of x for every C and gamma; equals dsgd(order) with the codec
      copies(compressor, gamma).
    Reference: Koloskova, Stich and Jaggi, 2019; Koloskova, Lin, Stich and Jaggi, 2020 (deep
      learning).
    """

    lr: NodeFloatLike = number(check=rate)
    gamma: FloatLike = number(check=in_(0, 1, "(]"))
    compressor: Any = option(check=Slot("compressor"))
    order: Literal["atc", "awc"] = static(default="atc", check=choice("atc", "awc"))

    traits = Traits(own_codec="compressor")

    def init(self, params: NodeTree, key: PRNGKey) -> ChocoState:
        """Start from the given models; copies start at zero."""
        del key
        return ChocoState(params)

    def step(self, state: ChocoState, round: Round) -> ChocoState:
        """Gradient step and compressed gossip."""
        codec, lr, x = copies(self.compressor, self.gamma), round.rate(self.lr), state.params
        down = tree.map(lambda v: -v, lr)
        if self.order == "atc":
            return ChocoState(round.gossip(tree.axpy(down, round.gradient(x), x), codec=codec))
        grads, mixed = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x, codec=codec))
        return ChocoState(tree.axpy(down, grads, mixed))


__all__ = ["Choco", "ChocoState"]
