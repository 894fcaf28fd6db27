"""What values look like, without computing them."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import a_name, bad
from .arguments import called_with
from .tree import path_of
from .types import Task, Tree


def model_like(task: Task) -> Tree:
    """Return the shapes and dtypes of one model of a task.

    Tracing the init of a flax module takes 40 ms, so each task's are kept.
    """
    return _traced(task, jnp.result_type(float))


@lru_cache(maxsize=64)
def _traced(task: Task, real: Any) -> Tree:
    del real  # part of the cache's key alone: an init may make float64 once JAX is told to
    if takes := called_with(task.init, "key"):
        raise bad("init", owner="task", says=takes, why="but is called with a key", instead="write def init(key)")
    return jax.eval_shape(lambda key: _checked(task.init(key)), key_like())


def _checked(params: Tree) -> Tree:
    """The model as it is, or in words what of it is no array."""
    found = jax.tree_util.tree_leaves_with_path(params)
    if not found:
        says = "gives None" if params is None else f"gives {params!r}, which has no leaf"
        raise bad("init", params, owner="task", says=says, instead="return the parameters, a tree of arrays")
    for path, leaf in found:
        if isinstance(leaf, jax.Array) or (
            isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind not in "OSUMm"
        ):
            continue
        if isinstance(leaf, (bool, int, float, complex)):
            continue
        name = path_of(path)
        dtype = f" of dtype {leaf.dtype}" if isinstance(leaf, (np.ndarray, np.generic)) else ""
        raise bad(
            "init",
            leaf,
            owner="task",
            says=f"makes {name!r}, {a_name(leaf)}{dtype}" if name else f"makes {a_name(leaf)}{dtype}",
            why="which is no array that a device holds, whatever its role",
            instead="leave it out of the parameters, and let loss read it from where it is defined",
        )
    return params


def width_of(task: Task) -> str:
    """Return the widest real dtype of a task's model, "float32" or "float64"."""
    floating = (x.dtype for x in jax.tree.leaves(model_like(task)) if jnp.issubdtype(x.dtype, jnp.inexact))
    return "float64" if any(jnp.finfo(dtype).dtype == jnp.float64 for dtype in floating) else "float32"


def key_like() -> Any:
    """Shape and dtype of a key."""
    return jax.eval_shape(lambda: jax.random.key(0))


__all__ = ["key_like", "model_like", "width_of"]
