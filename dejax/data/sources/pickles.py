"""Read arrays and plain containers out of a pickle, and refuse all else in it.

A pickle is a program: it may call anything that can be imported. Here it can name a few things alone, which stand for those
of NumPy and only note what an array consists of; NumPy sees the bytes after they were checked.
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
        self.fill(raw.encode("latin1") if isinstance(raw, str) else raw, dtype, shape, "F" if fortran else "C")

    def fill(self, raw: Any, dtype: Any, shape: Any, order: Any) -> "_Array":
        """Self, with the bytes as an array."""
        if not (isinstance(dtype, _Dtype) and isinstance(raw, (bytes, bytearray)) and isinstance(shape, tuple)):
            raise pickle.UnpicklingError("it holds an array that is not made of bytes")
        if not all(isinstance(s, int) and s >= 0 for s in shape) or order not in ("C", "F"):
            raise pickle.UnpicklingError(f"it holds an array of shape {shape!r} in the order {order!r}")
        kind = np.dtype(dtype.order + dtype.code)
        if math.prod(shape) * kind.itemsize != len(raw):
            raise pickle.UnpicklingError(f"it holds {len(raw)} bytes for an array {kind}{list(shape)}")
        self.value = np.frombuffer(raw, kind).reshape(shape, order=order)
        return self


def _begin(subtype: Any, shape: Any, code: Any) -> _Array:
    """`numpy.core.multiarray._reconstruct`: an array whose state comes next."""
    del shape, code
    if subtype is not _Array:
        raise pickle.UnpicklingError("it holds an array of a class of its own")
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    """`numpy.core.numeric._frombuffer`: an array in one step, as protocol 5 writes it.

    axes: where order is "K", those of the array whose axes stand as they lie in memory.
    """
    made = _Array().fill(raw, dtype, shape, "C" if order == "K" else order)
    if order == "K" and axes is not None:
        if not isinstance(axes, tuple) or sorted(axes) != list(range(made.value.ndim)):
            raise pickle.UnpicklingError(f"it holds an array with the axes {axes!r}")
        made.value = made.value.transpose(axes)
    return made


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
    ("numpy.core.numeric", "_frombuffer"): _Call(_from_buffer),
    ("numpy._core.numeric", "_frombuffer"): _Call(_from_buffer),
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
        return _plain(_Unpickler(BytesIO(raw), encoding="bytes").load(), {})
    except Exception as e:  # a damaged stream raises whatever its pieces do
        says, instead = f"cannot be read: {e or type(e).__name__}", "fetch it again, from where it is published"
        raise damaged(file, says, instead=instead) from e


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """The value, arrays in place of what was noted of them.

    seen: what was made of containers by their id, so that one that stands in many places is gone through once.
    """
    if isinstance(value, _Array):
        return value.value
    if not isinstance(value, PLAIN):
        raise pickle.UnpicklingError(f"it holds {type(value).__name__}")
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) not in seen:
        if isinstance(value, dict):
            seen[id(value)] = {_plain(k, seen): _plain(v, seen) for k, v in value.items()}
        else:
            seen[id(value)] = type(value)(_plain(v, seen) for v in value)
    return seen[id(value)]


__all__ = ["read_pickle"]
