"""Mirror images."""

import jax
import jax.numpy as jnp

from ...core.checks import in_
from ...core.random import uniform
from ...core.struct import number, struct
from ...core.types import FloatLike, PRNGKey
from .augment import Augmentation, check_image


@struct
class Flip(Augmentation):
    """Mirror the image left to right, with probability p.

    Args:
      p: in [0, 1]; default 0.5.
    Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks, 2012.
    """

    p: FloatLike = number(default=0.5, check=in_(0, 1))

    def apply(self, key: PRNGKey, x: jax.Array) -> jax.Array:
        """One image [H, W] or [H, W, C]."""
        check_image("flip", x)
        return jnp.where(uniform(key) < self.p, x[:, ::-1], x)


__all__ = ["Flip"]
