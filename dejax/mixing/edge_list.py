"""Values on the directed edges of one fixed graph: [m, ...], ordered by receiver.

They never take the shape [n, k, ...]. Row e belongs to node `receiver[e]` and concerns its neighbor
`sender[e]`. What receiver[e] sends to that neighbor arrives there as row `reverse[e]`: one
permutation delivers all messages. A star of 1,024 nodes and 1,000 numbers takes 8 MB this way,
where [n, k, d] would take 4.2 GB.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.arrays import device_array
from ..core.struct import grows, static, struct
from ..core.types import Dtype, Tree, Values
from .links import Links, Through, accumulator, silenced, summed, whole


@struct
class EdgeList:
    """The directed edges of an undirected graph, sorted by receiver, then sender.

    Args:
      receiver, sender: int32 [m], the two ends of edge e.
      reverse: int32 [m], the edge from receiver[e] to sender[e].
      port: int32 [m], the port of receiver[e] on which the mixing kernel hears sender[e].
      n: number of nodes, static.
    """

    receiver: jax.Array = grows()
    sender: jax.Array = grows()
    reverse: jax.Array = grows()
    port: jax.Array = grows()
    n: int = static()

    @staticmethod
    def of(links: Links) -> "EdgeList":
        """Read off a kernel whose leaves are concrete.

        Raises:
          ValueError: an edge without its reverse.
        """
        senders, weights = jax.device_get(jax.jit(lambda links: (links.senders(), links.weights()))(links))
        real = weights != 0
        receiver, port = np.nonzero(real)
        sender = senders[receiver, port]
        order = np.lexsort((sender, receiver))
        receiver, sender, port = receiver[order], sender[order], port[order]
        reverse = np.lexsort((receiver, sender))  # ascending by (sender, receiver): place e holds the reverse of edge e
        lonely = (receiver[reverse] != sender) | (sender[reverse] != receiver)
        if lonely.any():
            e = int(np.argmax(lonely))
            raise ValueError(
                f"node {receiver[e]} hears node {sender[e]}, but not the other way round; messages per edge need both directions"
            )
        ids = lambda x: device_array(x, np.int32)
        return EdgeList(ids(receiver), ids(sender), ids(reverse), ids(port), links.n)

    @property
    def m(self) -> int:
        """Number of directed edges."""
        return self.receiver.shape[0]

    def of_nodes(self, values: Tree) -> Any:
        """[m, ...]: for every edge the value [n, ...] of the node that holds the row."""
        return tree.map(lambda x: x[self.receiver], values)

    def deliver(self, rows: Tree) -> Any:
        """[m, ...]: what arrives at each row when every node sends its rows to the other end."""
        return tree.map(lambda x: x[self.reverse], rows)

    def sum(self, rows: Tree) -> Any:
        """[n, ...]: the sum of each node's rows, in at least float32; whole numbers in int32."""

        def leaf(x: jax.Array) -> jax.Array:
            dtype = accumulator(x, whole=True)
            return self._sum(x, dtype).astype(summed(x, dtype))

        return tree.map(leaf, rows)

    def _sum(self, x: jax.Array, dtype: Dtype) -> jax.Array:
        return jax.ops.segment_sum(x.astype(dtype), self.receiver, self.n, indices_are_sorted=True)

    def by_port(self, per_port: jax.Array) -> jax.Array:
        """[m] out of an array [n, k] over the kernel's ports."""
        return per_port[self.receiver, self.port]

    def on_ports(self, rows: jax.Array, num_ports: int, padding: Any = 0) -> jax.Array:
        """Rows [m, ...] on the kernel's ports [n, k, ...], `padding` where there is no edge."""
        table = jnp.full((self.n, num_ports, *rows.shape[1:]), padding, rows.dtype)
        return table.at[self.receiver, self.port].set(rows)


class EdgeRows(Through):
    """Links of a phase whose values are rows [m, ...] of edges, not rows [n, ...] of senders.

    All else is that of the kernel.
    """

    def __init__(self, links: Links, edges: EdgeList):
        self.links, self.edges = links, edges

    def take(self, values: Tree, s: int | Values) -> Any:
        """Return, at row i, what node i received on port s; on padding, the first row (of weight 0)."""
        table = self.edges.on_ports(jnp.arange(self.edges.m, dtype=jnp.int32), self.num_ports)
        return tree.map(lambda x: x[table[:, s]], values)

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Return self_weights own + the sum of each node's rows under weights [n, k].

        A zero weight silences NaN and Inf.
        """
        w = self.edges.by_port(weights)

        def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
            dtype = accumulator(x, whole(w, self_weights))
            total = self.edges._sum(silenced(w.astype(dtype), x.astype(dtype)), dtype)
            out = silenced(self_weights.astype(dtype), mine.astype(dtype)) + total
            return out.astype(summed(x, dtype))

        return tree.map(leaf, values, own)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """Return [n, k]: squared distance of each row to the own value of its node; 0 on padding."""
        gap = tree.sq_norm(tree.sub(self.edges.of_nodes(own), values))
        return self.edges.on_ports(gap, self.num_ports)


__all__ = ["EdgeList", "EdgeRows"]
