"""What several methods share. A method never imports another method."""

from typing import Any

import jax.numpy as jnp

from ..core import tree
from ..core.checks import Number, choice, in_, or_none, whole
from ..core.local_work import LocalSteps
from ..core.types import NodeTree, Round, Tree
from ..errors import NULL, bad

CLIENTS = or_none(whole, "or " + NULL + " for all nodes")  # how many of them a server samples
WEIGHTS = choice("samples", "uniform")  # how a server weighs uploads
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


def upload_weights(cohort: Round, by: str) -> Any:
    """Weights [n] of uploads: numbers of samples, or None where all count alike."""
    return cohort.counts.astype(float) if by == "samples" else None


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


__all__ = ["CLIENTS", "LR", "WEIGHTS", "WORK", "at_server", "check_cohort", "cohort_of", "own_steps", "upload_weights"]
