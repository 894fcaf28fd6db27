"""Node optimizers from optax, and learning-rate schedules, as objects whose numbers are leaves."""

from .optimizers import (
    Cosine as Cosine,
    InverseSqrt as InverseSqrt,
    Optimizer as Optimizer,
    StepRule as StepRule,
    check_step as check_step,
    optimizer as optimizer,
    step_rule as step_rule,
)

__all__ = ["Cosine", "InverseSqrt", "Optimizer", "StepRule", "check_step", "optimizer", "step_rule"]
