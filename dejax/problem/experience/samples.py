"""The default source of experience: batches of a node's own samples."""

from typing import Any

import jax.numpy as jnp

from ...core.kinds import Experience
from ...core.random import fold_in, fold_name
from ...core.struct import option, struct
from ...core.types import PRNGKey, Round, Task, Tree, Values
from ..batch import Batch


@struct
class Samples(Experience):
    """Draw from a node's own rows by a sampler of `dejax.data.sampling`."""

    sampler: Any = option()

    acts = False

    @property
    def even(self) -> bool:
        """Whether no batch is padded."""
        return self.sampler.even

    def expected(self, count: int | Values) -> Any:
        """The sampler's."""
        return self.sampler.expected(count)

    def init(self, key: PRNGKey, n: int) -> Any:
        """The sampler's memory."""
        del key
        return self.sampler.init(n)

    def collect(self, task: Task, params: Tree, memory: Tree, round: Round) -> tuple[Batch, Any]:
        """Row numbers, which each block of nodes looks up for itself."""
        del task, params
        rows, weight, memory = self._draw(memory, round)
        return Batch(rows, weight, rows=True), memory

    def places(self, memory: Tree, round: Round) -> Values:
        """Give the places of the rows that `collect` gives: int32 [n, B], see `Batch`."""
        places, weight, _ = self._draw(memory, round, places=True)
        return places if weight is None else jnp.where(weight > 0, places, round.places)

    def _draw(self, memory: Tree, round: Round, places: bool = False) -> tuple[Values, Any, Any]:
        base_keys = fold_in(fold_name(round.run_key, "epochs"), round.ids)
        return round.problem.draw(memory, round._ids, round.call_keys, base_keys, places)


__all__ = ["Samples"]
