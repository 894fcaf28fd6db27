"""EquiTopo: circulant graphs of random offsets, whose mean is exact averaging.

With P_u the shift by u places (row i hears node i + u), A(u) = I / n + (1 - 1 / n) P_u, and the mean
of A(u) over u = 1 .. n - 1 is J = 11^T / n. So a few random offsets are near J for every n.
Reference: Song, Li, Jin, Shi, Yan, Yin and Yuan, Communication-efficient topologies for
decentralized learning with O(1) consensus rate (NeurIPS 2022).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..core import checks
from ..core.checks import choice, in_, whole
from ..core.struct import grows, static, struct
from ..core.types import Keys
from ..mixing import Edges, NeighborLists
from ._graph import Graph
from ._random import _draw
from ._sized import FROM_DATA, sized
from ._topology import Topology, build


@sized
def equi_static(n: int = FROM_DATA, *, draws: int = 8, directed: bool = True, seed: int = 0) -> Topology:
    """The mean of A(u) over a few offsets u, drawn once: D-EquiStatic, or U-EquiStatic.

    W = (1/M) sum_m A(u_m), offsets uniform in 1 .. n - 1 with replacement; undirected, each A(u) is
    the mean of itself and its transpose. Doubly stochastic; M = 8 ln(2 n / p) / (3 eps^2) draws give
    rho < eps with probability 1 - p. Draws with a common divisor of n leave the graph in parts, and
    are repeated.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      draws: M >= 1; a node hears at most M others, twice as many if undirected.
      directed: D-EquiStatic; False: U-EquiStatic, whose W is symmetric.
      seed: of the draw.
    Identity: every offset once gives W = J.
    Reference: Song et al., Communication-efficient topologies for decentralized learning with O(1)
      consensus rate (NeurIPS 2022).
    Example:
      >>> equi_static(16, draws=3).kind
      'doubly'
    """
    draws = whole("equi_static.draws", draws)
    directed = choice(True, False)("equi_static.directed", directed)
    if n == 1:
        return build("equi_static", _alone())

    def offsets(s: int) -> np.ndarray:
        return np.random.default_rng(s).integers(1, n, draws)

    seeds: list[int] = []

    def graph(s: int) -> Graph:
        seeds.append(s)
        i = np.arange(n)
        return Graph.directed(n, np.tile(i, draws), np.concatenate([(i + u) % n for u in offsets(s)]))

    _draw("equi_static", graph, seed, False, f"draws is {draws}; give more", "draws")
    return build("equi_static", equi_edges(n, offsets(seeds[-1]), directed))


def _alone() -> Edges:
    none = np.zeros(0, np.int64)
    return Edges(1, none, none, np.zeros(0), np.ones(1))


def equi_edges(n: int, offsets: np.ndarray, directed: bool = True) -> Edges:
    """The mean of A(u) over these offsets as edges; of each and its transpose if not directed."""
    both = offsets if directed else np.concatenate([offsets, n - offsets])
    known, times = np.unique(both, return_counts=True)
    share = times / len(both) * (n - 1) / n
    i = np.repeat(np.arange(n), len(known))
    return Edges.sorted(n, i, (i + np.tile(known, n)) % n, np.tile(share, n), np.full(n, 1 - share.sum()))


@struct
class OnePeerEqui:
    """One offset in each phase, drawn on the device: a key gives the links of one phase.

    Args:
      offsets: int32 [M], of which each phase takes one.
      size: n. eta: the share of A(u). directed: every node hears one; False: disjoint pairs. All
        static.
    """

    offsets: jax.Array = grows()
    size: int = static()
    eta: float = static()
    directed: bool = static()

    num_ports = 1
    max_degree = 1

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    @property
    def mean_degree(self) -> float:
        """Messages per node and phase, over the offsets."""
        if self.directed:
            return 1.0
        alone = [np.asarray(partners(self.size, u, 0) == np.arange(self.size)) for u in np.asarray(self.offsets)]
        return 1.0 - float(np.mean(alone))

    def draw(self, key: Keys) -> NeighborLists:
        """Take one of the offsets, and a place to begin where nodes pair up."""
        one, two = jax.random.split(key)
        offsets = jnp.asarray(self.offsets)
        u = offsets[jax.random.randint(one, (), 0, offsets.shape[0])]
        return self.links(u, jax.random.randint(two, (), 0, self.size))

    def links(self, u: jax.Array | int, first: jax.Array | int = 0) -> NeighborLists:
        """W of offset u, pairs formed from node `first` on."""
        i, n = jnp.arange(self.size, dtype=jnp.int32), self.size
        partner = (i + u) % n if self.directed else partners(n, u, first)
        weight = jnp.where(partner == i, 0.0, self.eta * (n - 1) / n)
        return NeighborLists(partner[:, None].astype(jnp.int32), weight[:, None], 1 - weight)


def partners(n: int, u: jax.Array | int, first: jax.Array | int) -> jax.Array:
    """Return int32 [n]: the partner of each node, itself if it stays alone.

    Nodes are visited in a circle from `first` on, and i pairs up with i + u where both are free. In
    closed form: in that order blocks of u nodes pair up two by two. Where u > n / 2, with v = n - u,
    the first v pair up with the last v, and of those between, blocks of v pair up two by two.
    """
    i = jnp.arange(n, dtype=jnp.int32)
    j, v = (i - first) % n, jnp.minimum(u, n - u)
    far, block = u > n - u, j // v
    # u <= n / 2: even blocks with the next one
    near = jnp.where(block % 2 == 1, j - v, jnp.where(j + v < n, j + v, j))
    # u > n / 2: the outer blocks with each other, and odd blocks between them with the next one
    inner = jnp.where(block % 2 == 0, j - v, jnp.where(j + v < n - v, j + v, j))
    wide = jnp.where(j < v, j + n - v, jnp.where(j >= n - v, j - (n - v), inner))
    return ((jnp.where(far, wide, near) + first) % n).astype(jnp.int32)


@sized
def equi_dynamic(
    n: int = FROM_DATA, *, eta: float = 0.5, directed: bool = True, basis: int | None = None, seed: int = 0
) -> Topology:
    """One message per node and phase, from a random offset: OD-EquiDyn, or OU-EquiDyn.

    Phase t draws u: W_t = (1 - eta) I + eta A(u). Undirected, nodes pair up: from a random node on, i
    with i + u where both are free; one that finds nobody keeps its value. Doubly stochastic; the
    expected contraction depends on eta and not on n. Drawn on the device.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
      eta: in (0, 1], the share of A(u); static.
      directed: OD-EquiDyn; False: OU-EquiDyn, whose W_t are symmetric.
      basis: how many offsets are drawn beforehand, of which each phase takes one; None: all 1 ..
        n - 1.
      seed: of the basis.
    Identity: E[W_t] = (1 - eta) I + eta J, if directed and with all offsets.
    Reference: Song et al., Communication-efficient topologies for decentralized learning with O(1)
      consensus rate (NeurIPS 2022).
    Example:
      >>> equi_dynamic(16).max_degree
      1
    """
    eta = float(in_(0, 1, "(]")("equi_dynamic.eta", eta))
    directed = choice(True, False)("equi_dynamic.directed", directed)
    basis = None if basis is None else whole("equi_dynamic.basis", basis)
    seed = checks.seed("equi_dynamic.seed", seed)
    if n == 1:
        return build("equi_dynamic", _alone())
    if basis is None:
        offsets = np.arange(1, n, dtype=np.int32)
    else:
        offsets = np.random.default_rng(seed).integers(1, n, basis).astype(np.int32)
    connected = np.gcd.reduce(np.append(offsets, n)) == 1
    links = OnePeerEqui(offsets, n, eta, directed)
    return Topology(links, "equi_dynamic", "doubly", symmetric=not directed, connected=bool(connected), period=0)


__all__ = ["OnePeerEqui", "equi_dynamic", "equi_edges", "equi_static", "partners"]
