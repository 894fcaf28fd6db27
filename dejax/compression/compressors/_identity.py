"""The identity: nothing is lost."""

import jax

from ...core.kinds import Compressor
from ...core.struct import struct


@struct
class Identity(Compressor):
    """Send the value as it is (lossless: delta = 1, omega = 0).

    Wire: d values.
    Example:
      >>> Identity().bits(10)
      320
    """

    unbiased = True
    lossless = True

    def check(self, d: int) -> None:
        """Any d will do."""

    def apply(self, keys: jax.Array | None, x: jax.Array) -> tuple[jax.Array, None]:
        """x itself."""
        del keys
        return x, None

    def bits(self, d: int, width: int = 32) -> int:
        """d values."""
        return d * width

    def delta(self, d: int) -> float:
        """1."""
        del d
        return 1.0

    def omega(self, d: int) -> float:
        """0."""
        del d
        return 0.0
