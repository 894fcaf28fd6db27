"""Random crops of padded images."""

import jax
import jax.numpy as jnp

from ...core.checks import whole
from ...core.random import draw_index, uniform
from ...core.struct import static, struct
from ...core.types import PRNGKey
from .augment import Augmentation, check_image


@struct
class Crop(Augmentation):
    """Pad the image by zeros on all sides, and cut its size out of it at random.

    Zero is black where x is x / 255, and the mean color where it is normalized.

    Args:
      padding: pixels, >= 1; default 4, as usual for CIFAR.
    Reference: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.
    """

    padding: int = static(default=4, check=whole)

    def apply(self, key: PRNGKey, x: jax.Array) -> jax.Array:
        """One image [H, W] or [H, W, C]."""
        check_image("crop", x)
        p = self.padding
        wide = jnp.pad(x, [(p, p), (p, p)] + [(0, 0)] * (x.ndim - 2))
        at = draw_index(uniform(key, (2,)), jnp.int32(2 * p + 1))
        start = [at[0], at[1], *[jnp.int32(0)] * (x.ndim - 2)]
        return jax.lax.dynamic_slice(wide, start, x.shape)


__all__ = ["Crop"]
