"""Graphs whose number of nodes may be left open, to be filled in from the data."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._topology import Topology


@dataclass(frozen=True)
class Deferred:
    """A topology that waits for its number of nodes; hashable as long as its arguments are.

    Example:
      >>> ring()
      ring(n=None)
      >>> ring().build(4).n
      4
    """

    make: Callable[..., Topology]
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.make.__name__

    def build(self, n: int) -> Topology:
        """The topology with n nodes."""
        return self.make(n, **dict(self.arguments))

    def __repr__(self) -> str:
        inner = "".join(f", {k}={v!r}" for k, v in self.arguments)
        return f"{self.name}(n=None{inner})"


def sized(fn: Callable[..., Topology]) -> Callable[..., Topology]:
    """Let `n`, the first argument, be left out: the call then gives a `Deferred`; otherwise n is checked to be an int >= 1."""
    names = list(inspect.signature(fn).parameters)

    @functools.wraps(fn)
    def call(n: int | None = None, *args: Any, **kwargs: Any) -> Any:
        if n is None:
            return Deferred(call, (*zip(names[1:], args, strict=False), *kwargs.items()))
        return fn(whole(fn.__name__, "n", n, 1), *args, **kwargs)

    return call


def whole(owner: str, field: str, value: Any, least: int) -> int:
    """`value` as an int >= `least`.

    Raises:
      TypeError: no whole number. ValueError: too small.
    """
    import numbers

    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{owner}: {field} is {value!r} ({type(value).__name__}); give a whole number >= {least}")
    if value < least:
        raise ValueError(f"{owner}: {field} is {value}; give a whole number >= {least}")
    return int(value)


__all__ = ["Deferred", "sized", "whole"]
