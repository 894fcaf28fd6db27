"""Arguments of a call, bound to their names; says which of them a function does not take."""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import FieldError, bad


def bind(name: str, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, without defaults.

    Raises:
      FieldError: an argument that the function does not take, one given twice, or a required one that is missing; names the
        function, the argument, and those known.
    """
    try:
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise _misfit(name, signature, args, kwargs, error) from None


def worded(cls: type[Any]) -> None:
    """Let the constructor of a class refuse arguments as `bind` does."""
    init = cls.__init__

    @functools.wraps(init)
    def __init__(self: object, *args: object, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError as error:
            if not isinstance(error, FieldError):
                bind(cls.__name__, inspect.signature(cls), args, kwargs)
            raise

    vars(__init__).pop("__wrapped__")  # so that it looks like any other constructor
    vars(__init__)["__signature__"] = inspect.signature(init)
    cls.__init__ = __init__


def called_with(fn: Callable[..., Any], *args: object) -> str:
    """Say what a function takes, where it cannot be called with these arguments.

    "" where it can, or where nobody knows.
    """
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # of those written in C
        return ""
    try:
        signature.bind(*args)
    except TypeError:
        names = [p.name for p in signature.parameters.values()]
        return f"takes {', '.join(names) or 'no arguments'}"
    return ""


def takes_weight(fn: Callable[..., Any]) -> bool:
    """Whether a loss has an argument `weight`."""
    try:
        return "weight" in inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False


def takes_key(fn: Callable[..., Any]) -> bool:
    """Whether a function has an argument `key`."""
    try:
        return "key" in inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False


def with_key(fn: Callable[..., Any], *given: object, key: Any) -> Any:
    """Call a function, with `key=` where it takes one."""
    return fn(*given, key=key) if takes_key(fn) else fn(*given)


def evenly(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make every sample count: a loss with an argument `weight` gets ones [B]."""
    if not takes_weight(fn):
        return fn

    def loss(params: Any, batch: Any, key: Any, *extra: Any) -> Any:
        return fn(params, batch, key, *extra, weight=jnp.ones(jax.tree.leaves(batch)[0].shape[:1], float))

    return loss


def _misfit(
    name: str, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, Any], error: TypeError
) -> FieldError:
    kinds = inspect.Parameter
    known = [p for p in signature.parameters.values() if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    names = [p.name for p in known]
    takes = f"it takes {', '.join(names) or 'no arguments'}"
    first = [p.name for p in known if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    for given in kwargs:
        if given not in names:
            near = difflib.get_close_matches(given.lower(), names, 1, 0.6)
            hint = f"did you mean {near[0]}? " if near else ""
            return bad(given, kwargs[given], owner=name, says=f"is no argument of {name}", instead=hint + takes)
        if given in first[: len(args)]:
            return bad(
                given, owner=name, says="is given twice, by position and by name", instead="leave one of them out"
            )
    if len(args) > len(first):
        alone = f"{', '.join(first)} alone" if first else "nothing"
        says = f"got {len(args)} arguments by position, and takes {alone} without a name"
        return bad("", owner=name, says=says, instead=f"write {name}(..., argument=value); {takes}")
    missing = [
        p.name for p in known if p.default is kinds.empty and p.name not in kwargs and p.name not in first[: len(args)]
    ]
    if missing:
        return bad(
            missing[0],
            owner=name,
            says="is missing",
            instead=f"give {name}({', '.join(f'{m}=...' for m in missing)}); {takes}",
        )
    return bad("", owner=name, says=f"cannot be called so: {error}", instead=takes)


__all__ = ["bind", "called_with", "evenly", "takes_key", "takes_weight", "with_key", "worded"]
