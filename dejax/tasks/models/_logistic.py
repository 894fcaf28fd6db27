"""Linear models: multinomial logistic regression, and least squares."""

from typing import Any

from ...core.checks import whole
from ...core.made import recorded
from ..adapters._flax import regression
from ._mlp import MLP, mlp


@recorded()
def logistic(features: int | None = None, classes: int | None = None) -> Any:
    """Classify with one linear layer: multinomial logistic regression, convex.

    Args:
      features, classes: sizes of input and output; those of the data when left out.
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Example:
      >>> logistic(16, 26)
      FlaxTask(MLP, loss=classifier_loss)
    """
    return mlp(hidden=(), features=features, classes=classes)


@recorded()
def linear(features: int, outputs: int = 1) -> Any:
    """Predict numbers with one linear layer: least squares, convex.

    Args:
      features, outputs: sizes of input and output, >= 1.
    Example:
      >>> linear(16)
      FlaxTask(MLP, loss=regression_loss)
    """
    features, outputs = whole("linear.features", features), whole("linear.outputs", outputs)
    return regression(lambda rngs: MLP(features, outputs, rngs=rngs))
