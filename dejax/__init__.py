"""dejax: networks of learners that train together, simulated at thousands of nodes in JAX."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        aggregation as aggregation,
        attacks as attacks,
        compression as compression,
        data as data,
        events as events,
        faults as faults,
        methods as methods,
        metrics as metrics,
        population as population,
        privacy as privacy,
        report as report,
        tasks as tasks,
        topology as topology,
    )
    from ._bytes import TooLargeError as TooLargeError
    from ._cpu import fast_cpu as fast_cpu
    from ._processes import ProcessError as ProcessError
    from ._simulate import DivergenceError as DivergenceError, compare as compare, simulate as simulate
    from ._struct import static as static, struct as struct
    from ._sweep import sweep as sweep
    from .checkpoint import CheckpointError as CheckpointError
    from .config import ConfigError as ConfigError
    from .engine import rollout as rollout
    from .history import History as History
    from .network import Network as Network, RefusedError as RefusedError
    from .optimizers import Cosine as Cosine, InverseSqrt as InverseSqrt, optimizer as optimizer
    from .problem import Problem as Problem

__version__ = "0.1.0"

_ROOMS = (
    "aggregation", "attacks", "compression", "config", "data", "events", "faults", "methods", "metrics", "mixing",
    "optimizers", "population", "privacy", "report", "tasks", "topology",
)  # fmt: skip
_NOUNS = {
    "CheckpointError": "checkpoint", "ConfigError": "config", "Cosine": "optimizers", "DivergenceError": "_simulate",
    "History": "history", "InverseSqrt": "optimizers", "Network": "network", "Problem": "problem",
    "ProcessError": "_processes", "RefusedError": "network", "compare": "_simulate", "fast_cpu": "_cpu", "optimizer": "optimizers", "rollout": "engine", "simulate": "_simulate",
    "TooLargeError": "_bytes", "static": "_struct", "struct": "_struct", "sweep": "_sweep",
}  # fmt: skip

__all__ = sorted([*_ROOMS, *_NOUNS])


def __getattr__(name: str) -> Any:
    """Rooms and nouns are imported when first used, so that `import dejax` is quick."""
    if name in _NOUNS:
        value = getattr(importlib.import_module(f".{_NOUNS[name]}", __name__), name)
    elif name in _ROOMS:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"dejax has no {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
