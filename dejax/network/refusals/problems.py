"""What losses, roles of leaves and small neighborhoods exclude."""

from ...problem import single_examples
from ...problem.lesson import finishes
from .. import conditions
from .refusal import Refusal

PROBLEMS: tuple[Refusal, ...] = (
    Refusal(
        "one loss per batch",
        lambda c: c.network.privacy is not None and c.network.privacy.per_example and c.loss_per_batch,
        field="network.privacy",
        says="{privacy} clips per example",
        why="but the task's loss returns one number per batch",
        instead="return one loss per example, shape [B]",
    ),
    Refusal(
        "roles in several models",
        lambda c: c.traits.groups and c.roles - {"shared"} and {"rules": c.problem.rules.words()},
        field="Problem.roles",
        text="the leaves {rules} have roles of their own, but {method} keeps several models at the server, and none of them is the one that they belong to; use {use[one_model]}, or share all leaves",
    ),
    Refusal(
        "personal leaves of one model",
        lambda c: c.traits.pooled and "personal" in c.roles,
        field="Problem.roles",
        says="has personal leaves",
        why="but {method} keeps one model for all",
        instead="share them",
    ),
    Refusal(
        "batch statistics",
        conditions.statistics,
        field="Problem.task",
        text="the model has batch statistics, but {why}. Use nnx.LayerNorm or nnx.GroupNorm, which have none",
    ),
    Refusal(
        "experience clipped per example",
        lambda c: (
            c.network.privacy is not None
            and c.network.privacy.per_example
            and c.problem.source is not None
            and {"source": type(c.problem.source).__name__}
        ),
        field="network.privacy",
        says="{privacy} clips per example",
        why="but the samples of {source} follow from one another, so that no bound on one of them protects anybody",
        instead="put noise on messages instead of gradients",
    ),
    Refusal(
        "a learning rule with memory",
        lambda c: c.network.privacy is not None and c.network.privacy.per_example and c.rule_with_memory,
        field="network.privacy",
        says="{privacy} asks for the direction of every example",
        why="but the learning rule of the problem keeps memory from one batch to the next, which one example would change for others",
        instead="use a learning rule whose init returns ()",
    ),
    Refusal(
        "memory that reaches models past the noise",
        lambda c: (
            c.network.privacy is not None
            and c.network.privacy.hook == "gradient"
            and finishes(c.problem.rule)
            and c.rule_with_memory
            and {"learning": type(c.problem.rule).__name__}
        ),
        field="network.privacy",
        says="{privacy} noises directions",
        why="but finish of the learning rule {learning} moves models by memory that saw the samples and has no noise",
        instead="use a learning rule whose init returns (), or whose class has no finish",
    ),
    Refusal(
        "a learning rule of whole batches",
        lambda c: (
            c.network.privacy is not None
            and c.network.privacy.per_example
            and not c.problem.rule.per_example
            and {"learning": type(c.problem.rule).__name__}
        ),
        field="network.privacy",
        says="{privacy} asks for the direction of every example",
        why="but the learning rule {learning} gives one of whole batches alone (per_example = False)",
        instead="use another learning rule, e.g. dejax.learning_rules.back_propagation()",
    ),
    Refusal(
        "gradients of single samples",
        lambda c: c.traits.per_example and single_examples.against(c.problem, c.network.privacy),
        field="{field}",
        text="{method} keeps the gradient of every single sample, but {why}; {instead}",
    ),
    Refusal("too few values for a rule", conditions.rule_size),
)


__all__ = ["PROBLEMS"]
