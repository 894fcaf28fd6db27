"""Coordinate-wise median of the own value and the received ones.

Reference: Yin et al., Byzantine-robust distributed learning: towards optimal statistical rates,
2018.
"""

import jax

from ...core.kinds import Rule
from ...core.struct import struct
from ...core.types import Context, NodeTree, Received
from .. import functions


@struct
class CoordinateMedian(Rule):
    """Median of each coordinate over the own value and the received ones; W is not used.

    For an even number the mean of the two middle ones. A coordinate that is not finite counts as
    missing. At a server there is no own value. Of parts of models each entry is that of its holders.

    Identity: unchanged by a reordering of the values; adding c to all adds c.
    Reference: Yin et al., Byzantine-robust distributed learning: towards optimal statistical rates,
      2018.
    Example:
      >>> CoordinateMedian().needs_own
      False
    """

    masks = True

    def check(self, degree: int, server: bool = False) -> None:
        """Any degree will do; below 2 it is the mean."""

    def combine(self, ctx: Context, received: Received) -> NodeTree:
        """One value per receiver."""
        del ctx
        return received.coordinates(functions.median_of, fused=functions.NETWORK_ROWS)

    def rejected(self, ctx: Context, received: Received) -> jax.Array:
        """Return [n, k]: the share of each received value's coordinates that the median leaves out.

        For even counts the median uses the two middle values.
        """
        del ctx
        return received.left_out(functions.median_kept, fused=functions.NETWORK_ROWS)
