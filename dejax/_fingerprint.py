"""A digest of an experiment, the same in every process: what a checkpoint is compared with before it is resumed."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(value: Any) -> str:
    """A short sha256 of plain values, arrays, dataclasses and their containers.

    Objects of other kinds (a user's network, a closure) count by their type or name alone: what they compute cannot be
    compared, and their shapes are checked with the checkpoint's leaves.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()[:16]


def _feed(digest: Any, value: Any) -> None:
    def put(*words: Any) -> None:
        digest.update(("\x1f".join(str(w) for w in words) + "\x1e").encode())

    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        put("array", array.dtype, array.shape)
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    elif value is None or isinstance(value, (bool, int, float, str, bytes)):
        put(type(value).__name__, repr(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        put("struct", type(value).__qualname__)
        for field in dataclasses.fields(value):
            if field.compare:
                put(field.name)
                _feed(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        put("mapping", len(value))
        for key in sorted(value, key=str):
            put(key)
            _feed(digest, value[key])
    elif isinstance(value, (tuple, list)):
        put("sequence", len(value))
        for item in value:
            _feed(digest, item)
    elif callable(value) and hasattr(value, "__qualname__"):
        put("function", value.__qualname__)
    else:
        put("object", type(value).__qualname__)


__all__ = ["fingerprint"]
