"""Nodes on a mesh of devices: which node stands where, and what is sharded.

The mesh has the axes `runs` (several seeds) and `nodes`. Everything with a node axis is sharded
along `nodes`, data arrays are replicated. Node code runs on each device for its own rows
(`Place.on_devices`), the rest of a round is split by the compiler; rows cross between devices in
mixing kernels and means only.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec as P

from .. import mixing
from ..core import tree
from ..core.architectures import Architectures
from ..core.byte_sizes import array_bytes
from ..core.fields import per_node, unsaid
from ..core.struct import static, struct
from ..core.types import Method, Network, Problem, Topology, Tree, Values
from ..xla.erase_mesh import erase_mesh
from . import processes
from .mesh import NODES, RUNS, Layout, as_layout, check_runs, fitting, in_runs, layout, on_paper


@struct
class Place:
    """Where the nodes of a problem stand.

    Args:
      ids: int32 [n], the node at each position of the node axis; None: node i stands at position i.
      mesh: the devices, axes `runs` and `nodes`; static.
    """

    ids: Any
    mesh: Any = static()

    @property
    def devices(self) -> int:
        """Devices along the node axis."""
        return self.mesh.shape[NODES]

    def sharding(self, has: bool = True, lead: tuple[Any, ...] = ()) -> NamedSharding:
        """Of a leaf with a node axis (`has`), after the axes `lead`, or of one without."""
        return NamedSharding(self.mesh, P(*lead, NODES) if has else P(*lead))

    def of(self, has: bool, x: Any, lead: tuple[Any, ...] = ()) -> NamedSharding:
        """Of a leaf or its shape: a stack that the devices do not divide is whole on each."""
        return self.sharding(has and x.shape[len(lead)] % self.devices == 0, lead)

    def constrain(self, axes: Tree, values: Tree) -> Any:
        """Shard leaves with a node axis (True in `axes`) along it, inside a program.

        The others are on every device.
        """
        return tree.map(lambda has, x: jax.lax.with_sharding_constraint(x, self.of(has, x)), axes, values)

    def replicate(self, values: Tree) -> Any:
        """Inside a program: all of it on every device."""
        return self.constrain(tree.map(lambda _: False, values), values)

    def rows(self, m: int) -> int:
        """Return how many of m rows a device computes: those that it holds.

        Of a cohort that devices do not divide: one more.
        """
        return -(-m // self.devices)

    def on_devices(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make `fn` [m, ...] -> [m, ...], which acts row by row, run on each device's own rows.

        Where the devices divide m it may also give one row per device, e.g. a sum: [D, ...]. A loop
        over nodes must stand in here: of one that it splits by itself, the compiler gathers all
        rows on every device.
        """
        nodes = P(NODES)
        split = jax.shard_map(fn, mesh=self.mesh, in_specs=nodes, out_specs=nodes, check_vma=False)
        # jit makes what fn closes over an argument; else a vmap over `runs` would mistake its size
        split = jax.jit(split, inline=True)

        def run(*trees: Tree) -> Any:
            m = tree.leaves(trees)[0].shape[0]
            filled = self.rows(m) * self.devices
            if filled == m:
                return erase_mesh(split(*trees))
            trees = tree.map(lambda x: x[jnp.arange(filled) % m], trees)  # some rows twice, and cut off again
            # whole on every device: jaxlib of jax 0.7 adds up wrongly what is split unevenly and
            # reshaped
            return erase_mesh(self.replicate(tree.map(lambda x: x[:m], split(*trees))))

        return run

    def positions(self) -> Any:
        """int32 [n]: where each node stands; None where node i stands at i."""
        if self.ids is None:
            return None
        return jnp.zeros_like(self.ids).at[self.ids].set(jnp.arange(self.ids.shape[0], dtype=self.ids.dtype))

    def in_order(self, axes: Tree, values: Tree, lead: int = 0) -> Any:
        """Rows by node id again (after `lead` axes)."""
        return self._moved(self.positions(), axes, values, lead)

    def to_places(self, axes: Tree, values: Tree, lead: int = 0) -> Any:
        """Rows by position, of rows by node id."""
        return self._moved(self.ids, axes, values, lead)

    def _moved(self, at: Tree, axes: Tree, values: Tree, lead: int) -> Any:
        if at is None:
            return values
        lead_axes = (RUNS,) * lead

        def one(has: bool, x: Values) -> Any:
            if not has:
                return x
            return jax.lax.with_sharding_constraint(jnp.take(x, at, axis=lead), self.sharding(True, lead_axes))

        return tree.map(one, axes, values)


