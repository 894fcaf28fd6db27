"""Programs that run once: what counts is how long they take to compile."""

import inspect
from functools import cache
from typing import Any

import jax

# of levels 0 to 3; at 3, the default, LLVM unrolls the loops of the draws (measured in
# docs/performance-log.md, "Compiler flags and draws")
QUICK = {"xla_backend_optimization_level": 1}


@cache
def once(program: Any) -> Any:
    """Jit at a low optimisation level (on CPUs), for programs that run only once.

    Call the result by itself, since within another jit the option is refused.
    """
    options = QUICK if jax.default_backend() == "cpu" else None
    return jax.jit(inspect.unwrap(program), compiler_options=options)


__all__ = ["once"]
