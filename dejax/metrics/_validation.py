"""How well models do on the validation part, by which runs are chosen."""

import numpy as np

from ..errors import FieldError
from ._models import chosen, of_mean_model, of_nodes, spread
from .view import View


def validation(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure the nodes' own models on validation rows: loss and accuracy.

    Each node on its own rows where they were set aside per node (`NodeData.split`), else on the common part. `history.best`
    and the ranking of `dejax sweep` choose by these numbers, so that test rows stay unseen.

    Args:
      view, block: as for `local_models`.
    Returns:
      For each metric M of the task, and "loss": M/validation (mean over nodes), M/validation_std, M/validation_worst,
      M/validation_p10.
    Raises:
      ValueError: the data have no validation part.
    """
    data = view.data
    if data.validation is None:
        raise FieldError(
            f"{data.name} has no validation part; set one aside with data.split(validation=0.1), or leave validation out",
            field="metrics",
        )
    ids, stored = chosen(view.honest, view.nodes), (data.validation, data.pixels)
    if data.validation_index is not None:
        rows = data.validation_index, data.validation_count
        values = of_nodes(view, ids, block, stored, owned=rows, parts=())
    elif view.shared:
        values = {name: np.full(len(ids), v) for name, v in of_mean_model(view, stored).items()}
    else:
        values = of_nodes(view, ids, block, stored)
    out: dict[str, float] = {}
    for name, per_node in values.items():
        metric = name.rsplit("/", 1)[0]
        out |= spread(per_node, f"{metric}/validation", view.higher(metric))
    return out


__all__ = ["validation"]
