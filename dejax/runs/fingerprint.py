"""A digest of an experiment, the same in every process.

A checkpoint is compared with it before it is resumed.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.types import Tree


def fingerprint(value: Tree) -> str:
    """A short sha256 of plain values, arrays, dataclasses and their containers.

    Functions and objects of other kinds (a user's network) count by their name or type alone: what
    functions compute is compared by `_code.functions`, and shapes with the checkpoint's leaves.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()[:16]


def feed_plain(digest: Any, value: Tree) -> bool:
    """Feed an array or a plain value; False for anything else."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        _put(digest, "array", array.dtype, array.shape)
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    elif value is None or value is Ellipsis or isinstance(value, (bool, int, float, complex, str, bytes)):
        _put(digest, type(value).__name__, repr(value))
    else:
        return False
    return True


def _put(digest: Any, *words: Any) -> None:
    digest.update(("\x1f".join(str(w) for w in words) + "\x1e").encode())


def _feed(digest: Any, value: Tree) -> None:
    if isinstance(value, jax.Array) and value.ndim == 0 and jnp.issubdtype(value.dtype, jnp.integer):
        value = value.astype(float)  # 1 and 1.0 are one number, and a config writes the one for the other
    if feed_plain(digest, value):
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _put(digest, "struct", type(value).__qualname__)
        for field in dataclasses.fields(value):
            if field.compare:
                _put(digest, field.name)
                _feed(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        _put(digest, "mapping", len(value))
        for key in sorted(value, key=str):
            _put(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, (tuple, list)):
        _put(digest, "sequence", len(value))
        for item in value:
            _feed(digest, item)
    elif callable(value) and (name := getattr(value, "__qualname__", None)) is not None:
        _put(digest, "function", name)
    else:
        _put(digest, "object", type(value).__qualname__)


def difference(theirs: dict[str, Any], mine: dict[str, Any]) -> str | None:
    """In words, the first part in which two experiments differ."""
    for part, value in mine.items():
        if part != "code" and theirs.get(part) != value:
            return f"{part} differs ({theirs.get(part)} there, {value} here)" if part == "seeds" else f"{part} differs"
    code = theirs.get("code", {})
    if code.get("python") != mine["code"]["python"]:  # another bytecode for the same functions
        return None
    ours, others = mine["code"]["functions"], code["functions"]
    name = next((name for name in sorted({*ours, *others}) if ours.get(name) != others.get(name)), None)
    return (
        None
        if name is None
        else f"{name.partition('.')[0]} differs: the code of {name} was edited, or something that it reads"
    )


__all__ = ["difference", "feed_plain", "fingerprint"]
