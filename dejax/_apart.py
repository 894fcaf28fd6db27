"""Parts of a program that XLA on CPUs must not fuse into what comes after."""

from typing import Any

import jax
from jax import lax
from jax.core import Tracer
from jax.experimental.xla_metadata import set_xla_metadata


def materialize_on_cpu(value: Any) -> Any:
    """`value`, written to memory before anything reads it: handed to a function that XLA does not inline.

    Where a loop reads an element several times (three neighbors on a ring, 64 columns that share a row number), XLA fuses what
    makes that element into the loop and computes it each time. Optimization barriers do not help: the CPU back end drops them
    before it fuses. Nothing is copied.
    """
    with set_xla_metadata(inlineable="false"):
        return _materialized(value)


def materialize(value: Any) -> Any:
    """`materialize_on_cpu` in programs for CPUs; elsewhere, and outside of a trace, just `value`."""
    if not any(isinstance(x, Tracer) for x in jax.tree.leaves(value)):
        return value
    return lax.platform_dependent(value, cpu=materialize_on_cpu, default=lambda value: value)


def _written(value: Any) -> Any:
    return value


NAME = _written.__name__  # by which a traced program calls it
_materialized = jax.jit(_written)

__all__ = ["NAME", "materialize", "materialize_on_cpu"]
