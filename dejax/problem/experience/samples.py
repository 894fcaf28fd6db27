"""The default source of experience: batches of a node's own samples."""

from typing import Any

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
        base_keys = fold_in(fold_name(round.run_key, "epochs"), round.ids)
        rows, weight, memory = round.problem.draw(memory, round._ids, round.call_keys, base_keys)
        return Batch(rows, weight, rows=True), memory


__all__ = ["Samples"]
