"""How well the models do: each node's own, and their mean."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import population
from ..core import tree
from ..core.arguments import evenly, with_key
from ..core.random import fold_name
from ..core.stacks import is_stacks
from ..core.types import Keys, Place, Task, Tree
from ..devices.node_blocks import map_nodes
from ..errors import FieldError
from ..xla.erase_mesh import erase_mesh
from .by_class import of_classes, shares_of_classes, taken_for
from .view import View


def local_models(view: View, *, own: bool = False, block: int | str | None = "auto") -> dict[str, float]:
    """Measure the nodes' own models on the global test set: loss and accuracy.

    Each as mean, spread, worst node, worst decile.

    Args:
      view: the moment to measure. Of its honest nodes `view.nodes` are evaluated, evenly spread
        over the ids; None: all.
      own: also measure each node on its own distribution (see `own_test`); the forward passes are
        shared.
      block: nodes evaluated at a time; "auto": as many as keep activations within the cache (CPU)
        or 1 GiB; None: all.
    Returns:
      For each metric M of the task, and "loss": M/local (mean over nodes), M/local_std,
      M/local_worst, M/local_p10 (the value that 10 % of the nodes fall short of: the 10th
      percentile where higher is better, else the 90th; linear interpolation); the last two only where it is known which
      way M is better (`direction`). With `own` the same
      under M/own_test. Where nodes have several architectures, also M/local/NAME, the mean over those
      of one. Also "evaluated", the number of models; and where they are all, but fewer on
      the way, M/local_sample: the mean over those of the way, as which their curve goes on.
    Raises:
      ValueError: the data have no test set.
    """
    ids, values = on_test(view, own, block)
    kinds = view.rows.parts() if is_stacks(view.rows) else []
    out: dict[str, float] = {"evaluated": len(ids)}
    for name, per_node in values.items():
        out |= spread(per_node, name, view.higher(name))
        for kind, of in kinds:
            some = per_node if of is None else per_node[np.isin(ids, of)]
            out[f"{name}/{kind}"] = float(np.nanmean(some)) if (~np.isnan(some)).any() else float("nan")
    if view.width is not None and view.width < len(ids) and not view.shared:
        few = np.isin(ids, chosen(view.honest, view.width))
        if few.sum() == view.width:
            out |= {f"{name}_sample": spread(per_node[few], name, None)[name] for name, per_node in values.items()}
    return out


def on_test(view: View, own: bool, block: int | str | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Measure each node's own model: ids [m], and each measure [m].

    They are M/local, and with `own` M/own_test. A view keeps them, so that several metrics share the forward passes.

    Raises:
      ValueError: the data have no test set, or nothing that makes it a node's own.
    """
    need_test(view)
    if own:
        _need_own(view)
    if (kept := view.kept.get(("on_test", own, block), view.kept.get(("on_test", True, block)))) is not None:
        ids, values = kept
        return ids, values if own else {name: v for name, v in values.items() if name.endswith("/local")}
    ids = chosen(view.honest, view.nodes)
    if view.shared and not own:
        values = {f"{name}/local": np.full(len(ids), v) for name, v in of_mean_model(view, test_of(view)).items()}
    else:
        data = view.data
        light = {"index": data.index, "count": data.count, "y": data.arrays.get("y")} if own else None
        owned = (data.test_index, data.test_count) if own and data.test_index is not None else None
        values = of_nodes(view, ids, block, test_of(view), light=light, owned=owned)
    view.kept["on_test", own, block] = ids, values
    return ids, values


def own_test(view: View, *, block: int | str | None = "auto") -> dict[str, float]:
    """Measure each node's model on its own distribution: loss and accuracy.

    They say how well personal models serve their nodes. A node's own distribution is its own test
    rows where the partitioner made them (`data.test_index`). Otherwise the global test set, each
    class weighted by its share among the node's training labels: sum_c h_ic acc_ic / sum_c h_ic
    over the classes that the test set has.

    Returns:
      M/own_test, M/own_test_std, M/own_test_worst, M/own_test_p10, as in `local_models`.
    Raises:
      ValueError: neither own test rows nor class labels.
    """
    return {name: value for name, value in local_models(view, own=True, block=block).items() if "/own_test" in name}


def mean_model(view: View) -> dict[str, float]:
    """Measure the mean of the honest nodes' models on the global test set.

    Returns:
      M/mean_model for each metric M of the task, and the loss.

    Raises:
      ValueError: the data have no test set; models without a mean.
    """
    need_test(view)
    view.need_mean("mean_model")
    return {f"{name}/mean_model": value for name, value in of_mean_model(view, test_of(view)).items()}


