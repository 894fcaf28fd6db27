"""Hyper-parameters given as arrays: checked by the same rules as plain numbers, where their values are known."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def check_arrays(*objects: Any) -> None:
    """Every concrete array among the fields of these dataclasses, and of those inside them, passes its owner's checks.

    `__post_init__` sees arrays, but lets them pass, because JAX rebuilds the objects with tracers and placeholders. So the
    extremes of each array (and a NaN, if there is one) are tried as plain numbers.

    Raises:
      ValueError: a value out of range, e.g. an infinite or negative rate of one node; names the field and the value.
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
                    _finite(f"{type(owner).__name__}.{name}", number)
            elif _is_numbers(value) and field.init and not field.metadata.get("static"):
                for extreme in _extremes(value):
                    try:
                        dataclasses.replace(owner, **{field.name: extreme})
                    except ValueError as error:
                        row = int(np.flatnonzero(np.isclose(np.asarray(value), extreme, 0, 0, equal_nan=True))[0])
                        at = f" (row {row} of an array)" if np.ndim(value) else ""
                        raise ValueError(f"{error}{at}") from None


def _finite(name: str, value: Any) -> None:
    if _is_numbers(value) or isinstance(value, float):
        bad = [x for x in _extremes(value) if not np.isfinite(x)]
        if bad:
            raise ValueError(f"{name} is {bad[0]!r}; give a finite number")


def _is_numbers(value: Any) -> bool:
    if isinstance(value, Tracer) or not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return False
    if not np.issubdtype(
        np.asarray(jax.device_get(value)).dtype if isinstance(value, np.generic) else value.dtype, np.number
    ):
        return False
    return np.size(value) > 0 and np.ndim(value) <= 1


def _extremes(value: Any) -> list[float]:
    values = np.asarray(jax.device_get(value))
    whole = np.issubdtype(values.dtype, np.integer)
    found = {float("nan")} if not whole and np.isnan(values).any() else set()
    cast = int if whole else float
    return [*found, *{cast(x) for x in (values.min(), values.max()) if not np.isnan(x)}]


__all__ = ["check_arrays"]
