"""Top-k: keep the k entries of largest magnitude.

    C(x)_i = x_i for the k largest |x_i|, else 0      ||C(x) - x||^2 <= (1 - k/d) ||x||^2

Biased and deterministic; equality when all |x_i| are equal.
Reference: Stich, Cordonnier and Jaggi, Sparsified SGD with memory, 2018.
"""

import jax
import jax.numpy as jnp

from ...core.struct import struct
from ..encoding import index_bits, index_bytes, mask_of_largest, mask_of_largest_held
from ._sparsifier import Sparsifier


@struct
class TopK(Sparsifier):
    """Keep the k entries of largest magnitude (contractive, delta = k/d, biased).

    Exactly k entries are kept: of equal magnitudes the lower index wins. A NaN counts as largest,
    so that it is sent and seen, not hidden.

    Args:
      k: entries kept, 1 <= k <= d. ratio: instead of k, the share kept, in (0, 1];
        k = max(1, round(ratio d)).
      scope: "global": of the whole flattened message; "leaf": of every tensor (k, or the ratio, in
        each).
    Raises:
      ValueError: both or none of k and ratio, out of range; k > d (by `check`, when d is known).
    Wire: k values and their positions, as k indices of ceil(log2 d) bits or as a bitmap of d bits,
      the smaller.
    Reference: Stich, Cordonnier and Jaggi, Sparsified SGD with memory, 2018.
    Example:
      >>> TopK(k=1).apply(None, jnp.array([[1.0, -3.0]]))[0].tolist()
      [[0.0, -3.0]]
    """

    def apply(self, keys: jax.Array | None, x: jax.Array) -> tuple[jax.Array, None]:
        """C(x) for x [n, d]; the keys are not used."""
        del keys
        k = self.kept(x.shape[1])
        if k == x.shape[1]:
            return x, None
        return jnp.where(mask_of_largest(jnp.abs(x), k), x, 0), None

    def held(self, keys: jax.Array | None, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The k largest of the marked entries, positions among these; of fewer than k all."""
        del keys
        count = mask.sum(1, dtype=jnp.int32)
        k = self.kept_of(x.shape[1], count)
        out = jnp.where(mask_of_largest_held(jnp.abs(x), mask, k), x, 0)
        return out, k * x.dtype.itemsize + index_bytes(count, k)

    def bits(self, d: int, width: int = 32) -> int:
        """k values and their positions."""
        return self.kept(d) * width + index_bits(d, self.kept(d))

    def delta(self, d: int) -> float:
        """k/d."""
        return self.kept(d) / d

    def omega(self, d: int) -> float:
        """Biased: none."""
        del d
        return float("inf")
