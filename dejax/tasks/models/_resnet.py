"""Residual networks for small images: depth 6 n + 2 as on CIFAR, and the wide ResNet-18."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from ...core.checks import choice, whole
from ...core.made import recorded
from ...errors import bad
from ...layers.conv import conv_general_dilated
from ...layers.linear import dot_general
from ..adapters._flax import classifier
from ._images import sized_by_images
from ._normal import NORMS, activated, norm_of
from ._series import put, series


class Block(nnx.Module):
    """Two 3x3 convolutions around which x is led, by a 1x1 convolution where its shape changes."""

    def __init__(self, channels: int, out: int, stride: int, norm: str, rngs: nnx.Rngs):
        self.first, self.norm1 = _conv(channels, out, 3, stride, norm, rngs), norm_of(norm, out, rngs)
        self.second, self.norm2 = _conv(out, out, 3, 1, norm, rngs), norm_of(norm, out, rngs, "last")
        changes = stride != 1 or channels != out
        self.around = _conv(channels, out, 1, stride, norm, rngs) if changes else None
        self.norm3 = norm_of(norm, out, rngs, "around") if changes else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.norm2(self.second(activated(self.norm1, self.first(x))))
        if self.around is not None and self.norm3 is not None:
            x = self.norm3(self.around(x))
        return nnx.relu(y + x)


class ResNet(nnx.Module):
    """A 3x3 convolution, stages of blocks, the mean over places, one linear layer.

    Args:
      shape: of one image. widths, blocks: of each stage; each but the first halves height and width.
      classes: number of outputs. norm: see `resnet`. rngs: flax's random streams.
    """

    def __init__(
        self,
        shape: Sequence[int],
        widths: Sequence[int],
        blocks: Sequence[int],
        classes: int,
        norm: str,
        rngs: nnx.Rngs,
    ):
        self.shape = (*shape, 1)[:3]
        self.stem, self.norm = _conv(self.shape[2], widths[0], 3, 1, norm, rngs), norm_of(norm, widths[0], rngs)
        stages, channels = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for i in range(count):
                stages.append(Block(channels, width, 2 if stage and not i else 1, norm, rngs))
                channels = width
        put(self, "block", stages)
        self.linear = nnx.Linear(channels, classes, dot_general=dot_general, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """Everything before the linear layer: [B, ...] to [B, last width]."""
        x = activated(self.norm, self.stem(x.reshape(x.shape[0], *self.shape)))
        for block in series(self, "block"):
            x = block(x)
        return x.mean((1, 2))

    def head(self, features: jax.Array) -> jax.Array:
        """The linear layer."""
        return self.linear(features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


def _conv(channels: int, out: int, side: int, stride: int, norm: str, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution without bias where a norm follows, which has its own."""
    return nnx.Conv(
        channels, out, (side, side), strides=stride, padding="SAME", use_bias=norm == "none",
        conv_general_dilated=conv_general_dilated, rngs=rngs,
    )  # fmt: skip


@recorded()
def resnet(depth: int = 20, shape: Sequence[int] | None = None, classes: int | None = None, norm: str = "group") -> Any:
    """Classify small images with a residual network.

    Args:
      depth: 6 n + 2 (8, 14, 20, 32, ...): three stages of n blocks with 16, 32 and 64 channels, as He
        et al. have them on CIFAR; or 18: four stages of two blocks with 64 to 512 channels.
      shape, classes: of one image, (height, width[, channels]), and number of outputs; those of the
        data when left out.
      norm: "group" (default, at most 32 groups, of at least 4 channels), "evo", "layer", "batch" or "none". "evo" is EvoNorm-S0 in
        place of norm and ReLU; at the end of a block and in its shortcut, whose sum is rectified, a scale and a shift are
        left of it, as its authors have it (the scale at the end starts at 0). With "batch" running statistics travel to nobody unless their role says so (docs/tasks.md); of
        small or unequal batches group norm does better (Hsieh et al., 2020).
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Raises:
      ValueError: a depth that is neither; another norm.
    Reference: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016. Paths that
      change shape are projected (its option B). Liu, Brock, Simonyan and Le, Evolving normalization-activation layers, 2020.
    Example:
      >>> resnet(8, shape=(32, 32, 3), classes=10)
      FlaxTask(ResNet, loss=classifier_loss)
    """
    depth, norm = whole("resnet.depth", depth), choice(*NORMS)("resnet.norm", norm)
    if depth == 18:
        widths, blocks = (64, 128, 256, 512), (2, 2, 2, 2)
    elif depth >= 8 and depth % 6 == 2:
        widths, blocks = (16, 32, 64), (depth // 6,) * 3
    else:
        raise bad("depth", depth, owner="resnet", instead="give 6 n + 2, such as 8, 14 or 20, or 18")

    def make(shape: tuple[int, ...], classes: int) -> Any:
        return classifier(lambda rngs: ResNet(shape, widths, blocks, classes, norm, rngs))

    return sized_by_images(make, shape, classes)


__all__ = ["ResNet", "resnet"]
