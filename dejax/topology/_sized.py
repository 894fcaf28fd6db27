"""Graphs whose number of nodes may be left open, to be filled in from the data."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.arguments import bind
from ..core.checks import whole
from ..core.made import record
from ._topology import Topology

FROM_DATA: Any = None  # default of `n` in graphs whose number of nodes may be left out


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
        return self.make(n=n, **dict(self.arguments))

    def __repr__(self) -> str:
        inner = "".join(f", {k}={v!r}" for k, v in self.arguments)
        return f"{self.name}(n=None{inner})"


def sized(
    fn: Callable[..., Any] | None = None, *, infer: Callable[..., int | None] | None = None
) -> Callable[..., Any]:
    """Let `n`, the first argument, be left out: the call then gives a `Deferred`.

    Otherwise n is checked to be an int >= 1.

    Args:
      fn: the function, which sees n only as an int.
      infer: called with the other arguments given, may say n when it was left out (rows times
        columns).
    """
    if fn is None:
        return functools.partial(sized, infer=infer)
    signature = inspect.signature(fn)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = bind(fn.__name__, signature, args, kwargs)
        said = dict(given)
        n = given.pop("n", None)
        if n is None and infer is not None:
            n = infer(**given)
        if n is None:
            return record(Deferred(call, tuple(given.items())), call, said)
        return record(fn(whole(f"{fn.__name__}.n", n), **given), call, said)

    return call


__all__ = ["FROM_DATA", "Deferred", "sized"]
