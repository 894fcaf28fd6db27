"""Any sparse W: a list of k senders per receiver, padded with the own id and weight 0."""

from typing import Any

import jax

from ...core import tree
from ...core.struct import grows, struct
from ...core.types import Tree, Values
from ...xla.take_rows import take_rows
from ..links import Links


@struct
class NeighborLists(Links):
    """Neighbor lists: gather and add one neighbor at a time.

    XLA fuses the whole sum into one loop. A matching is the case k = 1 (unmatched nodes hear
    themselves with weight 0).

    Args:
      index: int32 [n, k] senders.
      weight: [n, k].
      own: [n] self weights.
    Example:
      >>> pair = NeighborLists(jnp.array([[1], [0]]), jnp.full((2, 1), 0.5, jnp.float32), jnp.full((2,), 0.5, jnp.float32))
      >>> pair.mix(jnp.array([0.0, 2.0], jnp.float32)).tolist()
      [1.0, 1.0]
    """

    index: jax.Array = grows()
    weight: jax.Array = grows()
    own: jax.Array = grows()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.index.shape[-2]

    @property
    def num_ports(self) -> int:
        """k."""
        return self.index.shape[-1]

    def senders(self) -> jax.Array:
        """[n, k]."""
        return self.index

    def weights(self) -> jax.Array:
        """[n, k]."""
        return self.weight

    def self_weights(self) -> jax.Array:
        """[n]."""
        return self.own

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row index[i, s] at row i."""
        rows = self.index[:, s]
        return tree.map(lambda x: take_rows(x, rows), values)


__all__ = ["NeighborLists"]
