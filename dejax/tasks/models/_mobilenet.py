"""MobileNet for small images: depthwise 3x3 convolutions, each followed by a 1x1 one."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ...core.checks import above, choice
from ...core.made import recorded
from ...layers.linear import dot_general
from ..adapters._flax import classifier
from ._images import sized_by_images
from ._normal import NORMS, activated, norm_of
from ._resnet import _conv
from ._series import put, series

# (channels, stride) of the thirteen blocks; on images of 32x32 the stem and the first block halve nothing, as is usual there
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
SIDE = 3


class Depthwise(nnx.Module):
    """A 3x3 convolution of each channel with a window of its own, as nine shifted products.

    Products of arrays stay so under a node axis, where a convolution with a group per channel would have one per node and channel.

    Args:
      channels: of x [B, H, W, channels]. stride: of both axes. rngs: flax's random streams.
    """

    def __init__(self, channels: int, stride: int, rngs: nnx.Rngs):
        draw = jax.nn.initializers.lecun_normal(in_axis=(0, 1), out_axis=2)
        self.kernel = nnx.Param(draw(rngs.params(), (SIDE, SIDE, channels)))
        self.stride = stride

    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, _ = x.shape
        pads = [(_before(size, self.stride), SIDE // 2 + 1) for size in (height, width)]
        wide = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        high, long = (-(-size // self.stride) for size in (height, width))
        step, window = self.stride, self.kernel[...][:, :, None, None, None, :]
        rows = [
            wide[:, i : i + step * (high - 1) + 1 : step, j : j + step * (long - 1) + 1 : step] * window[i, j]
            for i in range(SIDE)
            for j in range(SIDE)
        ]
        return sum(rows[1:], rows[0])


def _before(size: int, stride: int) -> int:
    """Zeros before the first row, of what "SAME" adds in all."""
    return max((-(-size // stride) - 1) * stride + SIDE - size, 0) // 2


class MobileNet(nnx.Module):
    """A convolution, thirteen blocks of a depthwise and a 1x1 one, a mean, one linear layer.

    Args:
      shape: of one image. classes: number of outputs. width: factor of all channels. norm: see `mobilenet`. rngs: flax's random streams.
    """

    def __init__(self, shape: Sequence[int], classes: int, width: float, norm: str, rngs: nnx.Rngs):
        self.shape = (*shape, 1)[:3]
        channels = max(8, int(32 * width))
        self.stem, self.norm = _conv(self.shape[2], channels, 3, 1, norm, rngs), norm_of(norm, channels, rngs)
        layers = []
        for wanted, stride in BLOCKS:
            out = max(8, int(wanted * width))
            layers += [
                Depthwise(channels, stride, rngs),
                norm_of(norm, channels, rngs),
                _conv(channels, out, 1, 1, norm, rngs),
                norm_of(norm, out, rngs),
            ]
            channels = out
        put(self, "layer", layers)
        self.linear = nnx.Linear(channels, classes, dot_general=dot_general, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """Everything before the linear layer: [B, ...] to [B, last width]."""
        x = activated(self.norm, self.stem(x.reshape(x.shape[0], *self.shape)))
        layers = series(self, "layer")
        for layer, norm in zip(layers[::2], layers[1::2], strict=True):
            x = activated(norm, layer(x))
        return x.mean((1, 2))

    def head(self, features: jax.Array) -> jax.Array:
        """The linear layer."""
        return self.linear(features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


@recorded()
def mobilenet(
    width: float = 1.0, shape: Sequence[int] | None = None, classes: int | None = None, norm: str = "group"
) -> Any:
    """Classify small images with a MobileNet.

    Args:
      width: factor of all channels, > 0; 0.25 has a fourteenth of the parameters.
      shape, classes: of one image, (height, width[, channels]), and number of outputs; those of the data when left out.
      norm: as of `resnet`.
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Raises:
      ValueError: width <= 0; another norm.
    Reference: Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, 2017; stem and first
      block keep height and width, as usual on images of 32x32.
    Example:
      >>> mobilenet(0.25, shape=(32, 32, 3), classes=10)
      FlaxTask(MobileNet, loss=classifier_loss)
    """
    width, norm = above(0)("mobilenet.width", width), choice(*NORMS)("mobilenet.norm", norm)

    def make(shape: tuple[int, ...], classes: int) -> Any:
        return classifier(lambda rngs: MobileNet(shape, classes, width, norm, rngs))

    return sized_by_images(make, shape, classes)


__all__ = ["Depthwise", "MobileNet", "mobilenet"]
