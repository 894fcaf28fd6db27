"""A server and its senders, as links.

Receivers are the groups that it forms means of, ports are the n nodes that send.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.types import Tree, Values
from .links import Links, accumulator, summed, whole


class Star(Links):
    """Links of a server: W [g, n] holds each sender's share of each of g means.

    Receivers have no value of their own.
    """

    def __init__(self, share: jax.Array):
        self.share = share

    @property
    def n(self) -> int:
        """Receivers: the number g of means."""
        return self.share.shape[0]

    @property
    def num_ports(self) -> int:
        """Senders."""
        return self.share.shape[1]

    def senders(self) -> jax.Array:
        """[g, n]."""
        return jnp.broadcast_to(jnp.arange(self.num_ports, dtype=jnp.int32), self.share.shape)

    def weights(self) -> jax.Array:
        """[g, n]."""
        return self.share

    def self_weights(self) -> jax.Array:
        """[g], zero."""
        return jnp.zeros((self.n,), self.share.dtype)

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row s at every receiver."""
        return tree.map(lambda x: jnp.broadcast_to(x[s], (self.n, *x.shape[1:])), values)

    def mix(self, values: Tree) -> Any:
        """The g means."""
        return self.weighted(values, self.weights(), self.self_weights())

    def weighted(self, values: Tree, weights: jax.Array, self_weights: Any, own: Tree = None) -> Any:
        """One product; a sender whom nobody weighs is silenced."""
        del self_weights, own
        heard = (weights != 0).any(0)

        def leaf(x: jax.Array) -> jax.Array:
            wide = accumulator(x, whole(weights))
            x_ = jnp.where(tree.over(heard, x), x, 0).astype(wide)
            return jnp.tensordot(weights.astype(wide), x_, 1, precision="highest").astype(summed(x, wide))

        return tree.map(leaf, values)


__all__ = ["Star"]
