"""Signatures and type hints as the schema of a config.

They say which arguments a callable takes, and what each may be. A plain value becomes what its hint
wants (`convert`), or the reader is told in words what is allowed (`spoken`).
"""

import collections.abc
import dataclasses
import functools
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..errors import ConfigError, Path
from .registry import Registry
from .words import shown


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument of a member: its name, hint, default and form.

    `default` is `inspect.Parameter.empty` if required.

    `kind` is the kind of member that it takes, if any, `many` whether it takes several; `section`
    is the callable whose arguments stand directly under the name (`network: {topology: ring}`);
    `switch`: without them there is no call, see `Section`; `named`: it takes a mapping from names of
    the user's choice to members.
    """

    name: str
    hint: Any
    default: Any
    kind: str | None = None
    many: bool = False
    section: Callable[..., Any] | None = None
    switch: bool = False
    named: bool = False

    @property
    def required(self) -> bool:
        """No default: it must be given."""
        return self.default is inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Section:
    """Mark a hint: the mapping under this name holds the arguments of a call.

    Written `Annotated[Any, Section(lambda: Network)]`. Left out or null is the call without
    arguments; where `switch` is set it is no call at all, but None. With `many` it is a list of such mappings.
    """

    fn: Callable[[], Callable[..., Any]]
    switch: bool = False
    many: bool = False


@functools.lru_cache(maxsize=1024)
def arguments(fn: Any) -> tuple[tuple[str, Any, Any], ...]:
    """Name, hint and default of each argument that a config may give."""
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
    """The arguments of a member, with the kind of member that each takes."""
    out = []
    for name, hint, default in arguments(fn):
        mark = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Section)), None)
        section, switch = (mark.fn(), mark.switch or mark.many) if mark else (None, False)
        kind = None if section else registry.kind_of(name, hint)
        several = mark.many if mark else False
        many = several or (kind is not None and (isinstance(default, tuple) or _is_list(hint)))
        named = kind is not None and any(typing.get_origin(o) is collections.abc.Mapping for o in options(hint))
        out.append(Parameter(name, hint, default, kind, many, section, switch, named))
    return out


def _strip(hint: Any) -> Any:
    while typing.get_origin(hint) is typing.Annotated:
        if "number" in hint.__metadata__:
            return hint
        hint = typing.get_args(hint)[0]
    return hint


def options(hint: object) -> tuple[Any, ...]:
    """What a hint allows, unions written out."""
    hint = _strip(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(o for a in typing.get_args(hint) for o in options(a))
    return (hint,)


def takes_schedule(hint: object) -> bool:
    """A number that is a leaf (`FloatLike`), or optax's number-or-function."""
    found = options(hint)
    functions = [o for o in found if typing.get_origin(o) is collections.abc.Callable]
    return any(typing.get_origin(o) is typing.Annotated for o in found) or (float in found and bool(functions))


def of_mapping(hint: object) -> Any:
    """The class in a hint whose arguments a mapping holds: `Epochs` of `{epochs: 0.5}`."""
    return next((o for o in options(hint) if inspect.isclass(o) and dataclasses.is_dataclass(o)), None)


def _is_list(hint: object) -> bool:
    return any(typing.get_origin(o) in _LISTS or o in _LISTS for o in options(hint))


_LISTS = (tuple, list, collections.abc.Sequence, collections.abc.Iterable)


WORDS: dict[Any, str] = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "mapping"}


