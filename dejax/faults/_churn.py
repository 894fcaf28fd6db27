"""Churn: nodes that sleep through a round.

Reference: Koloskova et al., A unified theory of decentralized SGD with changing topology and local
updates, 2020 (random participation as a random graph).
"""

from ..core.checks import in_
from ..core.kinds import Fault
from ..core.random import fold_name, uniform
from ..core.struct import number, struct
from ..core.types import Context, FloatLike, NodeMask


@struct
class Churn(Fault):
    """Nodes that sleep through a round with probability p.

    A sleeping node computes, sends and changes nothing. Links to a sleeping node are down in both
    directions, as in `link_loss`. Rounds and nodes are independent.

    Args:
      p: probability in [0, 1), a leaf: changing it does not recompile.
    Raises:
      ValueError: p outside [0, 1).
    Identity: a sleeping node's state does not change; with symmetric W gossip keeps the mean.
    Reference: Koloskova et al., A unified theory of decentralized SGD with changing topology and
      local updates, 2020.
    Example:
      >>> Churn(p=0.3).sleeps
      True
    """

    p: FloatLike = number(check=in_(0, 1, "[)", "a probability"))

    sleeps = True

    def awake(self, ctx: Context) -> NodeMask:
        """Who takes part in this round."""
        return uniform(fold_name(ctx.node_keys, "churn")) >= self.p
