"""Arrays on the device from values of the host, without compiling anything for them."""

from typing import Any

import jax
import numpy as np

from .types import Tree


def device_array(x: Tree, dtype: Any = None) -> jax.Array:
    """Copy a number or an array to the device, without a program for each shape.

    `jnp.asarray(x, dtype)` would compile one. A Python number stays weakly typed. The copy is the
    array's own: later changes of x do not reach it. Inside a trace the result is concrete.
    """
    if isinstance(x, jax.Array):
        return x if dtype is None else x.astype(dtype)
    plain = dtype is None and isinstance(x, (bool, int, float))
    with jax.ensure_compile_time_eval():
        return jax.device_put(x if plain else np.array(x, dtype))


__all__ = ["device_array"]
