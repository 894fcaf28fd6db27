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
        proximal as proximal,
        report as report,
        sinks as sinks,
        tasks as tasks,
        testing as testing,
        theory as theory,
        topology as topology,
    )
    from .core import checks as checks
    from .core.kinds import (
        Attack as Attack,
        Codec as Codec,
        Compressor as Compressor,
        Events as Events,
        Experience as Experience,
        Fault as Fault,
        LearningRule as LearningRule,
        Privacy as Privacy,
        Rule as Rule,
    )
    from .core.local_work import Epochs as Epochs
    from .core.method import Traits as Traits
    from .core.struct import number as number, option as option, static as static, struct as struct
    from .data import augmentations as augmentations
    from .engine import rollout as rollout
    from .errors import (
        CheckpointError as CheckpointError,
        ConfigError as ConfigError,
        DivergenceError as DivergenceError,
        FieldError as FieldError,
        ProcessError as ProcessError,
        PromiseError as PromiseError,
        RefusedError as RefusedError,
        TooLargeError as TooLargeError,
    )
    from .network import Network as Network
    from .optimizers import Cosine as Cosine, InverseSqrt as InverseSqrt, optimizer as optimizer
    from .planning.privacy import privacy_spent as privacy_spent
    from .problem import Problem as Problem, experience as experience, learning_rules as learning_rules
    from .report.history import History as History
    from .runs.simulate import compare as compare, simulate as simulate
    from .runs.sweep import sweep as sweep
    from .xla.cpu_flags import fast_cpu as fast_cpu

__version__ = "0.1.0"

_ROOMS = (
    "aggregation", "attacks", "compression", "config", "data", "events", "faults", "methods", "metrics", "mixing",
    "optimizers", "population", "privacy", "proximal", "report", "sinks", "tasks", "testing", "theory", "topology",
)  # fmt: skip
_NOUNS = {
    "CheckpointError": "errors", "ConfigError": "errors", "Cosine": "optimizers", "DivergenceError": "errors", "Epochs": "core.local_work", "FieldError": "errors",
    "History": "report.history", "InverseSqrt": "optimizers", "Network": "network", "Problem": "problem",
    "ProcessError": "errors", "PromiseError": "errors", "RefusedError": "errors", "compare": "runs.simulate", "fast_cpu": "xla.cpu_flags", "optimizer": "optimizers", "privacy_spent": "planning.privacy", "rollout": "engine", "simulate": "runs.simulate",
    "TooLargeError": "errors", "Traits": "core.method", **dict.fromkeys(
        ("Attack", "Codec", "Compressor", "Events", "Experience", "Fault", "LearningRule", "Privacy", "Rule"), "core.kinds"
    ), "number": "core.struct", "option": "core.struct", "static": "core.struct", "struct": "core.struct", "sweep": "runs.sweep",
}  # fmt: skip

_PLACES = {room: room for room in _ROOMS} | {
    "augmentations": "data.augmentations",
    "checks": "core.checks",
    "experience": "problem.experience",
    "learning_rules": "problem.learning_rules",
}

__all__ = sorted([*_PLACES, *_NOUNS])


def __getattr__(name: str) -> Any:
    """Rooms and nouns are imported when first used, so that `import dejax` is quick."""
    if name in _NOUNS:
        value = getattr(importlib.import_module(f".{_NOUNS[name]}", __name__), name)
    elif name in _PLACES:
        value = importlib.import_module(f".{_PLACES[name]}", __name__)
    else:
        raise AttributeError(f"dejax has no {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
