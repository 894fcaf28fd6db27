"""Synthetic problems whose optimum is known, and starts of episodes."""

from ._cells import cells as cells
from ._logistic import logistic as logistic
from ._squares import (
    consensus as consensus,
    equal_quadratics as equal_quadratics,
    least_squares as least_squares,
    quadratics as quadratics,
)
from ._submodular import diminishing as diminishing

__all__ = ["cells", "logistic", "diminishing", "consensus", "equal_quadratics", "least_squares", "quadratics"]
