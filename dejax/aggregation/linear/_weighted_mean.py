"""The weighted mean under W: plain gossip, no robustness."""

import jax
import jax.numpy as jnp

from ...core.kinds import Rule
from ...core.struct import struct
from ...core.types import Context, NodeTree, Received


@struct
class WeightedMean(Rule):
    """The mean under W, after lost links gave their weight back.

    Plain gossip, with no robustness at all. A NaN that arrives on a link of non-zero weight is
    averaged in, so that it is seen.

    Identity: exactly W X where nothing is lost.
    Example:
      >>> WeightedMean().linear
      True
    """

    linear = True
    masks = True

    def check(self, degree: int, server: bool = False) -> None:
        """Any degree will do."""

    def combine(self, ctx: Context, received: Received) -> NodeTree:
        """sum_j W_ij x_j for each receiver i."""
        del ctx
        return received.mix()

    def rejected(self, ctx: Context, received: Received) -> jax.Array:
        """[n, k]: nothing."""
        del ctx
        return jnp.zeros(received.mask.shape, jnp.float32)
