"""How well the models do on each class of the global test set."""

from functools import partial

import jax
import numpy as np

from .. import population
from ..core.architectures import Architectures
from ..core.types import Keys, Tree
from ..errors import FieldError
from ._models import chosen, need_test, of_nodes, seen, test_of, values_of
from ._nodes import by_node
from .by_class import answer_of, of_classes, taken_for
from .view import View


def per_class(view: View, *, nodes: bool = False, block: int | str | None = "auto") -> dict[str, np.ndarray]:
    """Measure the models on each class of the global test set: accuracy and loss.

    Args:
      view, block: as for `local_models`.
      nodes: also of each node, which is n times as much to keep.
    Returns:
      Arrays, for each metric M of the task, and "loss": M/local_classes [C], the mean over nodes; M/mean_model_classes [C];
      with `nodes` M/local_nodes_classes [n, C]. NaN for classes without test rows.
    Raises:
      ValueError: the data have no test set, or no class labels.
    Identity: classes weighted by their test rows give M/local and M/mean_model.
    """
    _need_labels(view, "per_class")
    local, mean = _measured(view, "classes", block)
    out = {name: v.mean(0) for name, v in local.items()} | mean
    if nodes:
        ids = chosen(view.honest, view.nodes)
        out |= {name.replace("/local_", "/local_nodes_"): by_node(view, ids, v) for name, v in local.items()}
    return out


def confusion(view: View, *, block: int | str | None = "auto") -> dict[str, np.ndarray]:
    """Count which classes of the global test set are taken for which.

    Args:
      view, block: as for `local_models`.
    Returns:
      Arrays [C, C], rows by the true class, columns by the highest score: "confusion/local", the mean over nodes, and
      "confusion/mean_model".
    Raises:
      ValueError: the data have no test set or no class labels; the task gives no scores.
    Identity: rows add up to the test rows of their class; the trace over all of them is the accuracy.
    """
    _need_labels(view, "confusion")
    tasks = view.task.tasks if isinstance(view.task, Architectures) else [view.task]
    if any(answer_of(task) is None for task in tasks):
        raise FieldError(
            "the task has no answer(params, batch), so there are no scores to compare; give from_functions one, or leave confusion out",
            field="metrics",
        )
    local, mean = _measured(view, "confusion", block)
    return {name: v.mean(0) for name, v in local.items()} | mean


def _measured(view: View, part: str, block: int | str | None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A part of each node's model [m, ...], and of the mean model, where there is one."""
    mean: dict[str, np.ndarray] = {}
    if view.averageable:
        static = (view.task, view.shared, part, view.data.num_classes)
        mean = view.ask(_of_mean_model, static, test_of(view), view.weights)
    ids = chosen(view.honest, view.nodes)
    if view.shared and view.averageable:
        local = {name.replace("/mean_model", "/local"): np.repeat(v[None], len(ids), 0) for name, v in mean.items()}
    else:
        local = of_nodes(view, ids, block, test_of(view), parts=(part,))
    return local, mean


@partial(jax.jit, static_argnums=0)
def _of_mean_model(static: Tree, params: Tree, key: Keys, stored: Tree, weights: Tree) -> dict[str, jax.Array]:
    task, shared, part, classes = static
    test, mean = seen(stored), params if shared else population.mean(params, weights)
    if part == "confusion":
        return {"confusion/mean_model": taken_for(task, mean, test, classes)}
    found = of_classes(values_of(task, mean, test, key), test["y"], classes)
    return {f"{name}/mean_model_classes": v for name, v in found.items()}


def _need_labels(view: View, metric: str) -> None:
    need_test(view)
    data = view.data
    if not data.labelled or np.ndim(data.test.get("y")) != 1:
        says = f"{metric} needs one class label for each test row, but {data.name} has none; leave {metric} out"
        raise FieldError(says, field="metrics")


__all__ = ["confusion", "per_class"]
