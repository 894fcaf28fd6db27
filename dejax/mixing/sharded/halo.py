"""Any W on nodes in blocks on devices: exchange the rows that others need, then sum locally."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec as P

from ...core import tree
from ...core.struct import grows, static, struct
from ...core.types import Dtype, Keys, Tree, Values
from ...xla.erase_mesh import erase_mesh
from ...xla.take_rows import take_rows
from ..edges import Edges
from ..links import DrawnLinks, Links, accumulator, plain, silenced, sum_ports, summed, whole
from .routes import Routes, crossing, needed, relabelling, rounds_of, schedule


@struct
class Halo(Links):
    """Neighbor lists over sharded rows: each device holds n / D of them and receives a few more.

    The lists come in levels, as those of `Hubs`. Level 0 holds all nodes, level b the nodes of each
    device with more than starts[b] senders, padded to the device that has most of them. Position i
    of the node axis is not node i where nodes were relabelled: `ids` says which it is.

    Args:
      own: [n] self weights.
      index: per level int32 [rows, width]: place of the sender in the spread rows of this device.
      sender: per level int32 [rows, width]: its position in 0..n-1.
      weight: per level [rows, width]; 0 on padding, which points to the own row (level 0) or row 0.
      rows: per level above 0 int32 [D m_b]: local row of each, n / D on padding.
      send: int32 [D, W]: local rows that a device sends, round after round.
      phase: int32 scalar: which rounds to take.
      ids: int32 [n], the node at each position; None: node i stands at i.
      routes: who sends to whom. starts: first port of each level. widest: k. All three static.
    """

    own: Any = grows()
    index: tuple[Any, ...] = grows()
    sender: tuple[Any, ...] = grows()
    weight: tuple[Any, ...] = grows()
    rows: tuple[Any, ...] = grows()
    send: Any = grows()
    phase: Any
    ids: Any = grows()
    routes: Routes = static()
    starts: tuple[int, ...] = static()
    widest: int = static()

    split = True

    @staticmethod
    def build(phases: list[Edges], mesh: Any, axis: str, order: np.ndarray | None = None) -> "Halo":
        """From the edges of each phase of a period, with a leading period axis on every leaf.

        Args:
          phases: W_t on the host, by node id. mesh, axis: the devices; their number divides n.
          order: int32 [n], the node at each position; None: as they are.
        """
        n, devices = phases[0].n, mesh.shape[axis]
        edges = [_renamed(e, order) for e in phases]
        starts, widths = _levels(np.max([e.in_degrees() for e in edges], 0))
        needs = [needed(e.senders, e.receivers, n, devices) for e in edges]
        rounds = rounds_of(needs)
        extra = max(sum(width for _, width in phase) for phase in rounds)
        if extra >= n - n // devices:  # as many rows as an all-gather, or more
            routes = Routes(mesh, axis, None, 0)
            where = [e.senders.astype(np.int32) for e in edges]
            send = np.zeros((len(edges), devices, 0), np.int32)
        else:
            routes = Routes(mesh, axis, tuple(map(tuple, rounds)), extra)
            each = rounds if len(rounds) == len(edges) else rounds * len(edges)
            plans = [
                schedule(e.senders, e.receivers, n, need, r) for e, need, r in zip(edges, needs, each, strict=True)
            ]
            where = [w for _, w in plans]
            send = np.stack([np.pad(s, ((0, 0), (0, extra - s.shape[1]))) for s, _ in plans])
        tables = [
            _tables(e, w, starts, widths, devices, routes.rounds is None) for e, w in zip(edges, where, strict=True)
        ]
        block = n // devices
        tall = [max(_most(t[3][b] // block, devices) for t in tables) for b in range(len(starts) - 1)]
        index, sender, weight, rows = _stacked([_padded(t, tall, devices, block) for t in tables])
        ids = None if order is None else np.broadcast_to(order.astype(np.int32), (len(edges), n))
        own = np.stack([e.own for e in edges])
        count = np.arange(len(edges), dtype=np.int32)
        return Halo(own, index, sender, weight, rows, send, count, ids, routes, starts, starts[-1] + widths[-1])

    @property
    def n(self) -> int:
        """Number of nodes (within `_local`: of this device)."""
        return self.own.shape[-1]

    @property
    def num_ports(self) -> int:
        """k."""
        return self.widest

    def senders(self) -> jax.Array:
        """[n, k] positions of the senders."""
        own = jnp.arange(self.n, dtype=jnp.int32)
        return self._local(lambda me, own: me._wide(me.sender, jnp.broadcast_to(own[:, None], (me.n, me.widest))), own)

    def weights(self) -> jax.Array:
        """[n, k]."""
        return self._local(lambda me: me._wide(me.weight, jnp.zeros((me.n, me.widest), me.own.dtype)))

    def self_weights(self) -> jax.Array:
        """[n]."""
        return self.own

    def ends(self) -> tuple[jax.Array, jax.Array]:
        """Node ids: where nodes were relabelled, positions are not ids."""
        receivers, senders = super().ends()
        return (receivers, senders) if self.ids is None else (self.ids[receivers], self.ids[senders])

    # ---- the one exchange
    def with_neighbors(self, values: Tree) -> Any:
        """Return each device's own rows and those that it needs of others: [D E, ...], sharded."""
        return self._local(lambda me, x: me._extend(x), values)

    def _extend(self, values: Tree) -> Any:
        """Within a device: [n / D, ...] -> [E, ...]."""
        routes = self.routes
        if routes.rounds is None:
            return tree.map(lambda x: lax.all_gather(x, routes.axis, axis=0, tiled=True), values)
        branches = [lambda x, rounds=rounds: self._permute(x, rounds) for rounds in routes.rounds]
        return branches[0](values) if len(branches) == 1 else lax.switch(self.phase, branches, values)

    def _permute(self, values: Tree, rounds: Any) -> Any:
        leaves, structure = jax.tree.flatten(values)
        parts: list[list[jax.Array]] = [[x] for x in leaves]
        dtypes = list(dict.fromkeys(x.dtype for x in leaves))
        start = 0
        for pairs, width in rounds:
            rows = self.send[0, start : start + width]
            for dtype in dtypes:  # all leaves of one dtype travel together
                which = [i for i, x in enumerate(leaves) if x.dtype == dtype]
                cut = [take_rows(leaves[i], rows) for i in which]
                got = lax.ppermute(tree.flat(cut), self.routes.axis, pairs)
                for i, part in zip(which, tree.unflat(got, cut), strict=True):
                    parts[i].append(part)
            start += width
        if start < self.routes.extra:
            for part in parts:
                part.append(jnp.zeros((self.routes.extra - start, *part[0].shape[1:]), part[0].dtype))
        return jax.tree.unflatten(structure, [jnp.concatenate(part) if len(part) > 1 else part[0] for part in parts])

    def _held(self, values: Tree) -> Any:
        """Spread values, whether or not they are already."""
        return values if tree.leaves(values)[0].shape[0] != self.n else self.with_neighbors(values)

    def _mine(self, ext: Tree) -> Any:
        """Within a device: its own rows of spread ones."""
        if self.routes.rounds is None:
            start = lax.axis_index(self.routes.axis) * self.n
            return tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, self.n, 0), ext)
        return tree.map(lambda x: x[: self.n], ext)

    # ---- local work
    def take(self, values: Tree, s: int | Values) -> Any:
        """Row i of the result is the row of the sender on port s."""

        def local(me: "Halo", ext: Tree) -> Any:
            at = me._own_place()
            index = me._wide(me.index, jnp.broadcast_to(at[:, None], (me.n, me.widest)))[:, s]
            return tree.map(lambda x: take_rows(x, index), ext)

        return self._local(local, self._held(values))

    def mix(self, values: Tree) -> Any:
        """W values."""
        return self._local(lambda me, x: me._sum(me._extend(x), x, me.weight, me.own, plain), values)

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Weights [n, k] of the caller's own on these links."""

        def local(me: "Halo", ext: Any, weights: jax.Array, self_weights: jax.Array, own: Tree) -> Any:
            own = me._mine(ext) if own is None else own
            return me._sum(ext, own, me._by_level(weights), self_weights, silenced)

        return self._local(local, self._held(values), weights, self_weights, own)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """[n, k]."""

        def local(me: "Halo", ext: Tree, own: Tree) -> jax.Array:
            own = me._mine(ext) if own is None else own
            columns = []
            for b, index in enumerate(me.index):
                mine = own if b == 0 else tree.map(lambda x, b=b: x.at[me.rows[b - 1]].get(mode="clip"), own)
                # one port after another, as in `port_sq_distances`
                columns.append(lax.map(lambda at, mine=mine: _gaps(mine, ext, at), index.T).T)
            return me._wide(tuple(columns), jnp.zeros((me.n, me.widest), columns[0].dtype))

        return self._local(local, self._held(values), own)

    def fold(self, fn: Callable[..., Any], carry: Tree, values: Tree) -> Any:
        """Over ports, in order, after one exchange."""
        return super().fold(fn, carry, self._held(values))

    def _sum(self, ext: Tree, own: Tree, weight: Any, self_weights: jax.Array, times: Callable[..., Any]) -> Any:
        def leaf(x: jax.Array, mine: jax.Array) -> jax.Array:
            dtype = accumulator(x, whole(self_weights, *weight))

            def part(b: int, mine: jax.Array, self_weights: jax.Array) -> jax.Array:
                index, w = self.index[b], weight[b]
                take, share = lambda x, s: take_rows(x, index[:, s]), lambda s: w[:, s]
                return sum_ports(take, x, mine, share, self_weights, index.shape[1], times, dtype)

            out = part(0, mine, self_weights)
            for b, rows in enumerate(self.rows, 1):
                none = jnp.zeros((self.index[b].shape[0], *x.shape[1:]), dtype)
                out = out.at[rows].add(part(b, none, jnp.zeros((), dtype)), mode="drop")
            return out.astype(summed(x, dtype))

        return tree.map(leaf, ext, own)

    def _own_place(self) -> jax.Array:
        """Within a device: where its own rows lie among the spread ones."""
        first = lax.axis_index(self.routes.axis).astype(jnp.int32) * self.n if self.routes.rounds is None else 0
        return jnp.arange(self.n, dtype=jnp.int32) + first

    def _wide(self, levels: tuple[jax.Array, ...], padding: jax.Array) -> jax.Array:
        """[n, k] from level tables; `padding` [n, k] where a node does not reach a level."""
        if len(levels) == 1:
            return levels[0]
        for b, level in enumerate(levels):
            span = slice(self.starts[b], self.starts[b] + level.shape[1])
            padding = (
                padding.at[:, span].set(level) if b == 0 else padding.at[self.rows[b - 1], span].set(level, mode="drop")
            )
        return padding

    def _by_level(self, weights: jax.Array) -> tuple[jax.Array, ...]:
        out = []
        for b, index in enumerate(self.index):
            span = slice(self.starts[b], self.starts[b] + index.shape[1])
            out.append(weights[:, span] if b == 0 else weights[:, span].at[self.rows[b - 1]].get(mode="clip"))
        return tuple(out)

    def _local(self, fn: Callable[..., Any], *trees: Tree) -> Any:
        """Call fn(this device's part of the kernel, its rows of trees) on every device."""
        nodes = P(self.routes.axis)
        mine = tree.map(lambda x: nodes if jnp.ndim(x) else P(), self)
        run = jax.shard_map(
            fn, mesh=self.routes.mesh, in_specs=(mine, *[nodes] * len(trees)), out_specs=nodes, check_vma=False
        )
        return erase_mesh(run(self, *trees))


