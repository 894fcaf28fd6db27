"""How much a node learns in a round: a number of steps, one number for each node, or epochs."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import jax.numpy as jnp

from ..errors import Words, bad
from .checks import Number, Several, whole
from .struct import frozen, static
from .types import Method, Values

FINEST = 1000  # epochs count in fractions of denominators up to this
_EPOCHS = "a number of epochs from 0.001 to 10,000, or a list of one per node"


@frozen
class Epochs:
    """Local work as passes over a node's own samples: `local_steps=dejax.Epochs(0.5)`.

    With batches of B samples, an epoch of a node of m samples is b = ceil(m / B) steps, whatever the
    sampling: as many as it takes to see each sample once, where batches follow epochs. E epochs are
    ceil(E b) steps, at least one. So nodes with more samples make more steps; who is done waits within the
    round, and neither computes nor is timed. Without `batch_size` an epoch is one step.

    Args:
      epochs: E from 0.001 to 10,000, read as the nearest fraction with a denominator up to 1,000; one
        number, or one per node by id.
    Raises:
      ValueError, TypeError: another number, or none.
    Example:
      >>> Epochs(0.5).steps(5), Epochs(2).steps(5)
      (3, 10)
    """

    epochs: float | tuple[float, ...] = static(
        check=Several(Number(_EPOCHS, lambda v: 1 / FINEST <= v <= 10_000), _EPOCHS, alone=True)
    )

    def most(self, batches: int) -> int:
        """Steps of the node that makes most, where the largest has so many batches in an epoch."""
        return max(Epochs(e).steps(batches) for e in self._each())

    def steps(self, batches: Values | int, by_id: Callable[..., Any] = jnp.asarray) -> Any:
        """ceil(E batches), at least 1: of a whole number, or int32 [n] of rows.

        by_id: gives the rows of a view out of an array [n] by node id.
        """
        parts = [divmod(f, 1) for f in (Fraction(e).limit_denominator(FINEST) for e in self._each())]
        whole, up, down = (
            [int(p) for p, _ in parts],
            [r.numerator for _, r in parts],
            [r.denominator for _, r in parts],
        )
        if not isinstance(self.epochs, tuple):
            steps = whole[0] * batches - (-up[0] * batches // down[0])
        else:
            whole, up, down = (by_id(jnp.asarray(x, jnp.int32)) for x in (whole, up, down))
            steps = whole * batches - (-up * batches // down)
        return max(1, steps) if isinstance(steps, int) else jnp.maximum(1, steps).astype(jnp.int32)

    def _each(self) -> tuple[float, ...]:
        return self.epochs if isinstance(self.epochs, tuple) else (self.epochs,)


LocalSteps = int | tuple[int, ...] | Epochs  # what a field `local_steps` holds


@dataclasses.dataclass(frozen=True)
class _LocalSteps:
    """Pass whole numbers >= 1, lists of them (one per node), and `Epochs`."""

    @property
    def want(self) -> str:
        """What fits."""
        return "a whole number >= 1, a list of one per node, or " + Words("dejax.Epochs(1)", "{epochs: 1}")

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The number, a tuple of them, or the epochs."""
        if isinstance(value, Epochs):
            return value
        if (
            isinstance(value, Iterable)
            and not isinstance(value, (str, bytes, Mapping))
            and len(getattr(value, "shape", (1,))) == 1
        ):
            each = [_fits(field, v) for v in value]
            if each and all(v is not None for v in each):
                return tuple(each)
            raise bad(field, value, instead="give " + self.want)
        try:
            return whole(field, value)
        except (ValueError, TypeError) as error:
            raise bad(field, value, says=getattr(error, "says", ""), instead="give " + self.want) from None


def _fits(field: str, value: object) -> int | None:
    try:
        return whole(field, value)
    except (ValueError, TypeError):
        return None


local_steps = _LocalSteps()


def check_work(owner: Method, n: int, sampled: bool = True) -> None:
    """Check the local work of a method against the nodes that there are.

    Args:
      sampled: whether nodes hold samples, of which there are epochs.
    Raises:
      ValueError: a list that has not one entry per node; epochs of no samples.
    """
    for field in dataclasses.fields(owner) if dataclasses.is_dataclass(owner) else ():
        value = getattr(owner, field.name)
        if isinstance(value, Epochs) and not sampled:
            why = "but a source of experience has no samples to go over"
            raise bad(field.name, value, owner=owner, why=why, instead="give a number of steps")
        if field.metadata.get("check") is not local_steps:
            continue
        each = value.epochs if isinstance(value, Epochs) else value
        if isinstance(each, tuple) and len(each) != n:
            says, instead = f"has {len(each)} entries", f"give one number, or {n}, one per node"
            raise bad(field.name, value, owner=owner, says=says, instead=instead)


def steps_of(
    work: LocalSteps,
    index: Values,
    counts: Values,
    batches: Callable[[Any], Any],
    by_id: Callable[..., Any],
    even: bool,
) -> tuple[int, Any]:
    """(most, steps): see `Round.steps_of`.

    Args:
      index: [n, s], rows of every node. counts: [n], how many are real, of the view. batches: samples -> batches of an epoch.
      even: all nodes have equally many samples.
    """
    if isinstance(work, Epochs):
        alike = even and not isinstance(work.epochs, tuple)
        return work.most(batches(index.shape[1])), None if alike else work.steps(batches(counts), by_id)
    if isinstance(work, tuple):
        return max(work), None if len(set(work)) == 1 else by_id(jnp.asarray(work, jnp.int32))
    return work, None


__all__ = ["Epochs", "LocalSteps", "check_work", "local_steps", "steps_of"]
