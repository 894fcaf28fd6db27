"""Sign flip: adversaries send the negative of what they should.

Reference: Li et al., RSA: Byzantine-robust stochastic aggregation methods, 2019.
"""

import numpy as np

from ...core import checks, tree
from ...core.checks import at_least
from ...core.kinds import Attack
from ...core.struct import number, static, struct
from ...core.types import Context, FloatLike, NodeMask, NodeTree
from ..adversaries import WHO, Adversaries, adversary_mask


@struct
class SignFlip(Attack):
    """Adversaries send -strength times their own value, the same to everybody (sign flip).

    They need no knowledge of others. The value is the whole message (a model, a tracker); it is
    what the adversary holds, not the mean of the honest.

    Args:
      adversaries: how many (first of a permutation drawn from `seed`), what share of all nodes, or
        their ids.
      strength: the factor, >= 0, a leaf; 1 by default. With h honest nodes and f adversaries that
        hold the same value, strength h/f makes the plain mean 0.
      seed: of the permutation.
    Raises:
      ValueError: adversaries or strength out of range.
    Reference: Li et al., RSA: Byzantine-robust stochastic aggregation methods, 2019.
    Example:
      >>> SignFlip(adversaries=(0, 3)).is_adversary(4).tolist()
      [True, False, False, True]
    """

    adversaries: Adversaries = static(check=WHO)
    strength: FloatLike = number(default=1.0, check=at_least(0))
    seed: int = static(default=0, check=checks.seed)

    hook = "message"

    def is_adversary(self, n: int) -> np.ndarray:
        """Bool [n] over global ids."""
        return adversary_mask(self, n)

    def message(self, ctx: Context, own: NodeTree, sent: NodeTree) -> tuple[NodeTree, None]:
        """(what leaves each sender, None: the same for all receivers)."""
        del own
        return self.server(ctx, sent, ctx.is_adversary), None

    def server(self, ctx: Context, sent: NodeTree, is_adversary: NodeMask) -> NodeTree:
        """What arrives of senders [m]."""
        del ctx
        return tree.where(is_adversary, tree.scale(-1.0 * self.strength, sent), sent)
