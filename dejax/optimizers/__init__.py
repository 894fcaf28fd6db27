"""Node optimizers from optax and learning-rate schedules, with numbers as leaves."""

from .optimizers import (
    LocalStep as LocalStep,
    Optimizer as Optimizer,
    check_step as check_step,
    local_step as local_step,
    optimizer as optimizer,
)
from .schedules import (
    Cosine as Cosine,
    Exponential as Exponential,
    InverseSqrt as InverseSqrt,
    OneCycle as OneCycle,
    Piecewise as Piecewise,
    Step as Step,
    WarmUp as WarmUp,
    of_optax as of_optax,
)

__all__ = [
    "Cosine", "Exponential", "InverseSqrt", "LocalStep", "OneCycle", "Optimizer", "Piecewise", "Step", "WarmUp", "check_step",
    "local_step", "of_optax", "optimizer",
]  # fmt: skip
