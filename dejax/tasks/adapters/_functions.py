"""Tasks from plain functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from ...core.made import recorded
from ...core.types import Tree


@dataclass(frozen=True)
class FunctionTask:
    """A task made of plain functions, by `from_functions`; equal when the functions are."""

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any, jax.Array], jax.Array]
    measured: Callable[[Any, Any], dict[str, jax.Array]] | None = None
    answer: Callable[[Any, Any], Any] | None = None
    lower: Callable[[Any, Any, jax.Array], jax.Array] | None = None  # of a bilevel problem, whose upper loss is `loss`

    def metrics(self, params: Tree, batch: Tree) -> dict[str, jax.Array]:
        """Name -> [B]; {} when the task has none."""
        return {} if self.measured is None else self.measured(params, batch)


@recorded()
def from_functions(
    init: Callable[[jax.Array], Any],
    loss: Callable[[Any, Any, jax.Array], jax.Array],
    metrics: Callable[[Any, Any], dict[str, jax.Array]] | None = None,
    answer: Callable[[Any, Any], Any] | None = None,
    lower: Callable[[Any, Any, jax.Array], jax.Array] | None = None,
) -> FunctionTask:
    """A task from plain functions, for any pytree of parameters.

    Args:
      init: key -> parameters of one model, a tree of floating arrays.
      loss: (params, batch, key) -> [B], one number per example (or a scalar, where batches are
        never padded).
      metrics: (params, batch) -> {name: [B]}; may be left out. Named functions: a fresh lambda
        compiles anew.
      answer: (params, batch) -> what the model says, for methods that send answers; may be left out.
      lower: the lower loss of a bilevel problem, as `loss`, which is then the upper one; read by
        `dejax.methods.ma_dsbo` alone.
    Raises:
      TypeError: something that is not callable.
    Example:
      >>> import jax.numpy as jnp
      >>> def init(key):
      ...     return {"w": jnp.zeros(3)}
      >>> def loss(params, batch, key):
      ...     return 0.5 * jnp.square(batch["x"] @ params["w"] - batch["y"])
      >>> task = from_functions(init, loss)
    """
    for name, fn in (("init", init), ("loss", loss), ("metrics", metrics), ("answer", answer), ("lower", lower)):
        if not callable(fn) and not (name in ("metrics", "answer", "lower") and fn is None):
            raise TypeError(f"from_functions.{name} is {fn!r}, but it must be a function; give {name}=a named function")
    return FunctionTask(init, loss, metrics, answer, lower)
