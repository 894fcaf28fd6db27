"""What does not go with gradients of single samples, which a method keeps one by one."""

from typing import Any

import jax

from ..core.abstract import key_like, model_like
from ..core.types import Problem
from . import roles


def against(problem: Problem, privacy: Any) -> dict[str, str] | None:
    """Say why nodes cannot keep gradients of single samples, and what to do; None: they can.

    privacy: the network's mechanism, or None.
    """
    if privacy is not None and privacy.hook == "gradient":
        name = type(privacy).__name__
        return _because(
            "network.privacy",
            f"network.privacy {name} noises the gradient of a whole batch",
            "leave it out, or put noise on messages",
        )
    if problem.source is not None:
        name = type(problem.source).__name__
        return _because(
            "Problem.source", f"batches come from {name}, which has no list of samples", "leave Problem(source=...) out"
        )
    if any(getattr(m, "mixes", False) for m in problem.augment):
        return _because("Problem.augment", "augment mixes samples", "leave mixup out")
    rule, learning = problem.rule, type(problem.rule).__name__
    if not rule.per_example or jax.tree.leaves(jax.eval_shape(rule.init, model_like(problem.task), key_like())):
        why = f"the learning rule {learning} takes whole batches, or keeps memory from one to the next"
        return _because("Problem.rule", why, "use another one, e.g. dejax.learning_rules.back_propagation()")
    if others := roles.present(problem) - {"shared", "frozen"}:
        why = f"some leaves have the role {' or '.join(sorted(others))}, which follows whole batches"
        return _because("Problem.roles", why, "share these leaves, or freeze them")
    return None


def _because(field: str, why: str, instead: str) -> dict[str, str]:
    return {"field": field, "why": why, "instead": instead}


__all__ = ["against"]