def spoken(hint: object) -> str:
    """Return a hint in a user's words.

    Such as `number`, `whole number or null`, `one of 'atc', 'awc'`, `list of whole numbers`.
    """
    words = []
    for o in options(hint):
        origin = typing.get_origin(o)
        if origin is Literal:
            words.append("one of " + ", ".join(map(repr, typing.get_args(o))))
        elif o is type(None):
            words.append("null")
        elif origin in _LISTS or o in _LISTS:
            inner = [a for a in typing.get_args(o) if a is not Ellipsis]
            several = " and ".join(dict.fromkeys(word + "s" * word.endswith("number") for word in map(spoken, inner)))
            words.append(f"list of {several}" if inner else "list")
        elif origin is typing.Annotated:
            words.append("number")
        elif _is_array(o):
            words.append("list of numbers")
        elif inspect.isclass(o) and dataclasses.is_dataclass(o):
            words.append("{" + ", ".join(f"{name}: {spoken(hint)}" for name, hint, _ in arguments(o)) + "}")
        elif o is Any:
            words.append("a value")
        elif origin is collections.abc.Callable or o in (Callable, collections.abc.Callable):
            continue
        else:
            words.append(WORDS.get(o) or WORDS.get(origin) or getattr(o, "__name__", str(o)))
    return " or ".join(dict.fromkeys(words)) or "a callable (which a config cannot hold; use Python)"


def _is_array(hint: object) -> bool:
    names = {getattr(c, "__name__", "") for c in getattr(hint, "__mro__", ())} | {
        getattr(hint, "__name__", "").split(".")[-1]
    }
    return (
        bool(names & {"ndarray", "Array", "ArrayLike", "AbstractArray"})
        or getattr(hint, "__module__", "") == "jaxtyping"
    )


def _number(value: object) -> Any:
    """A number, also one written as a word ("1e-3"); None if it is none."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return value
    return None


def _float(number: Any) -> float | None:
    """A number in floating point; None for none, and for whole numbers beyond 1e308."""
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


def _floats(value: object) -> Any:
    """Convert numbers in lists, of lists or not, to floats; None if something else is in them."""
    if not isinstance(value, (list, tuple)):
        return _float(_number(value))
    inner = [_floats(v) for v in value]
    return None if any(v is None for v in inner) else inner


def convert(value: object, hint: object, path: Path) -> Any:
    """A plain value as its hint wants it, or a ConfigError that says what is allowed.

    int is a float; a whole float such as 1e3 is an int; bool is neither; "1e-3" is a number where
    one is wanted.
    """
    for option in options(hint):
        ok, out = _convert_one(value, option, path)
        if ok:
            return out
    raise ConfigError(path, f"expected {spoken(hint)}, got {shown(value)}.")


def _convert_one(value: object, o: object, path: Path) -> tuple[bool, Any]:
    origin = typing.get_origin(o)
    number = _number(value)
    if o is Any or o is object:
        return True, tuple(value) if isinstance(value, list) else value
    if o is type(None):
        return value is None, None
    if origin is typing.Annotated:
        found = _floats(value)
        if isinstance(value, list) and found and not any(isinstance(v, list) for v in found):
            import numpy as np

            return True, np.asarray(found, np.float32)
        return isinstance(found, float), found
    if origin is Literal:
        # bool is an int in Python: compare types too, so that `true` is not 1
        return any(type(value) is type(a) and value == a for a in typing.get_args(o)), value
    if o is float:
        return _float(number) is not None, _float(number)
    if o is int:
        if number is None or isinstance(value, str):
            return False, None
        if not isinstance(number, int) and not (math.isfinite(number) and number == int(number)):
            return False, None
        return True, int(number)
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
            found = _floats(value)
            try:
                return found is not None, None if found is None else np.asarray(found, np.float64)
            except ValueError:  # rows of different lengths
                return False, None
        return _float(number) is not None, number
    if inspect.isclass(o) and issubclass(o, numbers.Number):
        return number is not None, number
    if inspect.isclass(o) and issubclass(o, __import__("os").PathLike):
        return isinstance(value, str), value
    return False, None


def _convert_list(value: object, o: object, path: Path) -> tuple[bool, Any]:
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


__all__ = [
    "Parameter",
    "Section",
    "arguments",
    "convert",
    "of_mapping",
    "options",
    "parameters",
    "spoken",
    "takes_schedule",
]
