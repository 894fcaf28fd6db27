"""What values look like, without computing them."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from .types import Tree


def model_like(task: Any) -> Tree:
    """Return the shapes and dtypes of one model of a task.

    Tracing the init of a flax module takes 40 ms, so each task's are kept.
    """
    return _traced(task, jnp.result_type(float))


@lru_cache(maxsize=64)
def _traced(task: Any, real: Any) -> Tree:
    del real  # part of the cache's key alone: an init may make float64 once JAX is told to
    return jax.eval_shape(task.init, key_like())


def width_of(task: Any) -> str:
    """Return the widest real dtype of a task's model, "float32" or "float64"."""
    floating = (x.dtype for x in jax.tree.leaves(model_like(task)) if jnp.issubdtype(x.dtype, jnp.inexact))
    return "float64" if any(jnp.finfo(dtype).dtype == jnp.float64 for dtype in floating) else "float32"


def key_like() -> Any:
    """Shape and dtype of a key."""
    return jax.eval_shape(lambda: jax.random.key(0))


__all__ = ["key_like", "model_like", "width_of"]
