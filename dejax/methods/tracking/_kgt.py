"""K-GT: K corrected local steps, then one average of models and directions.

    y <- x_i;  K times: y <- y - lr (g_i(y) + c_i)
    z_i = (x_i - y_i) / (K lr)                              mean direction of the K steps
    c_i <- c_i - z_i + sum_j W_ij z_j,  c_i = 0 before round 0
    x_i <- sum_j W_ij (x_j - server_lr K lr z_j)

The paper starts from c_i = mean(g) - g_i, which takes an exact average; zeros satisfy the same
identity.

W: unit column sums keep sum c = 0; unit row sums keep consensus. It may change from round to round.
Wire: 2 models per directed edge and round, whatever K.
Reference: Liu, Lin, Koloskova and Stich, Decentralized gradient tracking with local steps, 2023.
Equations, zeros at the start among them, agree with lines 5 to 10 of the paper's algorithm as a public program of
others has it, team-decent/decent-bench.
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class KgtState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    correction: NodeTree  # c, sums to zero over the nodes; ends at minus the gradients


@struct
class Kgt:
    """K-GT: gradient tracking with K local steps; exact on unequal data.

    Args:
      lr: step size of a local step, >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      server_lr: share of the K steps that is kept before averaging, >= 0.
    Update: K steps along g + c; z = their mean; c <- c - z + W z; x <- W (x - server_lr K lr z)
    Choose it for: as tracking, where messages cost more than gradients
    Identity: sum_i c_i = 0; K = 1 and server_lr = 1 are gradient tracking.
    Reference: Liu, Lin, Koloskova and Stich, Decentralized gradient tracking with local steps, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    local_steps: LocalSteps = static(default=5, check=local_steps)
    server_lr: FloatLike = number(default=1.0, check=constant_rate)

    traits = Traits(sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> KgtState:
        """Corrections at zero."""
        del key
        return KgtState(params, tree.zeros(params))

    def step(self, state: KgtState, round: Round) -> KgtState:
        """K corrected steps, then gossip of directions and models."""
        x, c = state
        lr, (most, steps) = round.rate(self.lr), round.steps_of(self.local_steps)

        def one(r: Round, carry: tuple[NodeTree, NodeTree]) -> tuple[NodeTree, NodeTree]:
            y, total = carry
            direction = tree.add(r.gradient(y), c)
            return tree.sub(y, tree.scale(lr, direction)), tree.add(total, direction)

        _, total = round.repeat(self.local_steps, one, (x, tree.zeros(x)))
        z = tree.scale(1 / (most if steps is None else steps.astype(float)), total)
        tracked = tree.add(tree.sub(c, z), round.gossip(z, name="direction"))
        moved = tree.sub(x, tree.scale(self.server_lr, tree.scale(lr, total)))
        return KgtState(round.gossip(moved, name="params"), tracked)


__all__ = ["Kgt", "KgtState"]
