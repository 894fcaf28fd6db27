"""Write a run that was made by calls as the config that makes the same."""

import dataclasses
import functools
import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..core.local_work import Epochs
from ..core.made import Made, made
from ..core.types import Method, Network, Problem
from ..core.yaml_text import dump
from ..data import Dataset, NodeData
from ..problem.learning_rules import back_propagation

ROOMS = (
    "aggregation", "attacks", "compression", "data", "data.augmentations", "events", "faults", "methods", "metrics", "optimizers", "privacy",
    "problem.experience", "problem.learning_rules", "proximal", "tasks", "topology",
)  # fmt: skip
SCHEDULES = {
    "Cosine": "cosine", "InverseSqrt": "inverse_sqrt", "Step": "step", "Exponential": "exponential",
    "Piecewise": "piecewise", "OneCycle": "one_cycle", "WarmUp": "warm_up",
}  # fmt: skip
PROBLEM = ("batch_size", "sampling", "starts", "block", "personal_lr", "personal_optimizer")
FILLED = ("edges", "messages")  # fields of a network that it fills in by itself
Later = Sequence[tuple[int, Any, Any]]  # phases after the first: (first round, method, network)
Experiment = tuple[Any, ...]  # (method, problem, network), and perhaps the later phases


class _NoName(Exception):
    """A part that no config can name."""


def as_config(
    runs: Mapping[str, Experiment],
    rounds: Mapping[str, int],
    seed: Any = 0,
    when: Mapping[str, Any] | None = None,
    mesh: Any = None,
) -> str | None:
    """Write runs as a config in YAML; None where some part has no name in a config.

    Names have members of dejax that were made by a call with plain arguments. What all runs have in common stands at the top.

    Args:
      runs: label -> (method, problem, network). rounds: by label.
      seed: a number or several. when: every, nodes, final_nodes, metrics, checkpoint_every. mesh: as `simulate` takes it.
    """
    try:
        own = {label: {"rounds": rounds[label]} | _run(*parts) for label, parts in runs.items()}
        rest = {"seed": spelled(seed), "eval": _when(when or {}), "mesh": _mesh(mesh)}
    except _NoName:
        return None
    each = list(own.values())
    shared = {k: v for k, v in each[0].items() if all(k in other and other[k] == v for other in each)}
    out = shared | {k: v for k, v in rest.items() if v is not None and v != {}}
    label, only = next(iter(own.items()))
    if len(own) == 1 and label == _only_key(only["method"]):
        return dump(out)
    shared.pop("method", None)
    out.pop("method", None)
    return dump(
        out | {"methods": {label: {k: v for k, v in run.items() if k not in shared} for label, run in own.items()}}
    )


