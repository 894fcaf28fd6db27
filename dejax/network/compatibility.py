"""Which method goes with which options: one verdict, the check of a run, the table."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from ..core.types import Method, Network, Problem
from ..errors import FieldError
from . import copies
from .case import Case
from .refusals import REFUSALS


class Verdict(NamedTuple):
    """What a refusal says of a case."""

    name: str
    error: FieldError

    @property
    def text(self) -> str:
        """The message."""
        return str(self.error)


def verdict(case: Case) -> Verdict | None:
    """The first refusal that a case meets, in the order of the list; None: the pair acts."""
    for refusal in REFUSALS:
        error = refusal.of(case)
        if error is not None:
            return Verdict(refusal.name, error)
    return None


def check(method: Method, problem: Problem, network: Network) -> None:
    """Raise what the first refusal says that this method on this network meets.

    Raises:
      RefusedError: they exclude each other. FieldError: no topology, or one of another size.
    """
    found = verdict(Case.of(method, problem, network))
    if found is not None:
        raise found.error


def notes(method: Method, problem: Problem, network: Network) -> list[str]:
    """What a pair does not keep, though it runs: sentences for warnings."""
    case = Case.of(method, problem, network)
    rule, found = case.option("rule"), []
    if case.traits.sums_keep and not network.rule.linear:
        what = "sum under W" if case.gossips else "sum of uploads"
        found.append(
            f"{case.method} beside network.rule {rule}: a robust rule is no {what}, so that it does not keep {case.traits.sums_keep}; "
            "the models need not meet the optimum even without adversaries"
        )
    f = getattr(network.rule, "f", None)
    if case.served and case.hostile and not network.rule.linear and not isinstance(f, Tracer):
        sampled = case.uploads
        most = min(sampled, int(np.sum(network.attack.is_adversary(case.n))))
        bears = (sampled - 1) // 2 if f is None else int(np.max(np.asarray(f)))
        if most > bears:
            said = f"{rule} bears fewer than half" if f is None else f"{rule}.f is {f}"
            found.append(
                f"{said}, but {most} of the {sampled} nodes that {case.method} combines in a round may be adversaries: "
                + ("sample more nodes" if f is None else "f bounds those sampled; raise f, or sample more nodes")
            )
    step = copies.too_far(case, method)
    return found if step is None else [*found, step]


def table(
    methods: Mapping[str, Any], networks: Callable[[str], Mapping[str, Any]], problem: Problem
) -> dict[tuple[str, str], Verdict | None]:
    """Judge every pair: (method, option) -> None where it acts, or the refusal.

    Nothing is compiled.

    Args:
      methods: name -> method. networks: name of a method -> (name of an option -> network with it).
    """
    return {
        (name, option): verdict(Case.of(method, problem, network))
        for name, method in methods.items()
        for option, network in networks(name).items()
    }


__all__ = ["Verdict", "check", "notes", "table", "verdict"]
