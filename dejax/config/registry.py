"""Which members a field of a config may hold: their kind, its folder, and what is in it."""

import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from . import catalog
from .catalog import Member

OPTIMIZERS = (
    "adabelief", "adadelta", "adagrad", "adam", "adamw", "amsgrad", "lamb", "lion", "nadam", "rmsprop", "sgd", "yogi",
)  # fmt: skip
AROUND = ("clip_value", "clip_norm", "l2", "weight_decay")  # as in `optimizers`, which would import JAX
SCHEDULES = {
    "cosine": "Cosine", "inverse_sqrt": "InverseSqrt", "step": "Step", "exponential": "Exponential",
    "piecewise": "Piecewise", "one_cycle": "OneCycle", "warm_up": "WarmUp",
}  # fmt: skip
OPTAX_SCHEDULES = (
    "constant_schedule", "cosine_decay_schedule", "cosine_onecycle_schedule", "exponential_decay", "linear_onecycle_schedule",
    "linear_schedule", "piecewise_constant_schedule", "piecewise_interpolate_schedule", "polynomial_schedule",
    "warmup_constant_schedule", "warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule",
)  # fmt: skip
OF_SEVERAL = ("join_schedules", "sgdr_schedule")  # schedules of optax that are made of others


@dataclass(frozen=True)
class Kind:
    """A kind of member: its word in `dejax list`, its folder, and which members belong to it."""

    plural: str
    folder: str
    belongs: Callable[[Member], bool]
    wrapped_by: str = ""  # what to say when a member of the same folder but another kind is named here


def _has(*names: str) -> Callable[[Member], bool]:
    return lambda m: any(n in m.methods for n in names)


def _returns(*words: str) -> Callable[[Member], bool]:
    return lambda m: not m.is_class and any(w in m.returns for w in words)


def _either(*tests: Callable[[Member], bool]) -> Callable[[Member], bool]:
    return lambda m: any(t(m) for t in tests)


KINDS: dict[str, Kind] = {
    "method": Kind("methods", "methods", _either(_has("step"), _returns("Method"))),
    "topology": Kind("topologies", "topology", _returns("Topology", "Deferred")),
    "weights": Kind("weights", "topology", _has("__call__")),
    "codec": Kind("codecs", "compression", _either(_has("encode"), _returns("Codec"))),
    "compressor": Kind("compressors", "compression", _either(_has("apply"), _returns("Compressor"))),
    "rule": Kind("rules", "aggregation", _either(_has("combine"), _returns("Rule"))),
    "attack": Kind("attacks", "attacks", _either(lambda m: m.is_class, _returns("Attack"))),
    "privacy": Kind("privacy", "privacy", _has("hook", "message", "gradient", "per_example")),
    "faults": Kind("faults", "faults", _has("awake", "arrives")),
    "clock": Kind("clocks", "faults", lambda m: m.is_class and not _has("awake", "arrives")(m)),
    "events": Kind("events", "events", _has("plan")),
    "prox": Kind("proximals", "proximal", _has("prox")),
    "learning_rule": Kind("learning_rules", "problem/learning_rules", _has("direction")),
    "experience": Kind("experience", "problem/experience", _has("collect")),
    "source": Kind("sources", "data", _returns("Dataset", "NodeData", "Synthetic")),
    "partition": Kind("partitions", "data", _either(_has("__call__"), _returns("Partition"))),
    "augment": Kind("augmentations", "data/augmentations", lambda m: True),
    "task": Kind("tasks", "tasks", lambda m: True),
    "optimizer": Kind("optimizers", "", lambda m: False),
    "schedule": Kind("schedules", "", lambda m: False),
    "metric": Kind("metrics", "metrics", lambda m: True),
    "sink": Kind("sinks", "sinks", _returns("Sink")),
}
_CLASS_KINDS = {k: k for k in KINDS} | {"partitioner": "partition", "dataset": "source", "fault": "faults"}