@struct
class Everywhere(DrawnLinks):
    """Graphs drawn afresh in each phase, on devices.

    The draw is not known beforehand, so each device gets all rows.

    Args:
      links: what draws neighbor lists, `draw(key) -> NeighborLists`.
      routes: the devices; `rounds` is None; static.
    """

    links: Any
    routes: Routes = static()

    def draw(self, key: Keys) -> Halo:
        """The links of one phase."""
        return gathered(self.links.draw(key), self.routes)


def relabel(phases: list[Edges], devices: int) -> np.ndarray | None:
    """Return the node at each position, int32 [n], so that few rows cross; None: as they are."""
    n = phases[0].n
    real = [e.weights != 0 for e in phases]
    senders = np.concatenate([e.senders[r] for e, r in zip(phases, real, strict=True)])
    receivers = np.concatenate([e.receivers[r] for e, r in zip(phases, real, strict=True)])
    order = relabelling(senders, receivers, n, devices)
    if order is None or len(phases) == 1:
        return order

    def rows(edges: list[Edges]) -> int:
        return sum(crossing(e.senders, e.receivers, n, devices) for e in edges)

    return order if rows([_renamed(e, order) for e in phases]) < rows([_renamed(e, None) for e in phases]) else None


def gathered(ports: Any, routes: Routes) -> Halo:
    """Make a kernel of `NeighborLists` with unknown senders: each device gets all rows."""
    index, send = (ports.senders(),), jnp.zeros((routes.devices, 0), jnp.int32)
    weight = (ports.weights(),)
    return Halo(
        ports.self_weights(), index, index, weight, (), send, jnp.int32(0), None, routes, (0,), index[0].shape[1]
    )


