"""Check hyper-parameters that are arrays: their shapes, and their values where known.

Values follow the same rules as plain numbers.
"""

import dataclasses
import typing
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..errors import FieldError, bad
from .checks import finite


def listed(owner: object) -> Any:
    """Turn each list of numbers in a dataclass, where a number may stand, into an array.

    A list would be as many leaves as it has numbers.

    Raises:
      TypeError: a list of anything else.
    """
    if not dataclasses.is_dataclass(owner) or isinstance(owner, type):
        return owner
    kinds, changed = _kinds(type(owner)), {}
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        if field.name in kinds and isinstance(value, (list, tuple)):
            try:
                changed[field.name] = jnp.asarray(value, float)
            except (TypeError, ValueError):
                raise bad(field.name, value, owner=owner, instead="give a number, or an array of them") from None
        elif isinstance(value, tuple):
            items = tuple(listed(v) for v in value)
            changed |= {} if all(a is b for a, b in zip(items, value, strict=True)) else {field.name: items}
        elif field.init and (new := listed(value)) is not value:
            changed[field.name] = new
    return dataclasses.replace(owner, **changed) if changed else owner


def check_arrays(*objects: Any) -> None:
    """Check every number and array in these dataclasses, and in those inside them.

    Each must pass its owner's checks, which let arrays pass, and do not run where JAX rebuilds an
    object. So plain numbers are tried again, and the extremes of each array (and a NaN, if there is
    one) are tried as plain numbers.

    Raises:
      ValueError: a value out of range, e.g. an infinite or negative rate of one node; names the
        field and the value.
    """
    for owner in objects:
        if not dataclasses.is_dataclass(owner) or isinstance(owner, type):
            continue
        for field in dataclasses.fields(owner):
            value = getattr(owner, field.name)
            if dataclasses.is_dataclass(value):
                check_arrays(value)
            elif isinstance(value, dict):
                for name, number in value.items():
                    _finite(_name_in_dict(owner, name), number)
            elif _is_numbers(value) and field.init and not field.metadata.get("static"):
                for extreme in _extremes(value):
                    try:
                        dataclasses.replace(owner, **{field.name: extreme})
                    except ValueError as error:
                        row = int(np.flatnonzero(np.isclose(np.asarray(value), extreme, 0, 0, equal_nan=True))[0])
                        raise _at(error, f" (row {row} of an array)" if np.ndim(value) else "") from None


def check_shapes(n: int, *objects: Any) -> None:
    """Check that every field that holds a number is a scalar, or [n] where the field allows it.

    It does by the hint `NodeFloatLike`; with `number(per_node=True)` also [n, ...]. Of schedules, what they return counts. Gathered by node id, an
    array of another length would be read out of bounds, which JAX clamps without a word.

    Raises:
      ValueError: names the field, its shape, and what is right. TypeError: a schedule that is a
        bare function.
    """
    for owner in objects:
        if not dataclasses.is_dataclass(owner) or isinstance(owner, type):
            continue
        kinds = _kinds(type(owner))
        for field in dataclasses.fields(owner):
            value, name = getattr(owner, field.name), f"{type(owner).__name__}.{field.name}"
            if field.name in kinds:
                _check_shape(name, value, None if kinds[field.name] == _ONE else (n,), kinds[field.name] == _ROWS)
            elif _are_of_optimizer(field.name, value):
                for key, number in value.items():
                    _check_shape(_name_in_dict(owner, key), number, (n,))
            elif dataclasses.is_dataclass(value):
                check_shapes(n, value)


def _name_in_dict(owner: object, key: str) -> str:
    """Return the path of a number that a dataclass keeps in a dict.

    `adam.b1` for an optimizer's factory, else `Class.key`.
    """
    factory = getattr(owner, "factory", None)
    return f"{type(owner).__name__ if factory is None else getattr(factory, '__name__', 'optimizer')}.{key}"


def _at(error: ValueError, row: str) -> ValueError:
    """The same error with the row of the array that it is about."""
    if not isinstance(error, FieldError):
        return ValueError(f"{error}{row}")
    return bad(error.field, error.got, says=error.says, why=error.why, instead=error.instead + row)


def declared(owner: Any) -> Any:
    """Return a tree of bool like `owner`: which leaves are given per node, as fields say.

    A field says so by its hint, `NodeFloatLike`, or by `number(per_node=True)`; the numbers of an
    optimizer are one for all nodes, or one per node. Sizes say nothing.
    """
    return jax.tree.unflatten(jax.tree.structure(owner), _flags(owner, False))


def _flags(value: Any, said: bool) -> list[bool]:
    leaves = jax.tree.leaves(value)
    if not _is_struct(value):
        parts = jax.tree.leaves(value, is_leaf=_is_struct)
        return [flag for x in parts for flag in (_flags(x, False) if _is_struct(x) else [said and _ndim(x) > 0])]
    kinds, flags = _kinds(type(value)), []
    for field in dataclasses.fields(value):
        if field.init and not field.metadata.get("static"):
            mine = getattr(value, field.name)
            flags += _flags(mine, kinds.get(field.name, _ONE) != _ONE or _are_of_optimizer(field.name, mine))
    return flags if len(flags) == len(leaves) else [False] * len(leaves)


