"""A perceptron that says of every label how well it goes with an input."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...core.checks import Wholes, whole
from ...core.made import recorded
from ...core.types import Keys, Tree
from ...layers.matmul import matmul
from ..objectives import cross_entropy
from ..sized import Sized


@dataclasses.dataclass(frozen=True)
class GoodnessMLP:
    """Layers of rectified units on (input, label); made by `goodness_mlp`.

    `goodness(params, x, labels)` gives the mean squared activation of every layer. Its input is the layer below,
    normalized and cut off from the gradient, so that each goodness has a gradient in its own layer alone. What the
    task answers are the sums of goodness over layers, for all labels; its loss is their cross entropy.
    """

    widths: tuple[int, ...]  # of the input and the hidden layers
    classes: int

    def init(self, key: jax.Array) -> dict[str, Any]:
        """He's law for kernels, zero for biases."""
        sizes = (self.widths[0] + self.classes, *self.widths[1:])
        keys = jax.random.split(key, len(sizes) - 1)
        kernel = lambda k, a, b: jax.random.normal(k, (a, b), float) * math.sqrt(2 / a)
        pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
        return {f"layer{i}": {"kernel": kernel(k, a, b), "bias": jnp.zeros(b)} for i, (k, a, b) in enumerate(pairs)}

    def goodness(self, params: Tree, x: jax.Array, labels: jax.Array) -> jax.Array:
        """[layers, B]: mean squared activations on inputs [B, ...] with labels int [B]."""
        x = x.reshape(x.shape[0], -1).astype(params["layer0"]["kernel"].dtype)
        h, found = jnp.concatenate([_unit(x), jax.nn.one_hot(labels, self.classes, dtype=x.dtype)], 1), []
        for i in range(len(self.widths) - 1):
            layer = params[f"layer{i}"]
            h = jax.nn.relu(matmul("nn", h, layer["kernel"]) + layer["bias"][None])
            found.append(jnp.square(h).mean(1))
            h = _unit(lax.stop_gradient(h))
        return jnp.stack(found)

    def answer(self, params: Tree, batch: Tree) -> jax.Array:
        """[B, classes]: the goodness of every label, added up over layers."""
        x = batch["x"]
        each = lambda c: self.goodness(params, x, jnp.full(x.shape[:1], c, jnp.int32)).sum(0)
        return jax.vmap(each, out_axes=1)(jnp.arange(self.classes, dtype=jnp.int32))

    def loss(self, params: Tree, batch: Tree, key: Keys | None = None) -> jax.Array:
        """Cross entropy [B] of what the task answers; its gradient is cut between layers, too."""
        del key
        return cross_entropy(self.answer(params, batch), batch["y"])

    def metrics(self, params: Tree, batch: Tree) -> dict[str, jax.Array]:
        """{"loss": [B], "accuracy": [B]}."""
        scores, y = self.answer(params, batch), batch["y"]
        return {"loss": cross_entropy(scores, y), "accuracy": (scores.argmax(1) == y).astype(scores.dtype)}


def _unit(x: jax.Array) -> jax.Array:
    """Rows of mean square 1."""
    return x * lax.rsqrt(jnp.square(x).mean(1, keepdims=True) + 1e-6)


@recorded()
def goodness_mlp(hidden: Sequence[int] = (64, 64), features: int | None = None, classes: int | None = None) -> Any:
    """Classify by the goodness of labels, layer by layer: what forward-forward learns.

    Args:
      hidden: widths of the layers, at least one.
      features, classes: sizes of input and output; those of the data when left out.
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data.
    Raises:
      TypeError, ValueError: a size that is no whole number >= 1.
    Reference: Hinton, The forward-forward algorithm, 2022.
    Example:
      >>> goodness_mlp([8, 8], 16, 4).goodness(goodness_mlp([8, 8], 16, 4).init(jax.random.key(0)), jnp.ones((3, 16)), jnp.zeros(3, int)).shape
      (2, 3)
    """
    hidden = Wholes(1)("goodness_mlp.hidden", hidden)
    features = None if features is None else whole("features", features)
    make = lambda features, classes: GoodnessMLP((features, *hidden), classes)
    return Sized(make, lambda shape: math.prod(shape), features, classes).ready()


__all__ = ["GoodnessMLP", "goodness_mlp"]
