"""Norms and the activations behind them, of convolutional networks."""

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
    """EvoNorm-S0: x sigmoid(v x) / std of its group, scaled and shifted.

    It is norm and activation in one.

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


class Affine(nnx.Module):
    """x scaled and shifted by channel: what is left of EvoNorm-S0 where no activation follows.

    The scale starts at 0, so that a block begins as its shortcut; at a shortcut itself it starts at 1.

    Args:
      channels: of x [B, H, W, channels]. start: of the scale.
    """

    def __init__(self, channels: int, start: float):
        self.scale, self.bias = nnx.Param(jnp.full((channels,), start)), nnx.Param(jnp.zeros((channels,)))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * _wide(self.scale, x) + _wide(self.bias, x)


def _wide(param: nnx.Param[jax.Array], x: jax.Array) -> jax.Array:
    """One number per channel, beside x."""
    return param[...].reshape(*[1] * (x.ndim - 1), -1)


def norm_of(kind: str, channels: int, rngs: nnx.Rngs, place: str = "active") -> Any:
    """The norm of one place in a network, from [B, H, W, channels] to the same.

    Group and layer norms know one example alone; batch norm keeps running statistics, whose leaves
    have a role of their own.

    Args:
      kind: one of `NORMS`. place: "active" where an activation follows, which `activated` gives; "last" at the end
        of a block and "around" in its shortcut, where both are added first. EvoNorm is an activation, too: at the last
        two its authors keep a scale and a shift alone, and the ReLU behind the sum.
    """
    if kind == "evo" and place != "active":
        return Affine(channels, 0.0 if place == "last" else 1.0)
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


def activated(norm: Any, x: jax.Array) -> jax.Array:
    """The norm of x and its activation: a ReLU, but behind EvoNorm nothing, which is both."""
    x = norm(x)
    return x if isinstance(norm, EvoNorm) else nnx.relu(x)


class _Nothing(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return x


__all__ = ["NORMS", "EvoNorm", "activated", "norm_of"]
