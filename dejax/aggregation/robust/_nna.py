"""Nearest-neighbor averaging: the mean of own and received values without the f furthest.

    x_i <- mean of x_i and of all received x_j but the f with the largest ||x_j - x_i||

W is not used: kept values have equal weights. One pass of edge distances, then one pass of the
mixing kernel.
Reference: Farhadkhani et al., Robust collaborative learning with linear gradient overhead (MoNNA),
2023.
"""

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.kinds import Rule
from ...core.struct import number, struct
from ...core.types import Context, FloatLike, NodeTree, Received
from ..bound import BOUND, check_majority
from ..functions import nearest_kept


@struct
class Nna(Rule):
    """Nearest-neighbor averaging: mean of own and received values without the f furthest.

    Distances are those from the own value. The own value is always kept, and the weights of W are
    not used. Of m values that arrive m - f are kept; where f or fewer arrive, the node keeps its
    own. Values that are not finite count among the f and are never averaged in. Squared distances
    are summed in float32 over the whole message.

    Args:
      f: bad values assumed among those a node receives in a phase, a whole number >= 0. A leaf: it
        may be swept.
    Raises:
      ValueError: f negative or no whole number; f so large that bad values are half of a
        neighborhood (by `check`).
    Identity: the result lies within R of the own value when all honest values do; f = 0 on a
      complete graph is the mean.
    Reference: Farhadkhani et al., Robust collaborative learning with linear gradient overhead
      (MoNNA), 2023.
    Example:
      >>> Nna(f=1).linear
      False
    """

    f: FloatLike = number(check=BOUND)

    needs_own = True

    def check(self, degree: int, server: bool = False) -> None:
        """ValueError when f is half or more of a neighborhood with `degree` neighbors."""
        check_majority(self, degree, server)

    def combine(self, ctx: Context, received: Received) -> NodeTree:
        """One value per receiver."""
        del ctx
        keep = self._kept(received)
        dtype = jnp.result_type(jnp.float32, *tree.leaves(received.own))
        share = 1 / (1 + keep.sum(1, dtype=jnp.int32)).astype(dtype)
        return received.weighted(jnp.where(keep, share[:, None], 0), share)

    def rejected(self, ctx: Context, received: Received) -> jax.Array:
        """[n, k]: 1 for the values among the f furthest, 0 for those averaged."""
        del ctx
        return 1.0 - self._kept(received).astype(jnp.float32)

    def _kept(self, received: Received) -> jax.Array:
        return nearest_kept(received.sq_distances(), self.f, received.mask)
