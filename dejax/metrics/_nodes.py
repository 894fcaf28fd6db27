"""What each node has of it: numbers node by node, and how equally they are shared."""

import math

import numpy as np

from ..devices.processes import to_host
from ._models import on_test
from .view import View


def per_node(view: View, *, block: int | str | None = "auto") -> dict[str, np.ndarray]:
    """Keep what `local_models` and `own_test` average: one number for each node.

    Args:
      view, block: as for `local_models`, whose forward passes are shared.
    Returns:
      Arrays [n] by node id, for each metric M of the task, and "loss": M/local_nodes and, where nodes have a test
      distribution of their own, M/own_test_nodes. NaN for nodes that are not measured (adversaries, those that are away,
      those beyond `view.nodes`) or have no test rows.
    Raises:
      ValueError: the data have no test set.
    """
    ids, values = on_test(view, _has_own(view), block)
    return {f"{name}_nodes": by_node(view, ids, v) for name, v in values.items()}


def fairness(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure how equally the nodes are served, by one number v_i of each of m nodes.

    Args:
      view, block: as for `local_models`, whose forward passes are shared.
    Returns:
      For M/local and, where nodes have a test distribution of their own, M/own_test, with M each metric of the task and
      "loss": the mean over nodes under the name itself, every node counting alike, and

      - _weighted: sum_i s_i v_i / sum_i s_i, s_i the node's training rows; of M/own_test its own test rows, where the
        split made some, so that it is the mean over all of these rows
      - _jain: (sum_i v_i)^2 / (m sum_i v_i^2), 1/m to 1, 1 where all are equal
      - _entropy: - sum_i p_i log p_i / log m with p_i = v_i / sum_j v_j, 0 to 1, 1 where all are equal
      - _variance: (1/m) sum_i (v_i - mean)^2
      - _worst10, _best10: the mean over the worst, and the best, 10 % of the nodes (rounded up), where it is known which
        way M is better
      - _range: the largest less the smallest

      Jain's index and entropy are of numbers >= 0: NaN where one is negative, and where all are 0.
    Raises:
      ValueError: the data have no test set.
    Reference: Jain, Chiu and Hawe, A quantitative measure of fairness and discrimination, 1984; Li, Sanjabi, Beirami and Smith,
      Fair resource allocation in federated learning, 2020 (variance, worst and best 10 %).
    """
    ids, values = on_test(view, _has_own(view), block)
    data = view.data
    rows = {"local": to_host(data.count)[ids]}
    rows["own_test"] = rows["local"] if data.test_index is None else to_host(data.test_count)[ids]
    out: dict[str, float] = {}
    for name, per_node in values.items():
        metric, kind = name.rsplit("/", 1)
        out |= shares(per_node, rows[kind], name, view.higher(metric))
    return out


def shares(values: np.ndarray, rows: np.ndarray, name: str, higher: bool | None) -> dict[str, float]:
    """Return the numbers of `fairness` of one number per node [m], and their rows [m].

    Worst and best only where it is known whether higher is better.
    Nodes with NaN are left out.
    """
    there = ~np.isnan(values)
    v, rows = np.asarray(values, np.float64)[there], np.asarray(rows, np.float64)[there]
    if not len(v):
        return {name: math.nan}
    m, total, mean = len(v), float(v.sum()), float(v.mean())
    best = np.sort(v)[::-1] if higher else np.sort(v)
    tenth = math.ceil(m / 10)
    tails = {f"{name}_worst10": float(best[-tenth:].mean()), f"{name}_best10": float(best[:tenth].mean())}
    shared = total > 0 and v.min() >= 0  # whether there is something of which each has a share
    p = v / total if shared else np.full(m, math.nan)
    logs = np.log(np.where(p > 0, p, 1.0))
    entropy = 1.0 if m == 1 else -float(p @ logs) / math.log(m)
    return {
        name: mean,
        f"{name}_weighted": float(v @ rows / rows.sum()) if rows.sum() > 0 else math.nan,
        f"{name}_jain": total**2 / (m * float(v @ v)) if shared else math.nan,
        f"{name}_entropy": entropy if shared else math.nan,
        f"{name}_variance": float(np.square(v - mean).mean()),
        f"{name}_range": float(v.max() - v.min()),
    } | ({} if higher is None else tails)


def by_node(view: View, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [m, ...] of some nodes in the rows of all nodes [n, ...]; NaN for the others."""
    out = np.full((view.n, *values.shape[1:]), np.nan, values.dtype)
    out[ids] = values
    return out


def _has_own(view: View) -> bool:
    """Whether nodes have a test distribution of their own."""
    data = view.data
    return data.test_index is not None or (data.labelled and data.test is not None and np.ndim(data.test.get("y")) == 1)


__all__ = ["by_node", "fairness", "per_node", "shares"]
