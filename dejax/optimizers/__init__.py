"""Node optimizers from optax and learning-rate schedules, with numbers as leaves."""

from .optimizers import (
    Cosine as Cosine,
    InverseSqrt as InverseSqrt,
    LocalStep as LocalStep,
    Optimizer as Optimizer,
    check_step as check_step,
    local_step as local_step,
    optimizer as optimizer,
)

__all__ = ["Cosine", "InverseSqrt", "Optimizer", "LocalStep", "check_step", "optimizer", "local_step"]
