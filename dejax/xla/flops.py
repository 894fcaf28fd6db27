"""Floating-point operations of a function, by XLA's cost analysis, loops in full."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun

from .traced import inner_programs


def flops(fn: Callable[..., Any], *like: Any) -> float:
    """Count the floating-point operations of `fn` on arguments of these shapes.

    XLA counts what it is given before it optimizes: 2 m n k for a product of m x k and k x n, one for each number of an
    addition, none for exp and its like. It counts the body of a loop once; here a scan counts as often as it runs. Loops
    whose number of passes a program does not say (`while`) count once.

    Args:
      like: trees of arrays or `jax.ShapeDtypeStruct`s.
    Returns:
      The count; NaN where XLA does not say.
    """
    program = jax.make_jaxpr(fn)(*like)
    return _of_xla(program) + _of_loops(program.jaxpr)


def _of_xla(program: ClosedJaxpr) -> float:
    """XLA's count, the body of each loop once."""
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in program.in_avals]
    cost = jax.jit(jaxpr_as_fun(program)).lower(*shapes).cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return math.nan if cost is None else float(cost.get("flops", 0.0))


def _of_loops(program: Jaxpr) -> float:
    """What XLA's count leaves out: the further passes of scans, of scans within them, and so on."""
    missing = 0.0
    for equation in program.eqns:
        if equation.primitive.name == "scan":
            body, passes = equation.params["jaxpr"], equation.params["length"]
            once = _of_xla(body)
            missing += passes * (once + _of_loops(body.jaxpr)) - once
        else:
            missing += sum(map(_of_loops, inner_programs(equation)))
    return missing


__all__ = ["flops"]