def of_mean_model(view: View, stored: tuple[Any, Any]) -> dict[str, float]:
    """Return each measure of the mean model on a part of the data.

    stored: the part, and its `Pixels`.
    """
    values = view.ask(_mean_model, (view.task, view.shared), stored, view.weights)
    return {name: float(value) for name, value in values.items()}


def spread(values: np.ndarray, name: str, higher: bool | None) -> dict[str, float]:
    """Return mean, std, worst and worst decile of one number per node [m].

    The worst ones only where it is known whether higher is better. A node without test data (NaN on purpose) is left out.

    A model that gives NaN is not without data: `DivergenceError` comes before any metric.
    """
    values = np.asarray(values, np.float64)
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return {name: float("nan")}
    mean = float(values.mean())
    centred = values - mean
    found = {name: mean, f"{name}_std": math.sqrt(centred.dot(centred) / len(values))}
    if higher is None:
        return found
    at = (0.1 if higher else 0.9) * (len(values) - 1)
    low, high = values[int(at)], values[min(int(at) + 1, len(values) - 1)]
    return found | {
        f"{name}_worst": float(values[0 if higher else -1]),
        f"{name}_p10": float(low + (at - int(at)) * (high - low)),
    }


def chosen(honest: np.ndarray, nodes: int | None) -> np.ndarray:
    """Return the ids of the nodes to evaluate: all honest ones, or `nodes` of them.

    They are evenly spread, and the same during a whole run.
    """
    if nodes is None or nodes >= len(honest):
        return honest
    if nodes < 1:
        raise FieldError(f"nodes to evaluate is {nodes}; give a whole number >= 1, or None for all", field="nodes")
    rng = np.random.default_rng(0)  # one of each stratum: distinct, spread, and no periodic pattern
    edges = np.linspace(0, len(honest), nodes + 1).astype(np.int64)
    return honest[rng.integers(edges[:-1], edges[1:])]


