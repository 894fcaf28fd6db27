"""Multinomial logistic regression."""

from typing import Any

from ...core.made import recorded
from ._mlp import mlp


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
