"""A config is a call: names become callables, mappings become arguments, type hints are the schema.

    {choco: {lr: 0.1, gamma: 0.4}}   ->   choco(lr=0.1, gamma=0.4)

`read` turns plain values into a `Call` (checked, nothing built), `Call.build()` calls it, `Call.plain()` writes it back
with every default filled in.
"""

import collections.abc
import dataclasses
import functools
import inspect
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ._error import ConfigError, Path, nearest, shown
from ._registry import Registry

OMIT = object()  # a default that YAML cannot spell: left out of the resolved form, the callable fills it in again


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument of a member: its name, hint, default (`inspect.Parameter.empty` if required) and form.

    `kind` is the kind of slot, if it is one, `many` whether the slot takes several; `section` is the callable whose
    arguments stand directly under the name (`network: {topology: ring}`); `switch`: without them there is no call, see `Section`.
    """

    name: str
    hint: Any
    default: Any
    kind: str | None = None
    many: bool = False
    section: Callable[..., Any] | None = None
    switch: bool = False

    @property
    def required(self) -> bool:
        """No default: it must be given."""
        return self.default is inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Section:
    """Mark of a hint, `Annotated[Any, Section(lambda: Network)]`: the mapping under this name holds that call's arguments.

    Left out or null is the call without arguments; where `switch` is set it is no call at all, but None.
    """

    fn: Callable[[], Callable[..., Any]]
    switch: bool = False


@dataclasses.dataclass(frozen=True)
class Call:
    """A callable and its checked arguments, at a path of the config.

    `name` is None for a section (`network`, `data`), whose mapping holds the arguments directly.
    """

    name: str | None
    fn: Callable[..., Any]
    args: dict[str, Any]
    path: Path
    registry: Registry

    def build(self, **extra: Any) -> Any:
        """The object: arguments first, then the call. A ValueError or TypeError comes back as a ConfigError with the path."""
        args = {k: build(v) for k, v in self.args.items()}
        with located(self.path, self.fn):
            return self.fn(**args, **extra)

    def plain(self) -> Any:
        """As in the config, every default filled in; defaults that YAML cannot spell are left out."""
        out = {}
        for p in parameters(self.fn, self.registry):
            value = unbuild(self.args[p.name], p.kind, self.registry) if p.name in self.args else OMIT
            if p.name not in self.args and p.section is not None and not p.switch:
                value = Call(None, p.section, {}, (*self.path, p.name), self.registry).plain()
            elif p.name not in self.args and not p.required:
                value = unbuild(p.default, p.kind, self.registry)
            if value is not OMIT:
                out[p.name] = value
        if self.name is None:
            return out
        return {self.name: out} if out else self.name


class located:
    """Re-raise what a constructor refuses as a ConfigError that names the path.

    A message that begins with an argument (`alpha is 0; ...`, `TopK.k is 0; ...`) has that argument's path.
    """

    def __init__(self, path: Path, fn: Any = None):
        self.path, self.fn = path, fn

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Name the path."""
        if isinstance(error, ConfigError):
            if not error.path:
                raise ConfigError(self.path, error.reason) from error
        elif isinstance(error, (ValueError, TypeError, OSError, ImportError, OverflowError)):
            reason = str(error) or type(error).__name__
            owner = getattr(self.fn, "__name__", "")
            first = re.match(rf"(?:{re.escape(owner)}(?:[.(]|: ))?(\w+)\)? (?:is|=|has) ", reason) if owner else None
            field = first[1] if first and first[1] in [name for name, *_ in _signature(self.fn)] else None
            if field is not None:
                reason = reason.removeprefix(owner + ".").removeprefix(owner + ": ")
            raise ConfigError((*self.path, field) if field else self.path, reason) from error


# ---- signatures
@functools.lru_cache(maxsize=1024)
def _signature(fn: Any) -> tuple[tuple[str, Any, Any], ...]:
    target = fn.__init__ if inspect.isclass(fn) and not dataclasses.is_dataclass(fn) else fn
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a hint that cannot be evaluated: take the argument as it comes
        hints = {}
    hidden = {f.name for f in dataclasses.fields(fn) if not f.repr} if dataclasses.is_dataclass(fn) else set()
    out = []
    for p in inspect.signature(fn).parameters.values():
        if p.name in hidden or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name.startswith("_"):
            continue
        out.append((p.name, hints.get(p.name, Any), p.default))
    return tuple(out)


def parameters(fn: Callable[..., Any], registry: Registry) -> list[Parameter]:
    """The arguments of a member, with the kind of slot that each is."""
    out = []
    for name, hint, default in _signature(fn):
        mark = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Section)), None)
        section, switch = (mark.fn(), mark.switch) if mark else (None, False)
        kind = None if section else registry.kind_of(name, hint)
        many = kind is not None and (isinstance(default, tuple) or _is_list(hint))
        out.append(Parameter(name, hint, default, kind, many, section, switch))
    return out