def grown(owner: Any) -> Any:
    """Return `owner` for one node more: arrays given per node repeat their last row."""
    return jax.tree.map(lambda has, x: jnp.concatenate([x, x[-1:]]) if has else x, declared(owner), owner)


def per_node(*objects: Any) -> bool:
    """Whether some number of these objects is given per node, as its field says."""
    return any(any(_flags(owner, False)) for owner in objects)


def unsaid(n: int, *objects: Any) -> list[str]:
    """Name the fields of which nothing is said and which hold an array [n, ...].

    These may be rows of nodes or not: a size alone does not tell.
    """
    found = []
    for owner in objects:
        if not _is_struct(owner):
            continue
        kinds = _kinds(type(owner))
        for field in dataclasses.fields(owner):
            if field.name in kinds or field.metadata.get("static") or field.metadata.get("per_node") is False:
                continue
            parts = jax.tree.leaves(getattr(owner, field.name), is_leaf=_is_struct)
            inner = [name for x in parts if _is_struct(x) for name in unsaid(n, x)]
            own = any(getattr(x, "shape", ())[:1] == (n,) for x in parts if not _is_struct(x))
            mine = own and not _are_of_optimizer(field.name, getattr(owner, field.name))
            found += [f"{type(owner).__name__}.{field.name}"] * mine + inner
    return found


def _is_struct(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _are_of_optimizer(name: str, value: Any) -> bool:
    return name == "numbers" and isinstance(value, dict)


def _ndim(x: Any) -> int:
    return len(getattr(x, "shape", ()))


_ONE, _EACH, _ROWS = "one", "one per node", "rows per node"


@lru_cache(maxsize=256)
def _kinds(cls: type) -> dict[str, str]:
    """The fields of a class that say what they hold: one number, one per node, or rows per node."""
    rows = {f.name: _ROWS for f in dataclasses.fields(cls) if f.metadata.get("per_node")}
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):  # hints of a user's class that cannot be evaluated
        return rows
    marks = {
        name: {m for option in (hint, *typing.get_args(hint)) for m in getattr(option, "__metadata__", ())}
        for name, hint in hints.items()
    }
    return {name: _EACH if "[n]" in found else _ONE for name, found in marks.items() if "number" in found} | rows


def _check_shape(name: str, value: Any, per_node: tuple[int] | None, rows: bool = False) -> None:
    if value is None:
        return
    if callable(value) and jax.tree_util.all_leaves([value]):
        raise bad(
            name,
            value,
            why="a function and no pytree, which a compiled program cannot take",
            instead="give a schedule whose numbers are leaves: dejax.Cosine or dejax.InverseSqrt, or a dejax.struct with __call__(t)",
        )
    shape = jnp.shape(value) if not callable(value) else _of_round(name, value)
    if shape in ((), per_node) or (rows and shape[:1] == per_node):
        return
    what = "returns an array of shape" if callable(value) else "has shape"
    want = "one number" if per_node is None else f"one number, or {per_node[0]}, one per node: shape {per_node}"
    raise bad(name, value, says=f"{what} {tuple(shape)}", instead=f"give {want}")


def _of_round(name: str, schedule: Any) -> tuple[int, ...]:
    """The shape of what a schedule gives for a round."""
    try:
        given = jax.eval_shape(schedule, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception as error:
        says = f"cannot be called with the round under jit ({type(error).__name__}: {str(error).splitlines()[0]})"
        instead = "give a function of one whole number, with jnp.where in place of if"
        raise bad(name, schedule, says=says, instead=instead) from error
    if not isinstance(given, jax.ShapeDtypeStruct):
        raise bad(
            name,
            schedule,
            says=f"gives a {type(given).__name__} in a round",
            instead="give a function that returns a number",
        )
    return given.shape


def _finite(name: str, value: object) -> None:
    if _is_numbers(value) and not isinstance(value, int):
        for x in _extremes(value):
            finite(name, x)


def _is_numbers(value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return True  # as plain numbers are checked where they are made, but not where `jax.tree.map` puts them
    if isinstance(value, Tracer) or not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return False
    if not np.issubdtype(
        np.asarray(jax.device_get(value)).dtype if isinstance(value, np.generic) else value.dtype, np.number
    ):
        return False
    return np.size(value) > 0 and np.ndim(value) <= 1


def _extremes(value: object) -> list[float]:
    if isinstance(value, (int, float)):
        return [value]
    values = np.asarray(jax.device_get(value))
    whole = np.issubdtype(values.dtype, np.integer)
    found = {float("nan")} if not whole and np.isnan(values).any() else set()
    cast = int if whole else float
    return [*found, *{cast(x) for x in (values.min(), values.max()) if not np.isnan(x)}]


__all__ = ["check_arrays", "check_shapes", "declared", "grown", "listed", "per_node", "unsaid"]
