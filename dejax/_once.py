"""Programs that run once: what counts is how long they take to compile."""

import inspect
from functools import cache
from typing import Any

import jax

# of levels 0 to 3; the default, 3, takes up to four times as long, most of it to unroll loops
QUICK = {"xla_backend_optimization_level": 1}


@cache
def once(program: Any) -> Any:
    """A jitted function that on CPUs is compiled without LLVM's costly passes; called by itself, not within another jit."""
    options = QUICK if jax.default_backend() == "cpu" else None
    return jax.jit(inspect.unwrap(program), compiler_options=options)


__all__ = ["once"]
