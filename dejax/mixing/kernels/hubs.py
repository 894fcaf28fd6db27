"""W of graphs with a few hubs: nobody is padded to the degree of the largest.

All nodes share `base` ports, as many as they have senders on average: a port that pads reads the
row that its node has just read, and is cheaper than a level. Nodes of higher degree reappear in
levels: level b holds the nodes with more than `starts[b]` senders and the next `widths[b]` ports of
each, and a level adds its sums to its rows of the level below: an indexed add of few rows
(Barabasi-Albert, n = 8,192, 64 MB on a busy 2-core CPU: 1.8 times one copy of X, where a gather by
all nodes of the level below took 4.4). Widths double, so the work stays within twice the edges.
Nodes that hear a good part of all are dense rows [h, n]: all of them together read X once.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core import tree
from ...core.struct import grows, static, struct
from ...core.types import Tree, Values
from ...xla.take_rows import take_rows
from ..edges import Edges
from ..links import Links, accumulator, plain, silenced, sum_ports, summed, whole
from .dense import matmul, silent_matmul

DENSE_ABOVE, DENSE_SHARE = (
    128,
    1 / 8,
)  # senders, and share of all nodes: rows of higher degree than both are multiplied as dense rows


@struct
class Hubs(Links):
    """Degree buckets with power-of-two widths, and dense rows for the hubs.

    Args:
      own: [n] self weights.
      senders_, weight: edges [m], sorted by receiver; ports of a node are its edges in order.
      first: int32 [n] where a node's edges begin. degree: int32 [n].
      rows: per level int32 [m_b], the nodes in it; `rows[0]` is all nodes.
      up: per level but the last int32 [m_{b+1}], where the nodes of the next level stand in this
        one, ascending.
      hubs: int32 [h], nodes with dense rows, ascending; `hub_up` int32 [n], the place of a node
        among them, h for "none".
      starts, widths: ports of each level, static. widest: k, static.
    """

    own: jax.Array = grows()
    senders_: jax.Array = grows()
    weight: jax.Array = grows()
    first: jax.Array = grows()
    degree: jax.Array = grows()
    rows: tuple[jax.Array, ...] = grows()
    up: tuple[jax.Array, ...] = grows()
    hubs: jax.Array = grows()
    hub_up: jax.Array = grows()
    starts: tuple[int, ...] = static()
    widths: tuple[int, ...] = static()
    widest: int = static()

    @staticmethod
    def build(e: Edges) -> "Hubs":
        """From edges on the host."""
        degree = e.in_degrees()
        n, widest = e.n, int(degree.max())
        first = np.concatenate([[0], np.cumsum(degree)[:-1]]) if n else np.zeros(0)
        is_hub = degree > max(DENSE_ABOVE, DENSE_SHARE * n)
        rest = np.where(is_hub, 0, degree)
        base = max(1, int(np.ceil(rest.mean())))
        starts, widths, rows = [0], [base], [np.arange(n)]
        while (rest > starts[-1] + widths[-1]).any():
            start = starts[-1] + widths[-1]
            starts.append(start)
            widths.append(min(start, int(rest.max()) - start))
            rows.append(np.flatnonzero(rest > start))
        up = []
        for lower, upper in itertools.pairwise(rows):
            up.append(np.searchsorted(lower, upper).astype(np.int32))
        hubs = np.flatnonzero(is_hub)
        hub_up = np.full(n, len(hubs))
        hub_up[hubs] = np.arange(len(hubs))
        i32 = lambda x: np.asarray(x, np.int32)
        return Hubs(
            e.own.copy(), i32(e.senders), e.weights.copy(), i32(first), i32(degree), tuple(map(i32, rows)), tuple(up),
            i32(hubs), i32(hub_up), tuple(starts), tuple(widths), widest,
        )  # fmt: skip

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.own.shape[-1]

    @property
    def num_ports(self) -> int:
        """k, the largest degree: port arrays [n, k] are formed only where a rule asks for them."""
        return self.widest

    def _edge(self, rows: jax.Array, s: int | Values) -> tuple[jax.Array, jax.Array]:
        """Return the position of port s of each of `rows` in the edge list, and whether it exists.

        Shapes broadcast.
        """
        degree, first = self.degree[rows], self.first[rows]
        if jnp.ndim(s):
            degree, first = degree[:, None], first[:, None]
        real = s < degree
        return jnp.where(real, first + s, 0), real

    def senders(self) -> jax.Array:
        """[n, k]."""
        ids = jnp.arange(self.n, dtype=jnp.int32)
        at, real = self._edge(ids, jnp.arange(self.widest, dtype=jnp.int32)[None])
        return jnp.where(real, self.senders_[at], ids[:, None])

    def weights(self) -> jax.Array:
        """[n, k]."""
        at, real = self._edge(jnp.arange(self.n), jnp.arange(self.widest, dtype=jnp.int32)[None])
        return jnp.where(real, self.weight[at], jnp.zeros((), self.weight.dtype))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return self.own

    def _sender(self, rows: jax.Array, s: int | Values) -> jax.Array:
        at, real = self._edge(rows, s)
        return jnp.where(real, self.senders_[at], rows)

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row senders[i, s] at row i."""
        index = self._sender(jnp.arange(self.n, dtype=jnp.int32), s)
        return tree.map(lambda x: take_rows(x, index), values)

    def mix(self, values: Tree) -> Any:
        """W values."""

        def weight(rows: jax.Array, ports: jax.Array) -> jax.Array:
            at, real = self._edge(rows, ports)
            is_hub = self.hub_up[rows] < self.hubs.shape[0]
            return jnp.where(real & ~is_hub[:, None], self.weight[at], jnp.zeros((), self.weight.dtype))

        # the edges of the hubs, as dense rows without ports
        ports = jnp.arange(self.widest if self.hubs.shape[0] else 0, dtype=jnp.int32)[None]
        at, real = self._edge(self.hubs, ports)
        dense = self._dense_rows(jnp.where(real, self.weight[at], jnp.zeros((), self.weight.dtype)))
        return self._apply(values, values, weight, self.own, dense, plain, matmul)

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Apply the caller's weights [n, k].

        A hub that weighs a non-finite row gets NaN in the whole leaf.
        """
        is_hub = self.hub_up < self.hubs.shape[0]

        def weight(rows: jax.Array, ports: jax.Array) -> jax.Array:
            return jnp.where(is_hub[rows][:, None], jnp.zeros((), weights.dtype), weights[rows[:, None], ports])

        dense = self._dense_rows(weights[self.hubs])
        own = values if own is None else own
        return self._apply(values, own, weight, self_weights, dense, silenced, silent_matmul)

    def _dense_rows(self, weights: jax.Array) -> jax.Array:
        """[h, n] from the port weights [h, k] of the hubs."""
        h = self.hubs.shape[0]
        weights = weights.astype(jnp.promote_types(weights.dtype, jnp.int8))  # bools cannot be added
        zero = jnp.zeros((h, self.n), weights.dtype)
        if not h:
            return zero
        at, real = self._edge(self.hubs, jnp.arange(self.widest, dtype=jnp.int32)[None])
        senders = jnp.where(real, self.senders_[at], 0)
        return zero.at[jnp.arange(h)[:, None], senders].add(jnp.where(real, weights, jnp.zeros((), weights.dtype)))

    def _apply(
        self, values: Tree, own: Tree, weight: Callable[..., Any], self_weights: jax.Array, dense: jax.Array,
        times: Callable[..., Any], product: Callable[..., Any],
    ) -> Any:  # fmt: skip
        h = self.hubs.shape[0]
        levels = []  # senders and weights [m_b, width] of each level, once for all leaves
        for rows, start, width in zip(self.rows, self.starts, self.widths, strict=True):
            ports = jnp.arange(start, start + width, dtype=jnp.int32)[None]
            at, real = self._edge(rows, ports)
            levels.append((jnp.where(real, self.senders_[at], rows[:, None]), weight(rows, ports)))

        def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
            dtype = accumulator(x, whole(dense, self_weights))
            above = None
            for b in range(len(self.rows) - 1, -1, -1):
                index, level = levels[b]
                out = sum_ports(
                    lambda x, s, index=index: take_rows(x, index[:, s]),
                    x,
                    mine if b == 0 else jnp.zeros((index.shape[0], *x.shape[1:]), dtype),
                    lambda s, level=level: level[:, s],
                    self_weights if b == 0 else jnp.zeros((), dtype),
                    self.widths[b],
                    times,
                    dtype,
                )
                if above is not None:
                    out = out.at[self.up[b]].add(above, indices_are_sorted=True, unique_indices=True)
                above = out
            if h:
                above = above.at[self.hubs].add(product(dense, x), indices_are_sorted=True, unique_indices=True)
            return above.astype(summed(x, dtype))

        return tree.map(leaf, values, own)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """[n, k]: differences edge by edge within each level; hubs one after another."""
        own = values if own is None else own
        out = None

        def gaps(x: jax.Array, mine: jax.Array, rows: jax.Array, s: int | Values) -> jax.Array:
            dtype = accumulator(x)
            gap = take_rows(mine, rows).astype(dtype) - take_rows(x, self._sender(rows, s)).astype(dtype)
            return jnp.sum(jnp.square(gap.reshape(gap.shape[0], -1)), 1)

        def total(rows: jax.Array, s: int | Values) -> jax.Array:
            parts = tree.leaves(tree.map(lambda x, mine: gaps(x, mine, rows, s), values, own))
            return sum(parts[1:], parts[0])

        columns = []
        for rows, start, width in zip(self.rows, self.starts, self.widths, strict=True):
            ports = jnp.arange(start, start + width, dtype=jnp.int32)
            level = jax.lax.map(lambda s, rows=rows: total(rows, s), ports).T  # [m_b, width]
            full = jnp.zeros((self.n, width), level.dtype).at[rows].set(level)
            columns.append(full)
        out = jnp.concatenate(columns, 1)
        out = jnp.pad(out, ((0, 0), (0, max(0, self.widest - out.shape[1]))))[:, : self.widest]
        if self.hubs.shape[0]:

            def hub(i: jax.Array) -> jax.Array:
                """Squared distances of one hub to all nodes [n], then those of its ports [k]."""

                def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
                    dtype = accumulator(x)
                    gap = x.astype(dtype) - mine[i].astype(dtype)[None]
                    return jnp.sum(jnp.square(gap.reshape(gap.shape[0], -1)), 1)

                parts = tree.leaves(tree.map(leaf, values, own))
                at, real = self._edge(i[None], jnp.arange(self.widest, dtype=jnp.int32)[None])
                return sum(parts[1:], parts[0])[jnp.where(real, self.senders_[at], i)[0]]

            out = out.at[self.hubs].set(jax.lax.map(hub, self.hubs))
        return out

    def host_edges(self) -> Edges:
        """The list of edges as it stands."""
        receivers = np.repeat(np.arange(self.n), np.asarray(self.degree))
        weight, own = (np.asarray(x, np.float64) for x in (self.weight, self.own))
        return Edges(self.n, receivers, np.asarray(self.senders_), weight, own)


__all__ = ["Hubs"]