class Registry:
    """Members by kind: those of dejax, and the user's own.

    Args:
      extra: `{kind: {name: callable}}`, added to (and winning over) dejax's own: how a method
        written in a notebook gets a name in a config.
      builtin: False for the extra members alone (tests).
      imports: modules whose public classes and functions are members of every kind, under their names in full, `package.module.MyMethod`.
    Raises:
      ValueError: an unknown kind. ConfigError: a module that cannot be imported.
    Example:
      >>> Registry({"method": {"mine": dict}}, builtin=False).members("method")
      {'mine': <class 'dict'>}
    """

    def __init__(
        self,
        extra: Mapping[str, Mapping[str, Callable[..., Any]]] | None = None,
        builtin: bool = True,
        imports: Iterable[str] = (),
    ):
        self.extra = {kind: dict(members) for kind, members in (extra or {}).items()}
        self.builtin = builtin
        unknown = set(self.extra) - set(KINDS)
        if unknown:
            raise ValueError(f"extra names the kind {min(unknown)!r}; give some of {', '.join(KINDS)}")
        self.imports = tuple(imports)
        self._imported = {name: value for module in self.imports for name, value in imported(module).items()}
        self._cache: dict[str, dict[str, Callable[..., Any]]] = {}

    def kind_of(self, name: str, hint: object) -> str | None:
        """Return the kind of member that a parameter takes; None for a plain value.

        It is found by a mark in its hint (`Annotated[Any, "learning_rule"]`), by the parameter's
        name or by the class in its hint.
        """
        marked = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, str) and m in KINDS), None)
        if marked is not None:
            return marked
        plain = (bool, int, float, str, type(None))
        options = _flat(hint)
        if name in KINDS and not all(o in plain or typing.get_origin(o) is typing.Literal for o in options):
            return name
        for o in options:
            kind = _CLASS_KINDS.get(getattr(o, "__name__", "").lower()) if inspect.isclass(o) else None
            if kind is not None and o.__module__.startswith("dejax"):
                return kind
        return None

    def members(self, kind: str) -> dict[str, Callable[..., Any]]:
        """Name -> callable, in the order of the folder's list."""
        if kind not in self._cache:
            own = self.extra.get(kind, {})
            found = {k: v for k, v in (_builtin(kind) if self.builtin else {}).items() if k not in own}
            every = own | found | self._imported
            self._cache[kind] = {k: _called_later(v) for k, v in every.items()} if kind == "metric" else every
        return self._cache[kind]

    def whole(self, kind: str, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path with the pieces of a name in full, with which it begins, as one piece."""
        joined = ((".".join(path[:i]), i) for i in range(len(path), 1, -1))
        return next(((name, *path[i:]) for name, i in joined if name in self._imported), path) if kind else path

    def hint(self, kind: str, name: str) -> str:
        """Where a name of another kind would belong: ` top_k is a compressor.`"""
        if kind == "schedule" and name in OF_SEVERAL:
            return f" ({name} is made of several schedules, which configs do not write: call it in Python, lr=optax.{name}(...).)"
        for other in KINDS:
            if other != kind and name in (_names(other) if self.builtin else self.extra.get(other, {})):
                return f" ({name} is a {other}.)"
        module = name.rpartition(".")[0]
        if module and module not in self.imports:
            return f" A config alone imports no code: if you trust {module}, add --import {module}."
        return ""


def imported(module: str) -> dict[str, Callable[..., Any]]:
    """Public classes and functions that a module of the user makes, under their names in full.

    Raises:
      ConfigError: it cannot be imported.
    """
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise ConfigError(("imports",), f"cannot import {module}: {type(error).__name__}: {error}") from error
    told = getattr(found, "__all__", None)
    names = told or [name for name in vars(found) if not name.startswith("_")]
    own = lambda value: told or f"{getattr(value, '__module__', '')}.".startswith(f"{found.__name__}.")
    held = {name: getattr(found, name, None) for name in names}
    return {f"{module}.{name}": value for name, value in held.items() if callable(value) and own(value)}


def _flat(hint: object) -> list[Any]:
    """All classes in a hint: through unions, lists and Annotated."""
    if typing.get_origin(hint) is typing.Annotated:
        return _flat(typing.get_args(hint)[0])
    if typing.get_origin(hint) is typing.Literal:
        return [hint]
    args = [a for a in typing.get_args(hint) if a is not Ellipsis and not isinstance(a, list)]
    return [c for a in args for c in _flat(a)] if args else [hint]


def _names(kind: str) -> list[str]:
    if kind in ("optimizer", "schedule"):
        return list(OPTIMIZERS) if kind == "optimizer" else [*SCHEDULES, *OPTAX_SCHEDULES]
    return [m.name for m in catalog.members(KINDS[kind].folder) if KINDS[kind].belongs(m)]


@functools.lru_cache(maxsize=32)
def _builtin(kind: str) -> dict[str, Callable[..., Any]]:
    if kind == "optimizer":
        return _optimizers()
    if kind == "schedule":
        optimizers = importlib.import_module("dejax.optimizers")
        return {name: getattr(optimizers, target) for name, target in SCHEDULES.items()} | _of_optax()
    names = _names(kind)
    if not names:
        return {}
    package = importlib.import_module(f"dejax.{KINDS[kind].folder.replace('/', '.')}")
    return {name: getattr(package, name) for name in names}


def _of_optax() -> dict[str, Callable[..., Any]]:
    import optax

    from ..optimizers.schedules import Unit, of_optax

    def named(factory: Callable[..., Any]) -> Callable[..., Any]:
        return _with(factory, {"unit": (Unit, "rounds")}, functools.partial(of_optax, factory))

    return {name: named(getattr(optax, name)) for name in OPTAX_SCHEDULES if name in vars(optax)}


def _with(factory: Callable[..., Any], more: Mapping[str, tuple[Any, Any]], call: Callable[..., Any]) -> Any:
    """`call` with the name and arguments of `factory`, and `more`: name -> (hint, default)."""

    @functools.wraps(factory)
    def make(**kw: Any) -> Any:
        return call(**kw)

    signature = inspect.signature(factory)
    added = [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=d) for k, (_, d) in more.items()]
    made: Any = make
    made.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])
    made.__annotations__ = {**getattr(factory, "__annotations__", {}), **{k: hint for k, (hint, _) in more.items()}}
    return made


def _called_later(metric: Callable[..., Any]) -> Callable[..., Any]:
    """What makes a metric of its options.

    `{hessian_trace: {probes: 32}}` becomes a function of a view. Options that are not said stay out of the resolved form.
    """
    try:
        _, *rest = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):  # of what cannot be a metric, which is refused where it is measured
        rest = []
    unsaid = object()

    def make(**options: Any) -> Callable[..., Any]:
        return functools.partial(metric, **options) if options else metric

    make.__name__, make.__doc__ = getattr(metric, "__name__", "metric"), metric.__doc__
    rest = [p for p in rest if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keep = lambda p: p.replace(kind=p.KEYWORD_ONLY, default=p.default if p.default is p.empty else unsaid)
    vars(make)["__signature__"] = inspect.Signature([keep(p) for p in rest])
    try:
        make.__annotations__ = typing.get_type_hints(metric, include_extras=True)
    except (NameError, TypeError, AttributeError):
        make.__annotations__ = {}
    return make


def _optimizers() -> dict[str, Callable[..., Any]]:
    import optax

    from ..core.types import NodeFloatLike
    from ..optimizers import optimizer

    def named(factory: Callable[..., Any]) -> Callable[..., Any]:
        known = inspect.signature(factory).parameters
        more: dict[str, Any] = {name: (NodeFloatLike, None) for name in AROUND if name not in known}
        return _with(factory, {**more, "restart": (bool | None, None)}, functools.partial(optimizer, factory))

    return {name: named(getattr(optax, name)) for name in OPTIMIZERS if name in vars(optax)}


__all__ = ["AROUND", "KINDS", "OPTAX_SCHEDULES", "OPTIMIZERS", "SCHEDULES", "Kind", "Registry"]