def _renamed(e: Edges, order: np.ndarray | None) -> Edges:
    real = e.weights != 0
    receivers, senders, weights = e.receivers[real], e.senders[real], e.weights[real]
    if order is None:
        return Edges.sorted(e.n, receivers, senders, weights, e.own)
    at = np.empty(e.n, np.int64)
    at[order] = np.arange(e.n)
    return Edges.sorted(e.n, at[receivers], at[senders], weights, e.own[order])


def _levels(degree: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose first ports and widths of the levels: the median degree, then doubling."""
    widest = max(1, int(degree.max()))
    base = widest if widest <= 2 * max(1, float(degree.mean())) else max(1, int(np.median(degree)))
    starts, widths = [0], [base]
    while starts[-1] + widths[-1] < widest:
        start = starts[-1] + widths[-1]
        starts.append(start)
        widths.append(min(start, widest - start))
    return tuple(starts), tuple(widths)


def _tables(
    e: Edges, where: np.ndarray, starts: Tree, widths: Any, devices: int, whole: bool
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Return index, sender, weight of each level, and the positions of rows above level 0."""
    n, port = e.n, e.positions()
    ids = np.arange(n, dtype=np.int32)
    own = ids if whole else ids % (n // devices)
    index, sender, weight, rows = [], [], [], []
    degree = e.in_degrees()
    for b, (start, width) in enumerate(zip(starts, widths, strict=True)):
        members = ids if b == 0 else np.flatnonzero(degree > start)
        at = np.full(n, -1)
        at[members] = np.arange(len(members))
        here = (port >= start) & (port < start + width)
        r, s = at[e.receivers[here]], port[here] - start
        tables = (
            np.repeat(own[members][:, None], width, 1),
            np.repeat(ids[members][:, None], width, 1),
            np.zeros((len(members), width)),
        )
        for table, values in zip(tables, (where[here], e.senders[here], e.weights[here]), strict=True):
            table[r, s] = values
        for out, table in zip((index, sender, weight), tables, strict=True):
            out.append(table)
        if b:
            rows.append(members)
    return index, sender, weight, rows


def _most(device: np.ndarray, devices: int) -> int:
    return int(np.bincount(device, minlength=devices).max())


def _padded(tables: Any, tall: list[int], devices: int, block: int) -> Any:
    """Every device gets `tall[b]` rows of level b; padding drops."""
    index, sender, weight, rows = tables
    out: Any = ([index[0]], [sender[0]], [weight[0]], [])
    for b, members in enumerate(rows):
        spot = np.full(devices * tall[b], block, np.int32)
        new = [np.zeros((devices * tall[b], t[b + 1].shape[1]), t[b + 1].dtype) for t in (index, sender, weight)]
        device = members // block
        at = device * tall[b] + np.arange(len(members)) - np.searchsorted(device, device)
        spot[at] = members % block
        for table, source in zip(new, (index, sender, weight), strict=True):
            table[at] = source[b + 1]
        for target, table in zip(out, (*new, spot), strict=True):
            target.append(table)
    return out


def _stacked(phases: list[Any]) -> Any:
    def kind(which: int, dtype: Dtype) -> Any:
        levels = zip(*(p[which] for p in phases), strict=True)
        return tuple(np.stack(x).astype(dtype) for x in levels)

    return kind(0, np.int32), kind(1, np.int32), kind(2, np.float64), kind(3, np.int32)


def _gaps(mine: Tree, ext: Tree, index: jax.Array) -> Any:
    def leaf(m: jax.Array, x: jax.Array) -> jax.Array:
        dtype = accumulator(x)
        gap = m.astype(dtype) - take_rows(x, index).astype(dtype)
        return jnp.sum(jnp.square(gap.reshape(gap.shape[0], -1)), 1)

    parts = tree.leaves(tree.map(leaf, mine, ext))
    return sum(parts[1:], parts[0])


__all__ = ["Everywhere", "Halo", "gathered", "relabel"]
