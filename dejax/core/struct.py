"""Frozen dataclasses that are pytrees: numbers are leaves, structure is static."""

import contextlib
import dataclasses
import operator
from collections.abc import Iterator
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(default: Any = dataclasses.MISSING, **kw: Any) -> Any:
    """A dataclass field that is part of the program's structure: hashable, and a change recompiles."""
    if default is not dataclasses.MISSING:
        kw["default"] = default
    return dataclasses.field(metadata={"static": True}, **kw)


def grows(power: int = 1, **kw: Any) -> Any:
    """A dataclass field whose bytes grow as n^power with the number of nodes, all else equal; other arrays count as of fixed size."""
    return dataclasses.field(metadata={"grows": power}, **kw)


@dataclass_transform(frozen_default=True, field_specifiers=(static, grows, dataclasses.field))
def struct(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a pytree; fields marked `static()` are structure, the others leaves.

    Not by `jax.tree_util.register_dataclass`: JAX compares such nodes without their classes, so that `jit` now and then takes the
    program of one class for another with as many leaves (docs/decisions/structs-are-custom-nodes.md).
    """
    made: Any = dataclasses.dataclass(frozen=True)(cls)
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
        return made(**dict(zip(statics, structure, strict=True)), **dict(zip(leaves, values, strict=True)))

    jax.tree_util.register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made


def check_number(owner: object, field: str, value: Any, ok: Any, want: str, schedules: bool = False) -> None:
    """Raise ValueError naming `field` when a plain Python number fails `ok`, TypeError for truth values, text and functions.

    Arrays, tracers and None pass, and where `schedules` is True (fields that `Round.rate` reads) functions of the round.
    """
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{type(owner).__name__}.{field} is {value!r} ({type(value).__name__}); give {want}")
    if callable(value) and not schedules:
        raise TypeError(
            f"{type(owner).__name__}.{field} is {value!r}, a schedule or function, but this number does not vary with the round; give {want}"
        )
    if isinstance(value, (int, float)) and not ok(value):
        raise ValueError(f"{type(owner).__name__}.{field} is {value!r}; give {want}")


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Write on what is refused inside which run it is about, for those who know where that run was described."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if not hasattr(error, "label"):
            vars(error)["label"] = label
        raise


def whole(name: str, value: Any) -> int:
    """`value` as an int >= 1; whole floats such as 1e3 are taken.

    Raises:
      TypeError: no whole number. ValueError: one below 1.
    """
    given = value if isinstance(value, (int, float)) else operator.index(value) if hasattr(value, "__index__") else None
    if given is None or isinstance(given, bool) or not float(given).is_integer():
        raise TypeError(f"{name} is {value!r}; give a whole number >= 1")
    if given < 1:
        raise ValueError(f"{name} is {value!r}; give a whole number >= 1")
    return int(given)
