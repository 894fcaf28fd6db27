"""Tasks from plain functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from ...core.arguments import called_with, takes_key, takes_weight, with_key
from ...core.made import recorded
from ...core.types import Tree
from ...errors import a_name, bad

OPTIONAL = ("metrics", "answer", "lower", "features")


@dataclass(frozen=True)
class FunctionTask:
    """A task made of plain functions, by `from_functions`; equal when the functions are."""

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any, jax.Array], jax.Array]
    measured: Callable[[Any, Any], dict[str, jax.Array]] | None = None
    answer: Callable[[Any, Any], Any] | None = None
    lower: Callable[[Any, Any, jax.Array], jax.Array] | None = None  # of a bilevel problem, whose upper loss is `loss`
    features: Callable[[Any, Any], Any] | None = None

    def __repr__(self) -> str:
        return f"FunctionTask({a_name(self.init)}, loss={a_name(self.loss)})"

    @property
    def higher(self) -> Any:
        """Of which metrics more is better: the attribute `higher` of the function that was given."""
        return getattr(self.measured, "higher", None)

    def metrics(self, params: Tree, batch: Tree, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Name -> [B]; {} when the task has none."""
        key = jax.random.key(0) if key is None else key
        return {} if self.measured is None else with_key(self.measured, params, batch, key=key)


@recorded()
def from_functions(
    init: Callable[[jax.Array], Any],
    loss: Callable[[Any, Any, jax.Array], jax.Array],
    metrics: Callable[[Any, Any], dict[str, jax.Array]] | None = None,
    answer: Callable[[Any, Any], Any] | None = None,
    lower: Callable[[Any, Any, jax.Array], jax.Array] | None = None,
    features: Callable[[Any, Any], Any] | None = None,
) -> FunctionTask:
    """A task from plain functions, for any pytree of parameters.

    Args:
      init: key -> parameters of one model, a tree of floating arrays.
      loss: (params, batch, key) -> [B], one number per example (or a scalar, where batches are
        never padded).
      metrics: (params, batch) -> {name: [B]}, or (params, batch, key) with a key that is the same all
        along a run; may be left out. Named functions: a fresh lambda compiles anew. Its attribute `higher`,
        {name: True or False}, says of which more is better, where names do not.
      answer: (params, batch) -> what the model says, for methods that send answers; may be left out.
      lower: the lower loss of a bilevel problem, as `loss`, which is then the upper one; read by
        `dejax.methods.ma_dsbo` alone.
      features: (params, batch) -> what the model makes of x before its head, for prototypes; may be left out.
    Raises:
      FieldError: something that is not callable, or that takes other arguments.
    Example:
      >>> import jax.numpy as jnp
      >>> def init(key):
      ...     return {"w": jnp.zeros(3)}
      >>> def loss(params, batch, key):
      ...     return 0.5 * jnp.square(batch["x"] @ params["w"] - batch["y"])
      >>> task = from_functions(init, loss)
    """
    for name, fn in (
        ("init", init),
        ("loss", loss),
        ("metrics", metrics),
        ("answer", answer),
        ("lower", lower),
        ("features", features),
    ):
        if not callable(fn) and not (name in OPTIONAL and fn is None):
            raise bad(name, fn, owner="from_functions", instead=f"give {name}=a named function")
        want = (
            ("key",)
            if name == "init"
            else ("params", "batch")
            if name in ("metrics", "answer", "features")
            else ("params", "batch", "key")
        )
        if fn is None or (name in ("loss", "lower") and takes_weight(fn)) or (name == "metrics" and takes_key(fn)):
            continue
        if takes := called_with(fn, *want):
            arguments = ", ".join(want)
            why = f"but is called with ({arguments})"
            raise bad(name, fn, owner="from_functions", says=takes, why=why, instead=f"write def {name}({arguments})")
    return FunctionTask(init, loss, metrics, answer, lower, features)
