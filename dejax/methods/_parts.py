"""What several methods share. A method never imports another method."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from ..core import tree
from ..core.checks import Number, Several, constant_rate, in_, or_none, whole
from ..core.local_work import LocalSteps
from ..core.types import NodeTree, Round, Tree
from ..errors import NULL, bad

CLIENTS = or_none(whole, "or " + NULL + " for all nodes")  # how many of them a server samples


@dataclasses.dataclass(frozen=True)
class Weighing:
    """Check how a server weighs uploads: by a word, or by n numbers."""

    want: str = "'samples', 'uniform', or a list of n numbers >= 0, one a node, not all 0"

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The word, or the numbers as a tuple."""
        if isinstance(value, str) and value in ("samples", "uniform"):
            return value
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
        given = Several(constant_rate, self.want)(field, value, leaf) if several else ()
        if not any(given):
            raise bad(field, value, instead="give " + self.want)
        return given


WEIGHTS = Weighing()
LR = Number("a finite number > 0 that fits float32: the method divides by it", lambda v: 0 < v < 3e38, schedules=True)
WORK = or_none(in_(0, 1, "(]", "a share of the local steps"), "or " + NULL + " for all steps")


def check_cohort(owner: Any, params: NodeTree) -> None:
    """clients must not be more than there are nodes."""
    n = tree.leaves(params)[0].shape[0]
    if owner.clients is not None and owner.clients > n:
        raise bad("clients", owner.clients, owner=owner, why=f"but there are {n} nodes", instead=f"give at most {n}")


def cohort_of(owner: Any, round: Round) -> Any:
    """The view of a round that a server samples: all nodes, or `owner.clients` of them."""
    return round if owner.clients is None else round.sample(owner.clients)


def own_weights(by: Any) -> bool:
    """Whether uploads count by numbers of the user's."""
    return isinstance(by, tuple)


def upload_weights(owner: Any, cohort: Round) -> Any:
    """Weights [n] of a cohort's uploads; None where all count alike."""
    by, n = owner.weights, cohort.n_all
    if not own_weights(by):
        return cohort.counts.astype(float) if by == "samples" else None
    if len(by) != n:
        says = f"holds {len(by)} numbers"
        raise bad("weights", by, owner=owner, says=says, why=f"but there are {n} nodes", instead=f"give {n} of them")
    return cohort.by_id(jnp.asarray(by, float))


def own_steps(cohort: Round, work: Any, k: LocalSteps) -> Any:
    """int32 [n]: how many of k local steps each node makes, >= 1; None where all make the most."""
    most, steps = cohort.steps_of(k)
    if work is None:
        return steps
    all_of_them, share = most if steps is None else steps, jnp.broadcast_to(cohort.rate(work), (cohort.n,))
    return jnp.clip(jnp.round(share * all_of_them), 1, all_of_them).astype(jnp.int32)


def at_server(params: NodeTree) -> Tree:
    """The server's model out of the n equal copies that a method is handed."""
    return tree.map(lambda x: x[0], params)


__all__ = [
    "CLIENTS",
    "LR",
    "WEIGHTS",
    "WORK",
    "at_server",
    "check_cohort",
    "cohort_of",
    "own_steps",
    "own_weights",
    "upload_weights",
]
