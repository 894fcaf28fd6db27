"""QSGD: round every entry at random to one of s levels of the row's norm.

    l_i = s |x_i| / ||x||      xi_i = floor(l_i + u_i), u_i uniform in [0, 1)
    qsgd_unbiased:  C(x)_i = ||x|| sign(x_i) xi_i / s           qsgd:  the same / (1 + omega)

E ||C(x) - x||^2 = (||x||^2 / s^2) sum_i p_i (1 - p_i) for the unbiased form, p_i = frac(l_i); at
most omega ||x||^2 with omega = min(d / s^2, sqrt(d) / s).
Reference: Alistarh et al., QSGD: communication-efficient SGD via gradient quantization and
encoding, 2017.
"""

import math

import jax
import jax.numpy as jnp

from ...core.checks import Whole
from ...core.kinds import Compressor
from ...core.random import uniform
from ...core.struct import static, struct
from ..encoding import SCOPE

LEVELS = Whole(words="a whole number >= 1 of positive levels, e.g. 15")


@struct
class Qsgd(Compressor):
    """Random rounding to s levels, scaled down by 1 + omega; contractive, for `copies`.

    delta = 1/(1 + omega), biased.

    Args:
      levels: s >= 1, positive levels. s = 2^b - 1 uses b bits and a sign for each entry.
      scope: "global": one norm for the whole flattened message; "leaf": one for every tensor.
    Raises:
      ValueError: levels < 1.
    Wire: the norm, and 1 + ceil(log2(s + 1)) bits for each entry (fixed width, no entropy coding).
    Reference: Alistarh et al., QSGD, 2017; scaled down: Koloskova, Stich and Jaggi, 2019.
    Example:
      >>> Qsgd(levels=15).bits(1000)
      5032
    """

    levels: int = static(check=LEVELS)
    scope: str = static(default="global", check=SCOPE)

    def check(self, d: int) -> None:
        """Any d will do."""

    def apply(self, keys: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        """C(x) for keys [n], x [n, d]."""
        return _quantize(keys, x, self.levels) * jnp.asarray(self.delta(x.shape[1]), x.dtype), None

    def held(self, keys: jax.Array, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The marked entries by their norm, scaled down by the omega of their number."""
        d, count = x.shape[1], mask.sum(1, dtype=jnp.int32)
        wide = count.astype(float)
        delta = 1 / (1 + jnp.minimum(wide / self.levels**2, jnp.sqrt(wide) / self.levels))
        delta = jnp.where(count == d, self.delta(d), delta).astype(x.dtype)
        return _quantize(keys, x, self.levels) * delta[:, None], _held_bytes(self.levels, count, x)

    def bits(self, d: int, width: int = 32) -> int:
        """The norm, a sign and a level for each entry."""
        return _bits(self.levels, d, width)

    def delta(self, d: int) -> float:
        """1 / (1 + omega) of the unbiased form."""
        return 1 / (1 + _omega(self.levels, d))

    def omega(self, d: int) -> float:
        """Biased: none."""
        del d
        return float("inf")


@struct
class QsgdUnbiased(Compressor):
    """Random rounding to s levels; unbiased, for methods that average fresh messages.

    omega = min(d/s^2, sqrt(d)/s).

    Args:
      levels: s >= 1, positive levels. s = 2^b - 1 uses b bits and a sign for each entry.
      scope: "global": one norm for the whole flattened message; "leaf": one for every tensor.
    Raises:
      ValueError: levels < 1.
    Wire: the norm, and 1 + ceil(log2(s + 1)) bits for each entry (fixed width, no entropy coding).
    Reference: Alistarh et al., QSGD: communication-efficient SGD via gradient quantization and
      encoding, 2017.
    Example:
      >>> QsgdUnbiased(levels=4).omega(64)
      2.0
    """

    levels: int = static(check=LEVELS)
    scope: str = static(default="global", check=SCOPE)

    unbiased = True

    def check(self, d: int) -> None:
        """Any d will do."""

    def apply(self, keys: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        """C(x) for keys [n], x [n, d]."""
        return _quantize(keys, x, self.levels), None

    def held(self, keys: jax.Array, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The marked entries by their norm."""
        count = mask.sum(1, dtype=jnp.int32)
        return _quantize(keys, x, self.levels), _held_bytes(self.levels, count, x)

    def bits(self, d: int, width: int = 32) -> int:
        """The norm, a sign and a level for each entry."""
        return _bits(self.levels, d, width)

    def delta(self, d: int) -> float:
        """1 - omega where that is positive, else 0: then not contractive."""
        return max(0.0, 1 - self.omega(d))

    def omega(self, d: int) -> float:
        """min(d / s^2, sqrt(d) / s)."""
        return _omega(self.levels, d)


def _omega(levels: int, d: int) -> float:
    return min(d / levels**2, math.sqrt(d) / levels)


def _bits(levels: int, d: int, width: int) -> int:
    return width + d * (1 + math.ceil(math.log2(levels + 1)))


def _held_bytes(levels: int, count: jax.Array, x: jax.Array) -> jax.Array:
    """Whole bytes [n] of `count` entries of rows x."""
    return x.dtype.itemsize + (count * _bits(levels, 1, 0) + 7) // 8


def _quantize(keys: jax.Array, x: jax.Array, levels: int) -> jax.Array:
    wide = jnp.promote_types(x.dtype, jnp.float32)
    y = x.astype(wide)
    largest = jnp.max(jnp.abs(y), 1, keepdims=True, initial=0)
    y = y / jnp.where(largest == 0, 1, largest)  # squares of the raw entries could over- or underflow
    norm = jnp.sqrt(jnp.sum(jnp.square(y), 1, keepdims=True))
    if wide == jnp.float32:
        fraction = uniform(keys, x.shape[1:])
    else:
        fraction = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], wide))(keys)
    level = jnp.floor(jnp.abs(y) * (levels / jnp.where(norm == 0, 1, norm)) + fraction)
    return (jnp.sign(y) * level * (largest * norm / levels)).astype(x.dtype)
