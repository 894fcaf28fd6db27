"""The tasks of the synthetic problems: one vector of parameters, a loss per row of data."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax, random

from ...core.types import Keys


@dataclass(frozen=True)
class SquaresTask:
    """Loss 0.5 ||A x - b||^2 per row: a row is (a [d], b scalar), or (A [r, d], b [r]).

    Args:
      dim: d. spread: standard deviation of the starts; 0 starts at zero. noise: standard deviation
        (norm) of Gaussian noise that is added to each row's gradient, and not to its loss. dtype:
        of the parameters.
    """

    dim: int
    spread: float = 0.0
    noise: float = 0.0
    dtype: str = "float32"

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        """Parameters {"x": [d]}."""
        return {"x": self.spread * random.normal(key, (self.dim,), self.dtype)}

    def loss(self, params: dict[str, jax.Array], batch: dict[str, jax.Array], key: jax.Array) -> jax.Array:
        """Loss per row, [B]."""
        x = params["x"]
        value = self._half_squares(x, batch)
        if self.noise:
            xi = random.normal(key, (*value.shape, self.dim), x.dtype) * (self.noise / self.dim**0.5)
            value = value + xi @ (x - lax.stop_gradient(x))
        return value

    def metrics(self, params: dict[str, jax.Array], batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """{"loss": [B]}, without noise."""
        return {"loss": self._half_squares(params["x"], batch)}

    def _half_squares(self, x: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
        residual = jnp.matmul(batch["x"], x, precision=lax.Precision.HIGHEST) - batch["y"]
        return 0.5 * jnp.square(residual).reshape(residual.shape[0], -1).sum(1)


@dataclass(frozen=True)
class LogisticTask:
    """log(1 + exp(-s a.x)) + (l2 / 2) ||x||^2 per row (a [d], y in {0, 1}), s = 2 y - 1.

    Args:
      dim: d. l2: weight of the squared norm. dtype: of the parameters, which start at zero.
    """

    dim: int
    l2: float
    dtype: str = "float32"

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        """Parameters {"x": [d]}, zeros."""
        del key
        return {"x": jnp.zeros((self.dim,), self.dtype)}

    def loss(self, params: dict[str, jax.Array], batch: dict[str, jax.Array], key: Keys | None = None) -> jax.Array:
        """Loss per row, [B]."""
        del key
        x = params["x"]
        return jax.nn.softplus(-self._margin(x, batch)) + 0.5 * self.l2 * jnp.sum(jnp.square(x))

    def metrics(self, params: dict[str, jax.Array], batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """{"loss": [B], "accuracy": [B]}."""
        right = (self._margin(params["x"], batch) > 0).astype(params["x"].dtype)
        return {"loss": self.loss(params, batch), "accuracy": right}

    def _margin(self, x: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
        sign = (2 * batch["y"] - 1).astype(x.dtype)
        return sign * jnp.matmul(batch["x"], x, precision=lax.Precision.HIGHEST)


@dataclass(frozen=True)
class DiminishingTask:
    """-(h . x + x' H x / 2) per row, h = -H 1: a row is H [d, d].

    Args:
      dim: d. dtype: of the parameters, which start at zero.
    """

    dim: int
    dtype: str = "float32"

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        """Parameters {"x": [d]}, zeros."""
        del key
        return {"x": jnp.zeros((self.dim,), self.dtype)}

    def loss(self, params: dict[str, jax.Array], batch: dict[str, jax.Array], key: Keys | None = None) -> jax.Array:
        """Loss per row, [B]: minus the reward."""
        del key
        x = params["x"]
        slope = jnp.matmul(batch["x"], 1 - x / 2, precision=lax.Precision.HIGHEST)
        return jnp.matmul(slope, x, precision=lax.Precision.HIGHEST)

    def metrics(self, params: dict[str, jax.Array], batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """{"loss": [B]}."""
        return {"loss": self.loss(params, batch)}


__all__ = ["DiminishingTask", "LogisticTask", "SquaresTask"]
