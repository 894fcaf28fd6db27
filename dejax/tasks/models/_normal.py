"""What stands between a convolution and its activation."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

NORMS = ("group", "evo", "batch", "layer", "none")
GROUPS, LEAST = (
    32,
    4,
)  # groups at most, channels of a group at least (where there are as many): one alone would lose its mean


class EvoNorm(nnx.Module):
    """EvoNorm-S0: x sigmoid(v x) / std of its group, scaled and shifted; no activation follows.

    Args:
      channels: of x [B, H, W, channels]. groups: that divide them. rngs: unused, as of all layers.
    Reference: Liu, Brock, Simonyan and Le, Evolving normalization-activation layers, 2020.
    """

    def __init__(self, channels: int, groups: int, rngs: nnx.Rngs):
        del rngs
        self.groups = groups
        self.v, self.scale = nnx.Param(jnp.ones((channels,))), nnx.Param(jnp.ones((channels,)))
        self.bias = nnx.Param(jnp.zeros((channels,)))

    def __call__(self, x: jax.Array) -> jax.Array:
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        spread = jnp.sqrt(grouped.var((*range(1, x.ndim - 1), x.ndim), keepdims=True) + 1e-5)
        own = (grouped / spread).reshape(x.shape) * jax.nn.sigmoid(_wide(self.v, x) * x)
        return own * _wide(self.scale, x) + _wide(self.bias, x)


def _wide(param: nnx.Param[jax.Array], x: jax.Array) -> jax.Array:
    """One number per channel, beside x."""
    return param[...].reshape(*[1] * (x.ndim - 1), -1)


def norm_of(kind: str, channels: int, rngs: nnx.Rngs) -> Any:
    """The layer, from [B, H, W, channels] to the same.

    Group and layer norms know one example alone; batch norm keeps running statistics, whose leaves
    have a role of their own. With EvoNorm the ReLU that follows stays: it is no part of S0's paper,
    but what follows a sum of paths needs one.
    """
    groups = math.gcd(GROUPS, max(channels // LEAST, 1))
    if kind == "group":
        return nnx.GroupNorm(channels, num_groups=groups, rngs=rngs)
    if kind == "evo":
        return EvoNorm(channels, groups, rngs)
    if kind == "batch":
        return nnx.BatchNorm(channels, rngs=rngs)
    if kind == "layer":
        return nnx.GroupNorm(channels, num_groups=1, rngs=rngs)
    return _Nothing()


class _Nothing(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return x


__all__ = ["NORMS", "EvoNorm", "norm_of"]
