"""Multi-layer perceptrons."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from ...core.checks import Wholes, whole
from ...core.made import recorded
from ...errors import bad
from ...layers.linear import BY_OUTPUT, activations, affine, dot_general
from ...layers.matmul import APART
from ..adapters._flax import classifier
from ..sized import Sized


class MLP(nnx.Module):
    """Linear layers with an activation between them.

    `MLP(16, 64, 26, rngs=rngs)` maps [B, 16] to [B, 26]. Inputs of more axes are flattened per
    example. `features` is all but the last layer, `head` the last.

    Args:
      widths: sizes from input to output, at least two.
      activation: "relu", "tanh", "gelu" or "silu".
      rngs: flax's random streams.
    Example:
      >>> MLP(16, 64, 26, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 4, 4))).shape
      (2, 26)
    """

    def __init__(self, *widths: int, activation: str = "relu", rngs: nnx.Rngs):
        widths = Wholes(2)("MLP.widths", widths)
        if activation not in activations:
            raise bad("activation", activation, owner="MLP", instead=f"give one of {', '.join(activations)}")
        self.widths, self.activation = widths, activation
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            setattr(self, f"layer{i}", nnx.Linear(a, b, dot_general=dot_general, rngs=rngs))

    def hidden(self, x: jax.Array) -> list[jax.Array]:
        """What each hidden layer answers: [B, w] for each width between the first and the last."""
        x, answers = x.reshape(x.shape[0], -1), []
        apart = () if self.activation in BY_OUTPUT else APART
        for i in range(len(self.widths) - 2):
            x = activations[self.activation](affine(getattr(self, f"layer{i}"), x, apart))
            answers.append(x)
        return answers

    def features(self, x: jax.Array) -> jax.Array:
        """Everything before the last layer: [B, ...] to [B, widths[-2]]."""
        return self.hidden(x)[-1] if len(self.widths) > 2 else x.reshape(x.shape[0], -1)

    def head(self, features: jax.Array) -> jax.Array:
        """The last layer."""
        inner = len(self.widths) > 2 and self.activation in BY_OUTPUT  # which writes what it makes of the gradient
        return affine(getattr(self, f"layer{len(self.widths) - 2}"), features, ("nn",) if inner else APART)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


@recorded()
def mlp(
    *widths: int,
    hidden: Sequence[int] = (64,),
    features: int | None = None,
    classes: int | None = None,
    activation: str = "relu",
) -> Any:
    """Classify with a multi-layer perceptron.

    Args:
      widths: all sizes from input to output, e.g. `mlp(16, 64, 26)`, in place of the next three.
      hidden: widths of the hidden layers, any number of them.
      features, classes: sizes of input and output; those of the data when left out (`build(data)`,
        which configs call).
      activation: "relu", "tanh", "gelu" or "silu".
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Raises:
      TypeError, ValueError: a size that is no whole number >= 1.
    Example:
      >>> mlp(16, 64, 26)
      FlaxTask(MLP, loss=classifier_loss)
    """

    def make(features: int, classes: int) -> Any:
        sizes = (features, *hidden, classes)
        return classifier(lambda rngs: MLP(*sizes, activation=activation, rngs=rngs))

    if widths:
        for field, given, default in (
            ("hidden", hidden, (64,)),
            ("features", features, None),
            ("classes", classes, None),
        ):
            if given != default:
                why = f"but widths {widths} say all sizes"
                raise bad(field, given, owner="mlp", why=why, instead=f"leave {field} out, or the widths")
        return classifier(lambda rngs: MLP(*widths, activation=activation, rngs=rngs))
    hidden = Wholes()("mlp.hidden", hidden)
    features = None if features is None else whole("features", features)
    return Sized(make, lambda shape: math.prod(shape), features, classes).ready()
