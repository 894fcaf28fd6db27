"""Coordinate-wise trimmed mean of the own value and the received ones.

Reference: Yin et al., Byzantine-robust distributed learning: towards optimal statistical rates,
2018.
"""

import jax

from ...core.kinds import Rule
from ...core.struct import number, struct
from ...core.types import Context, FloatLike, NodeTree, Received
from .. import functions
from ..bound import BOUND, check_majority


@struct
class TrimmedMean(Rule):
    """Mean of each coordinate over own and received values, without the f smallest and largest.

    W is not used. The own value is trimmed like any other (BRIDGE trims received values only and
    adds the own one afterwards: a different rule). A coordinate that is not finite counts as
    missing; where fewer than 2 f + 1 values are present, f is lowered to what leaves the median. Of
    parts of models each entry is that of its holders: one that few hold bears fewer bad values than f.

    Args:
      f: values cut at each end, a whole number >= 0. A leaf: it may be swept.
    Raises:
      ValueError: f negative or no whole number; 2 f >= number of values combined (by `check`).
    Identity: f = 0 is the plain mean of the neighborhood; adding c to all values adds c.
    Reference: Yin et al., Byzantine-robust distributed learning: towards optimal statistical rates,
      2018.
    Example:
      >>> TrimmedMean(f=1).linear
      False
    """

    f: FloatLike = number(check=BOUND)

    masks = True

    def check(self, degree: int, server: bool = False) -> None:
        """ValueError when 2 f values are all there is in a neighborhood with `degree` neighbors."""
        check_majority(self, degree, server)

    def combine(self, ctx: Context, received: Received) -> NodeTree:
        """One value per receiver."""
        del ctx
        rule = lambda values, masks: functions.trimmed_of(values, self.f, masks)
        return received.coordinates(rule, fused=functions.NETWORK_ROWS)

    def rejected(self, ctx: Context, received: Received) -> jax.Array:
        """Return [n, k]: the share of each received value's coordinates outside of what is averaged."""
        del ctx
        kept = lambda values, masks: functions.trimmed_kept(values, self.f, masks)
        return received.left_out(kept, fused=functions.NETWORK_ROWS)
