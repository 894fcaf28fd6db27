"""Batches of the same places at all nodes, which hold other columns of the same samples."""

import jax.numpy as jnp

from ..core.random import draw_index, uniform
from ..core.types import Round
from ..data.sampling import Full, Replacement
from ..errors import bad
from ..problem import Batch
from .batches import OF, attacked


def batch(round: Round, name: str, of: str, size: int | None, places: bool = False) -> Batch:
    """See `Round.batch(aligned=True)`: places from a key that all nodes share."""
    problem = round.problem
    if places:
        why = "but an aligned batch has the same places at all nodes"
        raise bad("places", True, owner="round.batch", why=why, instead="leave one of them out")
    if of not in OF:
        raise bad("of", of, owner="round.batch", instead="give 'train', 'validation' or 'public'")
    why, instead = None, "leave aligned out"
    if of == "public":
        why = "but public rows are the same for all as they are"
    elif of == "validation":
        why = "but validation rows are not columns of the same samples"
    elif size is not None:
        why, instead = f"beside size={size!r}: nodes draw Problem.batch_size of their own samples", "leave size out"
    elif problem.source is not None:
        why = f"but batches come from {type(problem.source).__name__}, which has no places"
    elif round.plan is not None:
        why = "but in a timetable nodes act at times of their own"
    elif not isinstance(problem.sampler, (Full, Replacement)):
        why = f"but each node goes its own way with sampling={problem.sampling!r}"
        instead = "use sampling='replacement', or all samples"
    elif not problem.data.even:
        why = "but nodes hold unequal numbers of rows, so that place k of one is no sample of another"
        instead = "give every node the same samples in the same order (NodeData with even=True)"
    elif problem.augment:
        why = "but each node changes its rows by draws of its own with Problem(augment=...)"
        instead = "leave one of them out"
    if why is not None:
        raise bad("aligned", True, owner="round.batch", why=why, instead=instead)
    index = round._rows(problem.data.index)
    if problem.batch_size is not None:
        drawn = draw_index(uniform(round.key(name), (problem.batch_size,)), jnp.int32(index.shape[1]))
        index = index[:, drawn]
    return attacked(round, name, Batch(problem.fetch(index)))


__all__ = ["batch"]