def spelled(value: Any) -> Any:
    """Spell a value as a config does: plain, or `{name: {argument: value}}`.

    Raises:
      _NoName: there is no such spelling.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        plain = not isinstance(value, jax.core.Tracer) and getattr(value, "is_fully_addressable", True)
        if not plain or jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended) or value.size > 1000:
            raise _NoName
        return np.asarray(value).tolist()
    if isinstance(value, Mapping):
        return {str(k): spelled(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [spelled(v) for v in value]
    mark = value if isinstance(value, Made) else made(value)
    if mark is not None:
        return _call(_name(mark.maker), mark.args)
    optimizer = _of_optax(value)
    if optimizer is not None:
        return optimizer
    if isinstance(value, Epochs):
        return {"epochs": spelled(value.epochs)}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise _NoName
    return _call(
        _name(type(value)), {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.repr and f.init}
    )


def samples(data: Any) -> dict[str, Any]:
    """Spell where data come from and how they were split, as the section `data` of a config.

    Raises:
      _NoName: there is no such spelling.
    """
    mark = made(data)
    parts = _sections(mark)
    if parts is None or any(part is None for part in (mark, parts["source"])):
        raise _NoName
    return {name: spelled(value) for name, value in parts.items()}


def split_of(data: Any) -> dict[str, Any]:
    """The same as far as there are names; {} where there are none."""
    mark = made(data)
    parts = _sections(mark) or {}
    out = {}
    for name, value in parts.items():
        try:
            out[name] = spelled(value)
        except _NoName:
            continue
    return {k: v for k, v in out.items() if v is not None}


def _sections(mark: Made | None) -> dict[str, Any] | None:
    """Return the arguments of the section `data`, as far as the calls are known."""
    if mark is None:
        return None
    if mark.maker is NodeData.split:
        split = {k: v for k, v in mark.args.items() if k != "source"}
        before = _sections(mark.args["source"])
        return None if before is None or "split" in before else {**before, "split": {**split, "of": "nodes"}}
    if mark.maker is not Dataset.partition:
        return {"source": mark}
    source = mark.args["source"]
    if source is None or source.maker is not Dataset.split:
        return mark.args
    split = {k: v for k, v in source.args.items() if k != "source"}
    return {**mark.args, "source": source.args["source"], "split": {**split, "of": "all"}}


def call_of(value: object) -> Any:
    """Spell a value that keeps its call; None where it keeps none, or has no name."""
    try:
        return None if made(value) is None else spelled(value)
    except _NoName:
        return None


def _run(method: Method, problem: Problem, network: Network, phases: Later = ()) -> dict[str, Any]:
    if problem.remat:
        raise _NoName
    out: dict[str, Any] = {"data": samples(problem.data)}
    if made(problem.task) is None:
        raise _NoName
    source, task = made(problem.data), made(problem.task)
    if source is None or task is None or source.maker is not task.maker:  # a synthetic source brings its task
        out["task"] = spelled(problem.task)
    elif source.args != task.args:
        raise _NoName
    if network is not None:
        out["network"] = _network(network)
    out["method"] = spelled(method)
    out |= {
        name: spelled(value) for name in PROBLEM if (value := getattr(problem, name)) is not None or name == "block"
    }
    out |= {"phases": _phases(phases)} if phases else {}
    out |= {} if problem.source is None else {"source": spelled(problem.source)}
    out |= {} if type(problem.rule) is back_propagation else {"rule": spelled(problem.rule)}
    out |= {"augment": [spelled(m) for m in problem.augment]} if problem.augment else {}
    return out | ({"roles": dict(problem.roles)} if problem.roles else {})


def _phases(later: Later) -> list[dict[str, Any]]:
    """Spell phases: what each after the first has, whole; the first has what the run has."""
    ends = [{"until": begin} for begin, *_ in later]
    names = [] if later[0][2] is None else [f.name for f in dataclasses.fields(later[0][2]) if f.name not in FILLED]
    network = lambda net: (
        {"network": dict.fromkeys(names) | _network(net)} if names else {}
    )  # nothing of the run's stays
    whole = [{"method": spelled(method)} | network(net) for _, method, net in later]
    return [dict(a, **b) for a, b in zip([*ends, {}], [{}, *whole], strict=True)]


def _network(network: Network) -> dict[str, Any]:
    if type(network).__module__.split(".")[:2] != ["dejax", "network"]:
        raise _NoName
    names = [f.name for f in dataclasses.fields(network) if f.name not in FILLED]
    return {name: spelled(value) for name in names if (value := getattr(network, name)) is not None}


def _when(when: Mapping[str, Any]) -> dict[str, Any]:
    given = {k: v for k, v in when.items() if v is not None}
    metrics = given.get("metrics")
    if metrics is not None:
        several = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
        given["metrics"] = [_metric(m) for m in several]
    return {k: spelled(v) for k, v in given.items()}


def _metric(metric: Any) -> Any:
    """Spell a metric by its name, with the options that it was given."""
    if isinstance(metric, functools.partial):
        if metric.args:
            raise _NoName
        return _call(_name(metric.func), metric.keywords)
    return metric if isinstance(metric, str) else _name(metric)


def _mesh(mesh: Any) -> Any:
    if isinstance(mesh, int):
        return {"nodes": mesh}
    if mesh is None or isinstance(mesh, Mapping):
        return spelled(mesh) or ({} if mesh is None else {"runs": 1})
    raise _NoName


def _call(name: str, args: Mapping[str, Any]) -> Any:
    inner = {k: spelled(v) for k, v in args.items()}
    return {name: inner} if inner else name


def _only_key(call: Any) -> str:
    return call if isinstance(call, str) else next(iter(call))


def _of_optax(value: Any) -> Any:
    """Spell an optax optimizer or schedule by the name of its factory; None for anything else."""
    import optax

    from ..optimizers.optimizers import Optimizer
    from ..optimizers.schedules import OfOptax

    if isinstance(value, OfOptax):
        return _call(value.factory.__name__, {**value.arguments(), "unit": value.unit})
    if not isinstance(value, Optimizer):
        return None
    name = getattr(value.factory, "__name__", "")
    if getattr(optax, name, None) is not value.factory:
        raise _NoName
    restart = {} if value.restart is None else {"restart": value.restart}
    return _call(name, {**value.numbers, **dict(value.structure), **restart})


def class_name(cls: type) -> str:
    """Name a class as configs do; one that they do not know by its own name, in their spelling."""
    return _names().get(id(cls)) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def _name(member: Any) -> str:
    name = _names().get(id(member))
    if name is None:
        raise _NoName
    return name


@functools.cache
def _names() -> dict[int, str]:
    """Members by identity: classes and functions that a room lists under a name of configs."""
    out = {}
    for room in ROOMS:
        module = importlib.import_module(f"dejax.{room}")
        for name in module.__all__:
            if name in SCHEDULES or name == name.lower():
                out[id(getattr(module, name))] = SCHEDULES.get(name, name)
    return out


__all__ = ["as_config", "call_of", "class_name", "samples", "spelled", "split_of"]
