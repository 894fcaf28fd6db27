"""Frozen dataclasses that are pytrees: numbers are leaves, structure is static."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar, dataclass_transform

import jax

from .arguments import worded
from .checks import Check, any_number

T = TypeVar("T")


def static(default: object = dataclasses.MISSING, check: Check | None = None, **kw: Any) -> Any:
    """Declare a dataclass field that is structure of the program.

    It must be hashable, and a change recompiles.
    """
    return _field(default, check, {"static": True}, kw)


def number(
    default: object = dataclasses.MISSING, check: Check | None = None, per_node: bool | None = None, **kw: Any
) -> Any:
    """Declare a dataclass field that holds a number: a leaf, so that a sweep is a vmap.

    Plain Python numbers and arrays pass `check`. Without one the field takes schedules, too: functions of the round, read by
    `round.rate(self.lr)`.

    Args:
      per_node: True: an array in the field has one row per node, [n, ...], by id. False: whatever its
        length, it is the same for all nodes. None (default): as its hint says; an array of which
        neither says anything is the same for all nodes, too, but if it has n rows, nodes on a mesh keep their order.
    """
    told = {} if check is not None else {"any_number": True}
    return _field(default, check, told if per_node is None else told | {"per_node": per_node}, kw)


def option(default: object = dataclasses.MISSING, check: Check | None = None, **kw: Any) -> Any:
    """A dataclass field that holds another object: a compressor, an optimizer, a codec."""
    return _field(default, check, {}, kw)


def grows(power: int = 1, **kw: Any) -> Any:
    """Declare a dataclass field whose bytes grow as n^power with the number of nodes.

    All else is equal. Other arrays count as of fixed size.
    """
    return dataclasses.field(metadata={"grows": power}, **kw)


def _field(default: object, check: Check | None, metadata: dict[str, Any], kw: dict[str, Any]) -> Any:
    if default is not dataclasses.MISSING:
        kw["default"] = default
    return dataclasses.field(metadata=metadata | ({} if check is None else {"check": check}), **kw)


def _checked(cls: type[T], leaves: bool) -> type[T]:
    """Make `cls` a frozen dataclass whose fields pass their checks when it is made.

    Its own `__post_init__` comes after them.
    """
    own: Any = getattr(cls, "__post_init__", None)
    own = getattr(own, "own", own)  # of a base that was made here too
    checks: list[tuple[str, Check, bool]] = []

    def __post_init__(self: Any) -> None:
        for name, check, leaf in checks:
            value = getattr(self, name)
            given = check(f"{type(self).__name__}.{name}", value, leaf)
            if given is not value:
                object.__setattr__(self, name, given)
        if own is not None:
            own(self)

    __post_init__.own = own  # pyright: ignore[reportFunctionMemberAccess]
    cls.__post_init__ = __post_init__  # pyright: ignore[reportAttributeAccessIssue]
    made: Any = dataclasses.dataclass(frozen=True)(cls)
    worded(made)
    for field in dataclasses.fields(made):
        if "check" in field.metadata:
            checks.append((field.name, field.metadata["check"], leaves and not field.metadata.get("static")))
        elif field.metadata.get("any_number"):
            checks.append((field.name, any_number, leaves))
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(static, number, option, dataclasses.field))
def frozen(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass with checked fields that is no pytree.

    For partitions, weights of a graph and the like.
    """
    return _checked(cls, leaves=False)


@dataclass_transform(frozen_default=True, field_specifiers=(static, number, option, grows, dataclasses.field))
def struct(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a pytree.

    Fields marked `static()` are structure, the others leaves. They are checked where a user makes
    one (`__init__`, `dataclasses.replace`), not where JAX rebuilds it: `__post_init__` does not run
    there, and what it sets beside the fields is gone.

    `jax.tree_util.register_dataclass` would not do: JAX compares its nodes without their classes,
    so that `jit` now and then takes the program of one class for another with as many leaves
    (docs/decisions/structs-are-custom-nodes.md).
    """
    made: Any = _checked(cls, leaves=True)
    fields = [f for f in dataclasses.fields(made) if f.init]
    leaves = tuple(f.name for f in fields if not f.metadata.get("static"))
    statics = tuple(f.name for f in fields if f.metadata.get("static"))
    keys = tuple(map(jax.tree_util.GetAttrKey, leaves))

    def flatten(x: T) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple([getattr(x, name) for name in leaves]), tuple([getattr(x, name) for name in statics])

    def flatten_with_keys(x: T) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
        values, structure = flatten(x)
        return tuple(zip(keys, values, strict=True)), structure

    def unflatten(structure: tuple[Any, ...], values: Any) -> T:
        # as it was, with other leaves: whatever a transformation puts there is no value of a user's, so nothing is checked
        rebuilt = object.__new__(made)
        vars(rebuilt).update(zip(statics, structure, strict=True))
        vars(rebuilt).update(zip(leaves, values, strict=True))
        return rebuilt

    jax.tree_util.register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Add the label of a run to any error raised inside.

    Readers of the error may know where that run was described.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        vars(error).setdefault("label", label)
        raise


__all__ = ["frozen", "grows", "labelled", "number", "option", "static", "struct"]
