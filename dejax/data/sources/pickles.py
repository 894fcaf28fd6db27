"""Read arrays and plain containers out of a pickle, and refuse all else in it.

A pickle is a program: it may call anything that can be imported. Here it can name three things alone, which stand for
those of NumPy and only note what an array consists of; NumPy sees the bytes after they were checked.
"""

import math
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .files import damaged, read_bytes

DTYPES = {"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "b1"}
PLAIN = (dict, list, tuple, str, bytes, int, float, bool, type(None))


class _Dtype:
    """What a pickle says of a dtype."""

    def __init__(self, code: Any, *_: Any):
        text = code.decode("latin1") if isinstance(code, bytes) else str(code)
        if text.lstrip("<>|=") not in DTYPES:
            raise pickle.UnpicklingError(f"it holds an array of {text!r}, not of numbers")
        self.code, self.order = text.lstrip("<>|="), "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else str(state[1])
        self.order = ">" if order == ">" else "<"


class _Array:
    """What a pickle says of an array."""

    value: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not (isinstance(dtype, _Dtype) and isinstance(raw, bytes) and isinstance(shape, tuple)):
            raise pickle.UnpicklingError("it holds an array that is not made of bytes")
        if not all(isinstance(s, int) and s >= 0 for s in shape):
            raise pickle.UnpicklingError(f"it holds an array of shape {shape!r}")
        kind = np.dtype(dtype.order + dtype.code)
        if math.prod(shape) * kind.itemsize != len(raw):
            raise pickle.UnpicklingError(f"it holds {len(raw)} bytes for an array {kind}{list(shape)}")
        self.value = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")


def _begin(subtype: Any, shape: Any, code: Any) -> _Array:
    """`numpy.core.multiarray._reconstruct`: an array whose state comes next."""
    del shape, code
    if subtype is not _Array:
        raise pickle.UnpicklingError("it holds an array of a class of its own")
    return _Array()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """`_codecs.encode`: how Python 3 writes bytes in old protocols."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes {type(text).__name__} as {encoding!r}")
    return text.encode("latin1")


class _Call:
    """A function to which a pickle cannot give attributes."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[..., Any]):
        self._fn = fn

    def __call__(self, *args: Any) -> Any:
        return self._fn(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it gives a state to a function")


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Call(_begin),
    ("numpy._core.multiarray", "_reconstruct"): _Call(_begin),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Call(_encode),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        found = ALLOWED.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, and only arrays and plain containers are read")
        return found


def read_pickle(file: Path) -> Any:
    """Return what a pickle holds, if it is arrays of numbers and plain containers.

    Those are dicts, lists, tuples, text, bytes, numbers, truth values and None.

    Text that Python 2 wrote comes as bytes.

    Raises:
      ValueError: cut short, no pickle, or one that names anything else, which is not called.
    """
    raw = read_bytes(file)
    try:
        return _plain(_Unpickler(BytesIO(raw), encoding="bytes").load())
    except Exception as e:  # a damaged stream raises whatever its pieces do
        says, instead = f"cannot be read: {e or type(e).__name__}", "fetch it again, from where it is published"
        raise damaged(file, says, instead=instead) from e


def _plain(value: Any) -> Any:
    """The value, arrays in place of what was noted of them."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(v) for v in value)
    if not isinstance(value, PLAIN):
        raise pickle.UnpicklingError(f"it holds {type(value).__name__}")
    return value


__all__ = ["read_pickle"]
