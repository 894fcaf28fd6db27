"""Keep the call that made an object, so that a run can tell of what it was made."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .arguments import bind

F = TypeVar("F", bound=Callable[..., Any])
LONGEST = 1000  # entries of a list or mapping that are kept
_NAME = "_made"


@dataclass(frozen=True, eq=False)
class Made:
    """A call: the function, and its arguments by name.

    Arrays, other large values and arguments without names are not kept: `...` stands for them.
    """

    maker: Callable[..., Any]
    args: dict[str, Any]


def recorded(*parts: str) -> Callable[[F], F]:
    """Let a function leave its call on what it returns, for `made`.

    Args:
      parts: attributes of the result that are marked with it, for those who use them without the whole.
    Example:
      >>> import types
      >>> @recorded()
      ... def named(x):
      ...     return types.SimpleNamespace(x=x)
      >>> made(named(3)).args
      {'x': 3}
    """

    def decorate(fn: F) -> F:
        signature = inspect.signature(fn)
        nameless = [p.name for p in signature.parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = bind(fn.__name__, signature, args, kwargs)
            result = fn(*args, **kwargs)
            given |= {name: ... for name in nameless if name in given}
            for part in (result, *(getattr(result, name) for name in parts)):
                record(part, call, given)
            return result

        return call  # pyright: ignore[reportReturnType]

    return decorate


def record(value: Any, maker: Callable[..., Any], args: Mapping[str, Any]) -> Any:
    """Leave a call on a value, and return the value.

    The mark is no field: it changes neither equality nor hash nor the pytree, and copies that differ lack it.
    """
    object.__setattr__(value, _NAME, Made(maker, {name: _kept(arg) for name, arg in args.items()}))
    return value


def pass_on(old: object, new: Any) -> Any:
    """Return `new` with the mark of `old`, if any: for values that were waiting for sizes."""
    mark = made(old)
    if mark is not None:
        object.__setattr__(new, _NAME, mark)
    return new


def made(value: object) -> Made | None:
    """Return the call that made a value, as far as it is known."""
    mark = getattr(value, "__dict__", {}).get(_NAME)
    return mark if isinstance(mark, Made) else None


def _kept(value: Any) -> Any:
    """Return an argument that is small and plain, or a member; `...` for any other."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    if isinstance(value, Mapping):
        return {k: _kept(v) for k, v in value.items()} if len(value) <= LONGEST else ...
    if isinstance(value, (tuple, list)):
        return [_kept(v) for v in value] if len(value) <= LONGEST else ...
    return ... if getattr(value, "shape", ()) else value


__all__ = ["Made", "made", "pass_on", "record", "recorded"]
