"""What a module is trained for: per-example losses and metrics of a module on a batch."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core.types import Module, Tree
from ..xla.materialize import materialize

FEW = 32  # classes that a CPU takes one by one, all examples at once, instead of summing along short rows

Batch = dict[str, jax.Array]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross entropy per example, in nats: log sum_c exp(logits_c) - logits_label.

    The gradient is softmax - one_hot by a rule of its own: a mask, without a scatter, and one
    exponential per class.

    Args:
      logits: floating [..., C]; computed in at least float32.
      labels: integers [...] in [0, C).
    Returns:
      [...] in the (widened) dtype of the logits.
    Raises:
      ValueError: shapes that do not belong together.
      TypeError: labels that are no integers.
    Example:
      >>> cross_entropy(jnp.zeros((1, 4)), jnp.zeros(1, int)).round(3)
      Array([1.386], dtype=float32)
    """
    _check_classes(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return _cross_entropy(logits, labels)


@jax.custom_jvp
def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return _log_sum_exp(logits) - _own(logits, labels)


@_cross_entropy.defjvp
def _(primals: Tree, tangents: Tree) -> Any:
    logits, labels = primals
    total = _log_sum_exp(logits)
    chosen = lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1) == labels[..., None]
    slope = jnp.exp(logits - total[..., None]) - chosen
    return total - _own(logits, labels), (slope * tangents[0]).sum(-1)


def _own(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the label's logit, [...]; 0 for labels out of range.

    Nor has the gradient a part for such labels.
    """
    own = jnp.take_along_axis(logits, jnp.maximum(labels, 0)[..., None], -1, mode="clip")[..., 0]
    return jnp.where((labels >= 0) & (labels < logits.shape[-1]), own, 0)


def _log_sum_exp(logits: jax.Array) -> jax.Array:
    """log sum_c exp(logits_c), [...], written to memory."""
    plain = functools.partial(jax.nn.logsumexp, axis=-1)
    if logits.shape[-1] > FEW:
        return plain(logits)
    return lax.platform_dependent(logits, cpu=_class_by_class, default=plain)


def _class_by_class(logits: jax.Array) -> jax.Array:
    rows = [logits[..., c] for c in range(logits.shape[-1])]
    top = functools.reduce(jnp.maximum, rows)
    top = jnp.where(jnp.isfinite(top), top, 0)
    return materialize(top + jnp.log(functools.reduce(operator.add, [jnp.exp(row - top) for row in rows])))


def _check_classes(logits: jax.Array, labels: jax.Array) -> None:
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"the module gives outputs of shape {logits.shape} for labels of shape {labels.shape}, but a classifier needs one "
            f"row of class scores per label; end the module with a Linear layer to [..., num_classes]"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"batch['y'] has dtype {labels.dtype}, but labels are integers; use int32, or tasks.regression")


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Half the squared distance per example, summed over output coordinates.

    Args:
      outputs: [B, ...], or [B, 1] for targets [B]. targets: [B, ...], same number of values per
        example.
    Returns:
      [B] in at least float32.
    Raises:
      ValueError: shapes that do not belong together.
    """
    if outputs.shape == (*targets.shape, 1):
        outputs = outputs[..., 0]
    if outputs.shape != targets.shape:
        raise ValueError(
            f"the module gives outputs of shape {outputs.shape} for targets of shape {targets.shape}, but regression needs equal "
            f"shapes (or [B, 1] for [B]); change the width of the module's last layer"
        )
    error = (outputs - targets.astype(outputs.dtype)).astype(jnp.promote_types(outputs.dtype, jnp.float32))
    return 0.5 * jnp.square(error).reshape(error.shape[0], -1).sum(1)


def _per_example(values: jax.Array) -> jax.Array:
    return values.reshape(values.shape[0], -1).mean(1) if values.ndim > 1 else values


def classifier_loss(module: Module, batch: Batch) -> jax.Array:
    """Compute the cross entropy [B] of `module(batch["x"])` against `batch["y"]`.

    Over further axes of y (tokens), the mean.
    """
    return _per_example(cross_entropy(module(batch["x"]), batch["y"]))


def classifier_metrics(module: Module, batch: Batch) -> dict[str, jax.Array]:
    """{"loss": [B], "accuracy": [B]} from one forward pass."""
    logits, labels = module(batch["x"]), batch["y"]
    _check_classes(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    own = jnp.take_along_axis(logits, labels[..., None], -1)
    loss = jax.nn.logsumexp(logits, axis=-1) - own[..., 0]
    # argmax(logits) == labels by comparisons, ties included, never right where NaN: half the time
    # of argmax on a CPU
    classes = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    right = jnp.all((own > logits) | ((own == logits) & (classes >= labels[..., None])), -1).astype(loss.dtype)
    return {"loss": _per_example(loss), "accuracy": _per_example(right)}


def regression_loss(module: Module, batch: Batch) -> jax.Array:
    """Half squared error [B] of `module(batch["x"])` against `batch["y"]`."""
    return squared_error(module(batch["x"]), batch["y"])


def regression_metrics(module: Module, batch: Batch) -> dict[str, jax.Array]:
    """{"loss": [B], "mse": [B]}: mse is the mean over output coordinates, without the half."""
    loss = squared_error(module(batch["x"]), batch["y"])
    return {"loss": loss, "mse": loss * (2 * batch["y"].shape[0] / batch["y"].size)}
