"""Check the jaxtyping shapes in dejax's own annotations while the tests run, and nothing else.

beartype would also refuse a wrong plain type (`alpha="0.3"`) before our own check, and then no test could read the message that a user
gets. So only annotations that mention an array shape are handed to it.
"""

import typing
from typing import Any

import beartype
from jaxtyping import AbstractArray


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and not typing.get_args(hint):
        return issubclass(hint, AbstractArray)
    return any(_has_shape(part) for part in typing.get_args(hint))


def shapes(thing: Any, *args: Any, **kw: Any) -> Any:
    """`beartype.beartype`, for annotations with shapes."""
    hints = getattr(thing, "__annotations__", None)
    if isinstance(thing, type) or not hints:
        return thing
    thing.__annotations__ = {name: hint for name, hint in hints.items() if _has_shape(hint)}
    return beartype.beartype(thing, *args, **kw) if thing.__annotations__ else thing
