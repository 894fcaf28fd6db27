"""Check the jaxtyping shapes in dejax's own annotations while the tests run, and nothing else.

beartype would also refuse a wrong plain type (`alpha="0.3"`) before our own check, and then no test could read the message that a user
gets. So only annotations that mention an array shape are handed to it, and functions without one, nearly all, are left as they are: the
wrapper that jaxtyping would put around each of them took a tenth of the time of the tests.
"""

import inspect
import typing
from typing import Any

import beartype
import jaxtyping
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


def _mentions_shapes(thing: Any) -> bool:
    if isinstance(thing, type):
        return "__dataclass_fields__" in vars(thing) and _mentions_shapes(thing.__init__)
    function = thing.fget if isinstance(thing, property) else inspect.unwrap(thing)
    hints = getattr(function, "__annotations__", {}).values()
    return any(isinstance(hint, str) or _has_shape(hint) for hint in hints)  # jaxtyping reads what is quoted


def install() -> None:
    """Check the modules of dejax that are imported from now on."""
    every = jaxtyping.jaxtyped

    def jaxtyped(*args: Any, **kw: Any) -> Any:
        return every(*args, **kw) if args else lambda thing: every(thing, **kw) if _mentions_shapes(thing) else thing

    jaxtyping.jaxtyped = jaxtyped  # where the code of the import hook looks it up
    jaxtyping.install_import_hook("dejax", "typecheck.shapes")