def of_nodes(
    view: View, ids: np.ndarray, block: int | str | None, stored: tuple[Any, Any], *,
    light: dict[str, Any] | None = None, owned: tuple[Any, Any] | None = None, parts: tuple[str, ...] = ("local",),
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return each measure per node [m, ...], by one compiled program however long `ids` is.

    It is for `view.width` nodes. All nodes on a mesh: each device evaluates those that it holds,
    adversaries too, and only numbers leave it.

    Args:
      stored: a part of the data, and its `Pixels`. parts: of all of its rows "local", M/local; "classes", the same of each class;
        "confusion", rows of each class that are taken for each.
      owned: each node's rows of it and their count, M/own_test. light: index, count and labels of training rows, for
        M/own_test by the classes of each node; None: neither.
    """
    if is_stacks(view.rows):
        return _by_architecture(view, ids, block, stored, light=light, owned=owned, parts=parts)
    whole = view.place is not None and view.groups is None and len(ids) == len(view.honest)
    nodes = view.ids if whole else ids
    width = len(nodes) if whole else min(view.width or len(nodes), len(nodes))
    found = []
    static = (view.task, view.shared, parts, view.data.num_classes, block)
    for start in range(0, len(nodes), width):
        some = np.resize(nodes[start : start + width], width)  # the last block repeats nodes; they are cut off below
        own_rows = whole or (view.place is None and view.members is None and view.groups is None)
        at = None if own_rows else view.positions[some]
        found.append(view.ask(_nodes, static, stored, light, owned, some, view.place, at))
    values = {name: np.concatenate([p[name] for p in found])[: len(nodes)] for name in found[0]}
    return {name: v[view.positions[ids]] for name, v in values.items()} if whole else values


def _by_architecture(
    view: View, ids: np.ndarray, block: int | str | None, stored: tuple[Any, Any], **how: Any
) -> dict[str, np.ndarray]:
    """The same [m, ...] of nodes of several architectures: one program for each."""
    values: dict[str, np.ndarray] = {}
    for name, members in view.rows.parts():
        mine = np.ones(len(ids), bool) if members is None else np.isin(ids, members)
        if mine.any():
            for measure, of_mine in of_nodes(view.of(name), ids[mine], block, stored, **how).items():
                values.setdefault(measure, np.full((len(ids), *of_mine.shape[1:]), np.nan))[mine] = of_mine
    return values


def test_of(view: View) -> tuple[Any, Any]:
    """The test part as it is stored, and how tasks see it."""
    return view.data.test, view.data.pixels


def seen(stored: tuple[Any, Any]) -> Tree:
    """A part of the data as tasks see it."""
    test, pixels = stored
    return test if pixels is None else {**test, "x": pixels.floats(test["x"])}


def need_test(view: View) -> None:
    """Raise ValueError where there is no test part."""
    if view.data.test is None:
        raise FieldError(
            f"{view.data.name} has no test set, so models cannot be measured on one; give a test set, or measure `objective` "
            "(the loss on all training data) instead",
            field="data",
        )


def _need_own(view: View) -> None:
    data = view.data
    if data.test_index is None and not (data.labelled and "y" in data.test):
        raise FieldError(
            f"own_test needs class labels or own test rows of each node, but {data.name} has neither; leave own_test out",
            field="metrics",
        )


def values_of(task: Task, params: Tree, batch: Tree, key: Keys) -> dict[str, jax.Array]:
    """Loss and the task's metrics, per example [B] (or scalar, if the task gives scalars)."""
    values = with_key(task.metrics, params, batch, key=fold_name(key, "metrics"))
    if "loss" not in values and not hasattr(task, "world"):  # which has losses of what happened there alone
        values = values | {"loss": evenly(task.loss)(params, batch, fold_name(key, "test"))}
    return {name: v if v.dtype == jnp.float64 else v.astype(jnp.float32) for name, v in values.items()}


@partial(jax.jit, static_argnums=0)
def _mean_model(static: Tree, params: Tree, key: Keys, stored: Tree, weights: Tree) -> dict[str, jax.Array]:
    task, shared = static
    test, mean = seen(stored), params if shared else population.mean(params, weights)
    return {name: v.mean() for name, v in values_of(task, mean, test, key).items()}


@partial(jax.jit, static_argnums=0)
def _nodes(
    static: Tree,
    params: Tree,
    key: Keys,
    stored: Tree,
    light: Tree,
    owned: Tree,
    ids: jax.Array,
    place: Place | None = None,
    at: Any = None,
) -> dict[str, jax.Array]:
    """Return the numbers of the nodes `ids`.

    The program depends on task, data and shapes, so runs of one comparison share it.

    Args:
      place: where rows lie on a mesh. at: [m], the rows of `params` that the nodes have there;
        None: `ids` are those of all rows.
    """
    task, shared, parts, classes, block = static
    if place is not None:
        params, stored, light, owned, key = erase_mesh((params, stored, light, owned, key))
    elif at is None:
        at = ids
    test = seen(stored)
    per_class: Any = None
    present: Any = None
    by_classes = light is not None and owned is None
    if by_classes:
        per_class, present = shares_of_classes(test["y"], classes)

    def one(args: Tree) -> dict[str, jax.Array]:
        model, node = args
        model = params if shared else model
        values = values_of(task, model, test, key)
        out = {f"{name}/local": v.mean() for name, v in values.items()} if "local" in parts else {}
        if "classes" in parts:
            out |= {f"{name}/local_classes": v for name, v in of_classes(values, test["y"], classes).items()}
        if "confusion" in parts:
            out["confusion/local"] = taken_for(task, model, test, classes)
        if owned is not None:
            rows, count = owned[0][node], owned[1][node]
            real = jnp.arange(rows.shape[0]) < count
            for name, v in values_of(task, model, tree.map(lambda x: x[rows], test), key).items():
                if v.ndim:
                    mean = jnp.where(real, v, 0).sum() / jnp.maximum(count, 1).astype(v.dtype)
                    out[f"{name}/own_test"] = jnp.where(count > 0, mean, jnp.nan)
        elif light is not None:
            real = jnp.arange(light["index"].shape[1]) < light["count"][node]
            labels = light["y"][light["index"][node]]
            share = jnp.where(present, jnp.zeros(classes, jnp.float32).at[labels].add(real.astype(jnp.float32)), 0)
            for name, v in values.items():
                if v.ndim:
                    by_class = jnp.dot(v, per_class.astype(v.dtype), precision="highest")
                    mean = jnp.dot(share.astype(v.dtype), by_class, precision="highest") / share.sum().astype(v.dtype)
                    out[f"{name}/own_test"] = jnp.where(share.sum() > 0, mean, jnp.nan)
        return out

    rows = None if shared else params if at is None else tree.map(lambda x: x[at], params)
    return map_nodes(one, (rows, ids), block, place)


__all__ = [
    "chosen",
    "local_models",
    "mean_model",
    "need_test",
    "of_mean_model",
    "of_nodes",
    "on_test",
    "own_test",
    "seen",
    "spread",
    "test_of",
    "values_of",
]