def place_array(x: Tree, sharding: NamedSharding) -> Any:
    """Place an array, the same on every process, on the mesh.

    Where the devices are on paper: return its shape instead.
    """
    if isinstance(sharding.mesh, AbstractMesh) and not isinstance(x, Tracer):
        x = np.asarray(x) if isinstance(x, (bool, int, float)) else x
        return jax.ShapeDtypeStruct(x.shape, jax.dtypes.canonicalize_dtype(x.dtype, True), sharding=sharding)
    if isinstance(x, Tracer):
        return jax.lax.with_sharding_constraint(x, sharding)
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        impl = jax.random.key_impl(x)
        return jax.random.wrap_key_data(place_array(jax.random.key_data(x), sharding), impl=impl)
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return jax.device_put(x, sharding)
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    host = np.asarray(x)
    host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def at_places(x: Values, place: Place) -> Any:
    """Rows [n, ...] by node id, each on the device where its node stands."""
    split, ids = place.of(True, x), place.ids
    if ids is None:
        return place_array(x, split)
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        rows = at_places(jax.random.key_data(x), place)
        return jax.random.wrap_key_data(rows, impl=jax.random.key_impl(x))
    traced = isinstance(ids, Tracer) or isinstance(x, Tracer)
    if traced or (isinstance(x, jax.Array) and not x.is_fully_addressable):
        return place_array(jnp.asarray(x)[ids], split)
    host = np.asarray(x)
    host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)
    own = {_first(shard.index): np.asarray(shard.data) for shard in ids.addressable_shards}
    return jax.make_array_from_callback(host.shape, split, lambda index: host[own[_first(index)]])


def _first(index: Any) -> int:
    """The first row of a device's part."""
    return index[0].start or 0


def axis_of(x: Values) -> int | None:
    """The axis of an array, or a shape, that the devices of the node axis divide; None: none."""
    spec = getattr(getattr(x, "sharding", None), "spec", ())
    return next((i for i, name in enumerate(spec) if name == NODES), None)


