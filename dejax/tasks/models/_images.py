"""Small convolutional networks, fast under a node axis: LeNet-like, and a stack of blocks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from ...core.checks import Wholes, whole
from ...core.made import recorded
from ...errors import bad
from ...layers.conv import conv_general_dilated
from ...layers.linear import activations, dot_general
from ...layers.pool import max_pool
from ..adapters._flax import classifier
from ..sized import Sized


class CNN(nnx.Module):
    """Convolution, ReLU and 2x2 max-pool, once per width, then one linear layer.

    `features` is everything before the linear layer, `head` that layer.

    Args:
      shape: (height, width) or (height, width, channels) of one image; without channels, images are
        gray.
      widths: channels of the convolutions. classes: number of outputs. kernel: side of the square
        windows ("SAME" padding).
      rngs: flax's random streams.
    Raises:
      TypeError, ValueError: a size that is no whole number >= 1, or an image too small for that
        many pools.
    Example:
      >>> CNN((28, 28), (16, 32), 10, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 28, 28))).shape
      (2, 10)
    """

    def __init__(self, shape: Sequence[int], widths: Sequence[int], classes: int, *, kernel: int = 5, rngs: nnx.Rngs):
        shape, widths = _image("CNN.shape", shape), Wholes()("CNN.widths", widths)
        classes, kernel = whole("CNN.classes", classes), whole("CNN.kernel", kernel)
        if min(shape[:2]) < 2 ** len(widths):
            raise bad(
                "shape",
                shape,
                owner="CNN",
                says=f"is {shape} with {len(widths)} pools of 2x2",
                why=f"but images must be at least {2 ** len(widths)} on a side",
                instead="give fewer widths",
            )
        height, width, channels = (*shape, 1)[:3]
        self.shape, self.depth = (height, width, channels), len(widths)
        for i, (a, b) in enumerate(zip((channels, *widths), widths, strict=False)):
            conv = nnx.Conv(a, b, (kernel, kernel), conv_general_dilated=conv_general_dilated, rngs=rngs)
            setattr(self, f"conv{i}", conv)
            height, width = height // 2, width // 2
        flat = height * width * (*(channels,), *widths)[-1]
        self.linear = nnx.Linear(flat, classes, dot_general=dot_general, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """Everything before the linear layer: [B, ...] to [B, features]."""
        x = x.reshape(x.shape[0], *self.shape)
        for i in range(self.depth):
            x = self._layer(getattr(self, f"conv{i}"), x)
        return x.reshape(x.shape[0], -1)

    @staticmethod
    def _layer(conv: nnx.Conv, x: jax.Array) -> jax.Array:
        """Compute max_pool(relu(conv(x))).

        The bias is added, and what is negative cut off, after the pool, on a quarter of the
        numbers.
        """
        w, b = conv.kernel[...], None if conv.bias is None else conv.bias[...]
        own = type(conv) is nnx.Conv and conv.conv_general_dilated is conv_general_dilated and conv.dtype is None
        if not own or b is None or not x.dtype == w.dtype == b.dtype:
            return max_pool(nnx.relu(conv(x)))
        sums = conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return activations["relu"](max_pool(sums) + b[None, None, None])

    def head(self, features: jax.Array) -> jax.Array:
        """The linear layer."""
        return self.linear(features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


def _image(name: str, shape: Any) -> tuple[int, ...]:
    """The shape of one image, two or three ints >= 1."""
    sizes = Wholes()(name, shape)
    if len(sizes) not in (2, 3):
        raise bad(name, sizes, why="but an image is (height, width) or (height, width, channels)")
    return sizes


def sized_by_images(make: Callable[[Any, int], Any], shape: Sequence[int] | None, classes: int | None) -> Any:
    """The task of images of this shape; a `Sized` that waits for data while sizes miss.

    Raises:
      ValueError: a shape, given or of the data, that is none of an image.
    """
    return Sized(make, _of_examples, None if shape is None else _image("shape", shape), classes, "shape").ready()


def _of_examples(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one image, where examples of the data are images."""
    if len(shape) not in (2, 3):
        raise bad(
            "x",
            shape,
            says=f"has examples of shape {shape}",
            why="but an image is (height, width) or (height, width, channels)",
            instead="give images, or a task of vectors, e.g. dejax.tasks.mlp()",
        )
    return shape


@recorded()
def cnn(
    widths: Sequence[int] = (16, 32),
    shape: Sequence[int] | None = None,
    classes: int | None = None,
    kernel: int = 5,
) -> Any:
    """Classify images with convolutions, ReLU and 2x2 max-pools, then one linear layer.

    Args:
      widths: channels of each convolution. kernel: side of their windows.
      shape, classes: of one image, (height, width[, channels]), and number of outputs; those of the
        data when left out.
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Raises:
      TypeError, ValueError: a size that is no whole number >= 1.
    Example:
      >>> cnn((8,), shape=(8, 8), classes=10, kernel=3)
      FlaxTask(CNN, loss=classifier_loss)
    """

    def make(shape: tuple[int, ...], classes: int) -> Any:
        return classifier(lambda rngs: CNN(shape, widths, classes, kernel=kernel, rngs=rngs))

    widths, kernel = Wholes(1)("cnn.widths", widths), whole("cnn.kernel", kernel)
    return sized_by_images(make, shape, classes)


@recorded()
def lenet(shape: Sequence[int] | None = None, classes: int | None = None) -> Any:
    """Classify images with a LeNet-like network: 5x5x16, pool, 5x5x32, pool, linear.

    Args:
      shape, classes: as for `cnn`.
    Reference: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document
      recognition (the idea; widths and padding are those common in federated learning benchmarks).
    Example:
      >>> lenet(shape=(28, 28), classes=10)
      FlaxTask(CNN, loss=classifier_loss)
    """
    return cnn((16, 32), shape=shape, classes=classes)
