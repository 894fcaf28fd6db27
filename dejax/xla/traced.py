"""Walk through traced programs."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr


def inner_programs(equation: Any) -> Iterator[Any]:
    """The programs that an equation of a traced program calls, loops over or chooses from."""
    for value in equation.params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, Jaxpr):
                yield one


__all__ = ["inner_programs"]
