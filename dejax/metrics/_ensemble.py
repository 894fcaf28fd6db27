"""How well all nodes do together: the mean of what their models answer."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.arguments import with_key
from ..core.random import fold_name
from ..core.stacks import is_stacks
from ..core.types import Keys, Place, Tree
from ..devices.node_blocks import sum_nodes
from ..errors import bad
from ..xla.erase_mesh import erase_mesh
from ._models import need_test, of_mean_model, seen, test_of
from .view import View


def ensemble(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure the honest nodes' models together, by the mean of their answers.

    On the global test set. Answers are what modules give, such as logits. It needs no mean of models, so that models of several
    architectures have an ensemble, too.

    Args:
      view: the moment to measure. block: nodes evaluated at a time, as in `local_models`.
    Returns:
      M/ensemble for each metric M of the task, and the loss.
    Raises:
      ValueError: the data have no test set.
      TypeError: a task without answer(params, batch) and measure(answer, batch), as those of flax modules have.
    Identity: where all models are equal it is any one of them.
    """
    need_test(view)
    stored = test_of(view)
    if view.shared:
        found = of_mean_model(view, stored)
    else:
        parts = [view.of(name) for name in view.rows] if is_stacks(view.rows) else [view]
        total, count = None, 0
        for part in parts:
            _need_answers(part)
            mine = part.weights if part.weights is not None else np.ones(len(tree.leaves(part.rows)[0]), np.float32)
            answers = part.ask(_answers, (part.task, block), stored, mine, part.place)
            total = answers if total is None else tree.add(total, answers)
            count += mine.sum()
        mean = tree.map(lambda x: jnp.asarray(x / np.asarray(count, x.dtype)), total)
        found = _measured(parts[0].task, mean, stored, view.key)
    return {f"{name}/ensemble": float(value) for name, value in found.items()}


@partial(jax.jit, static_argnums=0)
def _answers(static: Any, rows: Tree, key: Keys, stored: Tree, weights: Any, place: Place | None) -> Any:
    """The sum of what the models of weight 1 answer."""
    task, block = static
    if place is not None:
        rows, stored, weights = erase_mesh((rows, stored, weights))
    test, weights = seen(stored), jnp.asarray(weights)

    def one(args: tuple[Tree, jax.Array]) -> Any:
        model, weight = args
        return tree.map(lambda x: jnp.where(weight > 0, x * weight.astype(x.dtype), 0), task.answer(model, test))

    return sum_nodes(one, (rows, weights), block, place)


@partial(jax.jit, static_argnums=0)
def _measured(task: Any, answers: Tree, stored: Tree, key: Keys) -> dict[str, jax.Array]:
    test = seen(stored)
    values = with_key(task.measure, lambda x: answers, test, key=fold_name(key, "metrics"))
    return {name: v.astype(jnp.promote_types(v.dtype, jnp.float32)).mean() for name, v in values.items()}


def _need_answers(view: View) -> None:
    task = view.task
    if not (callable(getattr(task, "answer", None)) and callable(getattr(task, "measure", None))):
        why = "but its task has no answer(params, batch) and measure(answer, batch)"
        way = "give the task of a flax module, or leave ensemble out"
        raise bad("metrics", "ensemble", says="asks what all models answer together", why=why, instead=way)


__all__ = ["ensemble"]