def _strip(hint: Any) -> Any:
    while typing.get_origin(hint) is typing.Annotated:
        if "number" in hint.__metadata__:
            return hint
        hint = typing.get_args(hint)[0]
    return hint


def _options(hint: Any) -> tuple[Any, ...]:
    hint = _strip(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(o for a in typing.get_args(hint) for o in _options(a))
    return (hint,)


def takes_schedule(hint: Any) -> bool:
    """A number that is a leaf (`FloatLike`), or optax's number-or-function."""
    options = _options(hint)
    functions = [o for o in options if typing.get_origin(o) is collections.abc.Callable]
    return any(typing.get_origin(o) is typing.Annotated for o in options) or (float in options and bool(functions))


def _is_list(hint: Any) -> bool:
    return any(typing.get_origin(o) in _LISTS or o in _LISTS for o in _options(hint))


_LISTS = (tuple, list, collections.abc.Sequence, collections.abc.Iterable)


def spoken(hint: Any) -> str:
    """A hint in a user's words: `float`, `int or none`, `one of 'atc', 'awc'`, `list of int`."""
    words = []
    for o in _options(hint):
        origin = typing.get_origin(o)
        if origin is Literal:
            words.append("one of " + ", ".join(map(repr, typing.get_args(o))))
        elif o is type(None):
            words.append("null")
        elif origin in _LISTS or o in _LISTS:
            inner = [a for a in typing.get_args(o) if a is not Ellipsis]
            words.append("list of " + " and ".join(dict.fromkeys(map(spoken, inner))) if inner else "list")
        elif origin is typing.Annotated:
            words.append("number")
        elif _is_array(o):
            words.append("list of numbers")
        elif o is Any:
            words.append("a value")
        elif origin is collections.abc.Callable or o in (Callable, collections.abc.Callable):
            continue
        else:
            words.append(getattr(o, "__name__", str(o)))
    return " or ".join(dict.fromkeys(words)) or "a callable (which a config cannot hold; use Python)"


# ---- reading
def read(value: Any, kind: str, path: Path, registry: Registry) -> Call:
    """One slot: a bare name or a one-key mapping `{name: {argument: value}}`.

    Raises:
      ConfigError: no such member, a wrong form, or anything wrong with its arguments.
    """
    members = registry.members(kind)
    if isinstance(value, str):
        name, given = value, {}
    elif isinstance(value, Mapping) and len(value) == 1:
        name, given = next(iter(value.items()))
    else:
        some = next(iter(members), "name")
        what = f"{len(value)} keys ({', '.join(map(str, value))})" if isinstance(value, Mapping) else shown(value)
        raise ConfigError(
            path, f"expected the name of one {kind} or {{name: {{argument: value}}}}, e.g. {some}; got {what}."
        )
    if name not in members:
        raise ConfigError(path, f"no {kind} named {name!r}.{registry.hint(kind, name)}{nearest(name, members)}")
    return read_call(name, members[name], given, (*path, name), registry)


def read_call(
    name: str | None, fn: Callable[..., Any], given: Any, path: Path, registry: Registry, partial: bool = False
) -> Call:
    """The arguments of one call, each against its hint; `partial` leaves the check for missing ones to `require`."""
    params = {p.name: p for p in parameters(fn, registry)}
    label = name or (path[-1] if path else "a config")
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        want = f"{{{next(iter(params))}: {given!r}}}" if params else f"nothing: {label} takes no arguments"
        raise ConfigError(path, f"expected the arguments of {label} by name, got {shown(given)}. Write {want}.")
    for key in given:
        if key not in params:
            raise ConfigError((*path, key), f"{label} takes no {key!r}.{nearest(key, params)}")
    if not partial:
        require(params, given, path, label)
    args = {key: read_argument(value, params[key], (*path, key), registry, partial) for key, value in given.items()}
    return Call(name, fn, args, path, registry)


def require(params: Mapping[str, Parameter], given: Any, path: Path, label: str) -> None:
    """Raise ConfigError for arguments without default that are not given."""
    missing = [p for p in params.values() if p.required and p.name not in given]
    if missing:
        needs = " and ".join(f"{p.name} ({p.kind or ('section' if p.section else spoken(p.hint))})" for p in missing)
        raise ConfigError(path, f"{label} needs {needs}.")


def read_argument(value: Any, p: Parameter, path: Path, registry: Registry, partial: bool = False) -> Any:
    """One argument: a section, a slot (or a list of slots), or a value converted by the hint."""
    if p.section is not None and value is None and p.switch:
        return None
    if p.section is not None:
        return read_call(None, p.section, value, path, registry, partial)
    if p.kind is None and isinstance(value, Mapping) and takes_schedule(p.hint):
        return read(value, "schedule", path, registry)
    if value is None and (p.default is None or (p.kind is not None and type(None) in _options(p.hint))):
        return None  # what the default says may be written down
    if p.kind is None:
        return convert(value, p.hint, path)
    if not p.many:
        options = [o for o in _options(p.hint) if o in (bool, int, float, str) or typing.get_origin(o) is Literal]
        if options and not isinstance(value, (str, Mapping)):
            return convert(value, typing.Union[tuple(options)], path)  # noqa: UP007 (built from a tuple)
        return read(value, p.kind, path, registry)
    if value is None or value == []:
        return ()
    if isinstance(value, list):
        return tuple(read(v, p.kind, (*path, str(i)), registry) for i, v in enumerate(value))
    return (read(value, p.kind, path, registry),)


def _is_array(hint: Any) -> bool:
    names = {getattr(c, "__name__", "") for c in getattr(hint, "__mro__", ())} | {getattr(hint, "__name__", "")}
    return (
        bool(names & {"ndarray", "Array", "ArrayLike", "AbstractArray"})
        or getattr(hint, "__module__", "") == "jaxtyping"
    )


def _number(value: Any) -> Any:
    """A number, also one written as a word ("1e-3"); None if it is none."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, numbers.Real) and not isinstance(value, bool) else None


def convert(value: Any, hint: Any, path: Path) -> Any:
    """A plain value as its hint wants it, or a ConfigError that says what is allowed.

    int is a float; a whole float such as 1e3 is an int; bool is neither; "1e-3" is a number where one is wanted.
    """
    for option in _options(hint):
        ok, out = _convert_one(value, option, path)
        if ok:
            return out
    raise ConfigError(path, f"expected {spoken(hint)}, got {shown(value)}.")


def _convert_one(value: Any, o: Any, path: Path) -> tuple[bool, Any]:
    origin = typing.get_origin(o)
    number = _number(value)
    if o is Any or o is object:
        return True, tuple(value) if isinstance(value, list) else value
    if o is type(None):
        return value is None, None
    if origin is typing.Annotated:
        if isinstance(value, list) and value and all(_number(v) is not None for v in value):
            import numpy as np

            return True, np.asarray([_number(v) for v in value], np.float32)
        return number is not None, None if number is None else float(number)
    if origin is Literal:
        # bool is an int in Python: compare types too, so that `true` is not 1
        return any(type(value) is type(a) and value == a for a in typing.get_args(o)), value
    if o is float:
        return number is not None, None if number is None else float(number)
    if o is int:
        whole = number is not None and not isinstance(value, str) and math.isfinite(number) and number == int(number)
        return whole, int(number) if whole else None  # type: ignore[arg-type]
    if o in (bool, str):
        return isinstance(value, o), value
    if origin in _LISTS or o in _LISTS:
        return _convert_list(value, o, path)
    if origin in (dict, Mapping, collections.abc.Mapping) or o is dict:
        args = typing.get_args(o)
        if not isinstance(value, Mapping):
            return False, None
        return True, {k: convert(v, args[1] if args else Any, (*path, k)) for k, v in value.items()}
    if _is_array(o):
        import numpy as np

        if isinstance(value, list):
            try:
                return True, np.asarray(value, np.float64)
            except (ValueError, TypeError):
                return False, None
        return number is not None, number
    if inspect.isclass(o) and issubclass(o, numbers.Number):
        return number is not None, number
    if inspect.isclass(o) and issubclass(o, __import__("os").PathLike):
        return isinstance(value, str), value
    return False, None


def _convert_list(value: Any, o: Any, path: Path) -> tuple[bool, Any]:
    if not isinstance(value, (list, tuple)):
        return False, None
    args = typing.get_args(o)
    if not args:
        return True, tuple(value)
    fixed = (typing.get_origin(o) or o) is tuple and Ellipsis not in args
    if fixed and len(args) != len(value):
        return False, None
    hints = args if fixed else args[:1] * len(value)
    return True, tuple(convert(v, h, (*path, str(i))) for i, (v, h) in enumerate(zip(value, hints, strict=True)))


# ---- building, and back
def build(value: Any) -> Any:
    """Calls become objects, also inside tuples; the rest stays."""
    if isinstance(value, Call):
        return value.build()
    return tuple(build(v) for v in value) if isinstance(value, tuple) else value


def unbuild(value: Any, kind: str | None, registry: Registry) -> Any:
    """The plain value that reads back as `value`, or OMIT."""
    if isinstance(value, Call):
        return value.plain()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        items = [unbuild(v, kind, registry) for v in value]
        return OMIT if any(i is OMIT for i in items) else items
    if isinstance(value, Mapping):
        items = {k: unbuild(v, None, registry) for k, v in value.items()}
        return OMIT if any(i is OMIT for i in items.values()) else items
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    for name, member in registry.members(kind).items() if kind else ():
        if member is type(value) and dataclasses.is_dataclass(value):
            args = {
                p.name: unbuild(getattr(value, p.name, OMIT), p.kind, registry) for p in parameters(member, registry)
            }
            args = {k: v for k, v in args.items() if v is not OMIT}
            return {name: args} if args else name
    return OMIT


__all__ = [
    "OMIT",
    "Call",
    "Parameter",
    "Section",
    "build",
    "convert",
    "located",
    "parameters",
    "read",
    "read_call",
    "require",
    "spoken",
    "takes_schedule",
    "unbuild",
]
