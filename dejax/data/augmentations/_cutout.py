"""Squares of an image set to zero."""

import jax
import jax.numpy as jnp

from ...core.checks import whole
from ...core.random import draw_index, uniform
from ...core.struct import static, struct
from ...core.types import PRNGKey
from .augment import Augmentation, check_image


@struct
class Cutout(Augmentation):
    """Set a square around a random pixel to zero.

    What lies outside the image is cut off.

    Args:
      size: side in pixels, >= 1; default 16, as the paper takes for CIFAR-10.
    Reference: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017.
    """

    size: int = static(default=16, check=whole)

    def apply(self, key: PRNGKey, x: jax.Array) -> jax.Array:
        """One image [H, W] or [H, W, C]."""
        check_image("cutout", x)
        height, width = x.shape[:2]
        center = draw_index(uniform(key, (2,)), jnp.array([height, width], jnp.int32))
        first = center - self.size // 2
        inside = lambda n, at: (
            (jnp.arange(n, dtype=jnp.int32) >= at) & (jnp.arange(n, dtype=jnp.int32) < at + self.size)
        )
        square = inside(height, first[0])[:, None] & inside(width, first[1])[None]
        return jnp.where(jnp.expand_dims(square, tuple(range(2, x.ndim))), jnp.zeros((), x.dtype), x)


__all__ = ["Cutout"]