def here(place: Place | None, host: bool = True) -> int:
    """Count the devices of a mesh on this host, whose memory they share; 1 without a mesh.

    With `host=False`: those of this process. Devices on paper are taken to lie as those of the job
    do; before processes have met, all as on this host.
    """
    if place is None:
        return 1
    names, mine = processes.hosts() if host else [], jax.process_index()
    near = lambda d: names[d.process_index] == names[mine] if host else d.process_index == mine
    devices = jax.devices() if isinstance(place.mesh, AbstractMesh) else list(place.mesh.devices.flat)
    return max(1, -(-place.mesh.size * sum(map(near, devices)) // len(devices)))


def bytes_of(x: Values) -> int:
    """Bytes of an array, or a shape, on one device."""
    if not isinstance(getattr(x, "sharding", None), NamedSharding):
        return array_bytes(x)
    return array_bytes(jax.ShapeDtypeStruct(x.sharding.shard_shape(x.shape), x.dtype))


def replicate(values: Tree, mesh: Mesh) -> Any:
    """A tree on every device."""
    return tree.map(lambda x: place_array(x, NamedSharding(mesh, P())), values)


def shard(method: Method, problem: Problem, network: Network, given: Layout) -> tuple[Any, Any]:
    """Shard a prepared problem and network over a mesh.

    Nodes get their places, kernels exchange rows, arrays with a node axis are divided.

    Warns:
      UserWarning: the devices do not divide the nodes; fewer devices are used.
    """
    mesh, topology, order, phases = order_of(method, problem, network, given)
    if _halo(network, mesh):
        links = (
            mixing.Halo.build(phases, mesh, NODES, order)
            if phases
            else mixing.Everywhere(topology.links, mixing.Routes(mesh, NODES, None, 0))
        )
        topology = dataclasses.replace(topology, links=links)
    place = Place(None if order is None else place_array(order, NamedSharding(mesh, P(NODES))), mesh)
    split = place.sharding()
    data, messages = problem.data, network.messages
    if messages is not None:
        messages = messages if order is None else messages[:, order]
    rows = lambda x: place_array(x if order is None else x[order], split)
    data = dataclasses.replace(
        data,
        arrays=replicate(data.arrays, mesh),
        public=None if data.public is None else replicate(data.public, mesh),
        pixels=None if data.pixels is None else replicate(data.pixels, mesh),
        index=rows(data.index),
        count=rows(data.count),
        validation=None if data.validation is None else replicate(data.validation, mesh),
        validation_index=None if data.validation_index is None else rows(data.validation_index),
        validation_count=None if data.validation_count is None else rows(data.validation_count),
        test=None,
        test_index=None,
        test_count=None,
        facts=None,
    )
    rest = dataclasses.replace(problem, data=None, place=None)
    problem = dataclasses.replace(replicate(rest, mesh), data=data, place=place)
    rest = replicate(dataclasses.replace(network, topology=None, messages=None), mesh)
    if messages is not None:
        messages = place_array(messages, place.sharding(True, (None,)))
    return problem, dataclasses.replace(rest, topology=_laid_out(topology, place), messages=messages)


def order_of(method: Method, problem: Problem, network: Network, given: Layout) -> tuple[Mesh, Any, Any, list[Any]]:
    """Choose the order of nodes on a mesh.

    Returns:
      (the mesh whose devices divide the nodes, topology, int32 [n]: the node at each position or
      None, the phases of the topology on the host).
    """
    mesh, topology, order = fitting(given.mesh, problem.n), network.topology, None
    if not _halo(network, mesh):
        return mesh, topology, None, []
    phases = [topology.host(p) for p in range(topology.period)] if topology.period else []
    stacked = isinstance(problem.task, Architectures)  # whose rows are by id
    if phases and given.relabel and not stacked and not _by_row(problem.n, method, network):
        order = mixing.relabel(phases, mesh.shape[NODES])
    return mesh, topology, order, phases


def _by_row(n: int, method: Method, network: Network) -> bool:
    """Return whether numbers are, or may be, given per node: then row i must stay node i.

    A field of n rows of which nothing is said is right in either reading where nodes keep their order.
    """
    given = method, dataclasses.replace(network, topology=None, messages=None)
    return per_node(*given) or bool(unsaid(n, *given))


def _halo(network: Network, mesh: Mesh) -> bool:
    """Return whether the topology gets a kernel that exchanges rows.

    Otherwise the compiler splits the kernel of one device.
    """
    top = network.topology
    if top is None or network.events is not None or network.edges is not None or mesh.shape[NODES] == 1:
        return False
    if any(isinstance(x, Tracer) for x in tree.leaves(top)):
        return False
    if top.period and top.links.one_product:  # fine as it is
        linear = network.rule.linear and (network.attack is None or network.attack.hook != "message")
        return not linear and top.n <= 4096
    return True


def _laid_out(topology: Topology, place: Place) -> Any:
    """Place a topology: weights and lists sharded along their node axis, all else replicated.

    The node axis stands after the period's.
    """
    if topology is None:
        return None
    links = topology.links
    split = bool(topology.period) and links.split

    def one(x: Values) -> Any:
        return place_array(x, place.sharding(True, (None,)) if split and jnp.ndim(x) > 1 else place.sharding(False))

    return dataclasses.replace(topology, links=tree.map(one, links))


__all__ = [
    "NODES",
    "RUNS",
    "Layout",
    "Place",
    "as_layout",
    "at_places",
    "axis_of",
    "bytes_of",
    "check_runs",
    "in_runs",
    "layout",
    "on_paper",
    "order_of",
    "place_array",
    "replicate",
    "shard",
]
