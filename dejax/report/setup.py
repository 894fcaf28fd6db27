"""Describe an experiment in plain values, for readers of a run directory."""

import dataclasses
import datetime
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .. import topology
from ..core.local_work import Epochs, LocalSteps
from ..core.types import Method, Network, Problem, Topology
from ..data import NodeData, columns
from .as_config import call_of, class_name, split_of

SHOWN = 16  # numbers of an array that are written down; of longer ones shape and range
PROBLEM = ("batch_size", "sampling", "starts", "block", "remat", "roles", "personal_lr", "personal_optimizer")
ABOUT = ("date", "dejax", "jax", "python", "numpy", "backend")  # entries of a setup that no config has
FILLED = ("edges", "messages")  # fields of a network that it fills in by itself


def setup(
    method: Method, problem: Problem, network: Network, params: Any = None, phases: Sequence[tuple[int, Any, Any]] = ()
) -> dict[str, Any]:
    """Describe all that a run was given, in the words of a config where it can.

    Members stand as `name` or `{name: {argument: value}}`, as in a config; classes and functions outside of dejax with their module.
    Graphs and data stand with facts beside their arguments.
    Args:
      params: of the start, if any were given. phases: (first round, method, network) of those after the first.
    """
    network = {} if network is None else network
    out: dict[str, Any] = {"method": described(method), "network": _network(network)}
    out |= {"task": described(problem.task), "data": _data(problem.data)}
    out |= {
        name: described(getattr(problem, name)) for name in PROBLEM if getattr(problem, name, None) not in (None, ())
    }
    out["learning_rule"] = described(problem.rule)
    if params is not None:
        out["params"] = "given"
    if phases:
        out["phases"] = [{"from": t, "method": described(m), "network": _network(net)} for t, m, net in phases]
    return out | {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")} | versions()


def difference(one: Any, other: Any, field: str = "") -> tuple[str, Any, Any] | None:
    """Find the first field in which two setups differ: (its path, in one, in the other).

    None where they agree. What tells when and by which releases a run was made does not count. As a value, None
    stands for what one of them lacks.
    """
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return None if one == other else (field, one, other)
    if len(one) == len(other) == 1 and set(one) != set(other):  # two members
        return field, next(iter(one)), next(iter(other))
    for name in [*one, *(name for name in other if name not in one)]:
        if field or name not in ABOUT:
            found = difference(one.get(name), other.get(name), f"{field}.{name}" if field else name)
            if found is not None:
                return found
    return None


def facts_of(method: Method, *later: Method) -> dict[str, Any]:
    """Facts of a method: its repr without machine addresses, its local steps.

    later: the method in later phases.
    """
    all_steps = [getattr(m, "local_steps", None) for m in (method, *later)]
    said = list(dict.fromkeys(_steps(steps) for steps in all_steps if steps is not None))
    steps = all_steps[0] if len(said) == 1 and isinstance(all_steps[0], int) else ", then ".join(said)
    out = {"local_steps": steps} if said else {}
    return out | {"method": re.sub(r" at 0x[0-9a-f]+", "", repr(method))[:500]}


def _steps(given: LocalSteps | tuple[float, ...] | float) -> str:
    """Local steps in words: `5`, `2 to 9`, `0.5 epochs`."""
    if isinstance(given, Epochs):
        return _steps(given.epochs) + (" epoch" if given.epochs == 1 else " epochs")
    each = given if isinstance(given, tuple) else (given,)
    return f"{min(each):g}" if len(set(each)) == 1 else f"{min(each):g} to {max(each):g}"


def versions() -> dict[str, str]:
    """Releases that numbers may depend on."""
    import dejax

    return {
        "dejax": getattr(dejax, "__version__", "unknown"),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backend": jax.default_backend(),
    }


def described(value: object) -> Any:
    """Turn a value into what JSON can hold: members by name and arguments."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _array(value)
    if isinstance(value, Mapping):
        return {str(k): described(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [described(v) for v in value]
    if isinstance(value, topology.Topology):
        return _graph(value)
    call = call_of(value)
    if call is not None:
        return call
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: described(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr and f.init}
        return {_name(type(value)): fields} if fields else _name(type(value))
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return f"{value.__module__}.{name}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:300]


def _name(cls: type) -> str:
    """Name a member as a config does, a class of the user with its module."""
    if not cls.__module__.startswith("dejax."):
        return f"{cls.__module__}.{cls.__qualname__}"
    return class_name(cls)


def _array(value: Any) -> Any:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended) or isinstance(value, jax.core.Tracer):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return f"{value.dtype}{list(value.shape)}"
    array = np.asarray(value)
    if array.ndim == 0:
        return array.item()
    text = f"{array.dtype}{list(array.shape)}"
    if array.size <= SHOWN:
        return array.tolist()
    return f"{text}, {array.min():.6g} to {array.max():.6g}" if array.dtype.kind in "iuf" else text


def _graph(graph: Topology) -> dict[str, Any]:
    facts: dict[str, Any] = {"n": int(graph.n), "period": graph.period, "weights": f"{graph.kind} stochastic"}
    facts |= {"symmetric": graph.symmetric, "dtype": graph.dtype}
    if graph.period:
        facts |= {"max_degree": described(graph.max_degree), "mean_degree": described(graph.mean_degree)}
    call = call_of(graph)
    args = next(iter(call.values())) if isinstance(call, dict) else {}
    return {graph.name: args | facts}


def _network(network: Network | None) -> Any:
    if not dataclasses.is_dataclass(network):
        return described(network)
    fields = [f.name for f in dataclasses.fields(network) if f.name not in FILLED]
    return {name: described(value) for name in fields if (value := getattr(network, name)) is not None}


def _data(data: Any) -> Any:
    if not isinstance(data, NodeData):
        return described(data)
    count = np.asarray(data.count) if getattr(data.count, "is_fully_addressable", True) else None
    facts = columns.shapes(data.arrays)
    out: dict[str, Any] = {"name": data.name} | split_of(data)
    out |= {"nodes": int(data.n), "arrays": facts, "classes": data.num_classes}
    if count is not None:
        out["samples_of_a_node"] = [int(count.min()), int(count.max())]
        out["rows_shared"] = int(count.sum()) > data.size
    out["test_samples"] = 0 if data.test is None else columns.count(data.test)
    out["own_test"] = data.test_index is not None
    if data.validation is not None:
        out["validation_samples"] = len(next(iter(data.validation.values())))
    return out


__all__ = ["ABOUT", "described", "difference", "facts_of", "setup", "versions"]
