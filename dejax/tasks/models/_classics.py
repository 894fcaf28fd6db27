"""Convolutional networks as their papers have them: LeNet-5, the CNN of FedAvg, VGG-11."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from ...core.checks import choice, in_
from ...core.made import recorded
from ...errors import bad
from ...layers.conv import conv_general_dilated
from ...layers.linear import dot_general
from ...layers.pool import max_pool
from ..adapters._flax import classifier
from ._images import sized_by_images
from ._normal import NORMS, activated, norm_of
from ._series import put, series


class Stack(nnx.Module):
    """Convolutions with ReLU, some with a 2x2 max-pool, then linear layers with ReLU between.

    Args:
      shape: of one image, (height, width[, channels]).
      convolutions: (channels, side of the window, padding, whether a pool follows) of each.
      hidden: widths of the linear layers before the last. classes: number of outputs.
      norm: of the convolutions, before or with their ReLU, see `resnet`; "none" adds a bias instead.
      dropout: share of the inputs of each linear layer that training leaves out.
      rngs: flax's random streams.
    """

    def __init__(
        self,
        shape: Sequence[int],
        convolutions: Sequence[tuple[int, int, str, bool]],
        hidden: Sequence[int],
        classes: int,
        *,
        norm: str = "none",
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        height, width, channels = (*shape, 1)[:3]
        self.shape, self.pools = (height, width, channels), tuple(pool for *_, pool in convolutions)
        layers, norms = [], []
        for out, side, padding, pool in convolutions:
            conv = nnx.Conv(
                channels, out, (side, side), padding=padding, use_bias=norm == "none",
                conv_general_dilated=conv_general_dilated, rngs=rngs,
            )  # fmt: skip
            layers.append(conv)
            norms.append(norm_of(norm, out, rngs))
            lost = 0 if padding == "SAME" else side - 1
            height, width, channels = (height - lost) // (1 + pool), (width - lost) // (1 + pool), out
        if min(height, width) < 1:
            raise bad(
                "shape",
                tuple(shape),
                owner="Stack",
                why="which its windows and pools use up",
                instead="give larger images",
            )
        widths = (height * width * channels, *hidden, classes)
        linear = [
            nnx.Linear(a, b, dot_general=dot_general, rngs=rngs) for a, b in zip(widths, widths[1:], strict=False)
        ]
        put(self, "conv", layers)
        put(self, "norm", norms)
        put(self, "linear", linear)
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None

    def features(self, x: jax.Array) -> jax.Array:
        """Everything before the last linear layer: [B, ...] to [B, width]."""
        x = x.reshape(x.shape[0], *self.shape)
        for conv, norm, pool in zip(series(self, "conv"), series(self, "norm"), self.pools, strict=True):
            x = activated(norm, conv(x))
            x = max_pool(x) if pool else x
        x = x.reshape(x.shape[0], -1)
        drop = (lambda x: x) if self.dropout is None else self.dropout
        for layer in series(self, "linear")[:-1]:
            x = nnx.relu(layer(drop(x)))
        return drop(x)

    def head(self, features: jax.Array) -> jax.Array:
        """The last linear layer."""
        return series(self, "linear")[-1](features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


def _task(convolutions: Any, hidden: Sequence[int], shape: Any, classes: int | None, **more: Any) -> Any:
    def make(shape: tuple[int, ...], classes: int) -> Any:
        return classifier(lambda rngs: Stack(shape, convolutions, hidden, classes, rngs=rngs, **more))

    return sized_by_images(make, shape, classes)


@recorded()
def lenet5(shape: Sequence[int] | None = None, classes: int | None = None) -> Any:
    """Classify with LeNet-5: 5x5x6 and 5x5x16 with pools, then 120 and 84 hidden units.

    As usual today with ReLU and max-pools; 61,706 parameters for 28x28 gray images and 10 classes.

    Args:
      shape, classes: of one image and of the output; those of the data when left out.
    Reference: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
      recognition, 1998.
    Example:
      >>> lenet5(shape=(28, 28), classes=10)
      FlaxTask(Stack, loss=classifier_loss)
    """
    return _task(((6, 5, "SAME", True), (16, 5, "VALID", True)), (120, 84), shape, classes)


@recorded()
def fedavg_cnn(shape: Sequence[int] | None = None, classes: int | None = None) -> Any:
    """Classify with the CNN of the FedAvg paper: 5x5x32 and 5x5x64 with pools, 512 hidden units.

    1,663,370 parameters for 28x28 gray images and 10 classes, as the paper counts.

    Args:
      shape, classes: of one image and of the output; those of the data when left out.
    Reference: McMahan, Moore, Ramage, Hampson and Aguera y Arcas, Communication-efficient learning of
      deep networks from decentralized data, 2017, section 3.
    Example:
      >>> fedavg_cnn(shape=(28, 28), classes=10)
      FlaxTask(Stack, loss=classifier_loss)
    """
    return _task(((32, 5, "SAME", True), (64, 5, "SAME", True)), (512,), shape, classes)


@recorded()
def vgg11(
    shape: Sequence[int] | None = None, classes: int | None = None, norm: str = "group", dropout: float = 0.0
) -> Any:
    """Classify with VGG-11 as on CIFAR: eight 3x3 convolutions, five pools, one linear layer.

    Images of at least 32x32.

    Args:
      shape, classes: of one image and of the output; those of the data when left out.
      norm: "group" (default), "evo", "batch", "layer" or "none", after each convolution; see `resnet`.
      dropout: before the linear layer, 0 <= dropout < 1.
    Reference: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
      recognition, 2015, configuration A; the three linear layers of ImageNet become one.
    Example:
      >>> vgg11(shape=(32, 32, 3), classes=10)
      FlaxTask(Stack, loss=classifier_loss)
    """
    norm, dropout = choice(*NORMS)("vgg11.norm", norm), in_(0, 1, "[)")("vgg11.dropout", dropout)
    sizes = ((64, True), (128, True), (256, False), (256, True), (512, False), (512, True), (512, False), (512, True))
    layers = tuple((out, 3, "SAME", pool) for out, pool in sizes)
    return _task(layers, (), shape, classes, norm=norm, dropout=float(dropout))


__all__ = ["Stack", "fedavg_cnn", "lenet5", "vgg11"]
