"""Graphs that change with the phase.

Each node sends one message per phase; over a period they agree fast.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..core.struct import static, struct
from ..core.types import Keys
from ..errors import bad
from ..mixing import Edges, NeighborLists
from ._closed import power_of_two
from ._sized import FROM_DATA, sized
from ._topology import Topology, build


def _alone(n: int) -> Edges:
    none = np.zeros(0, np.int64)
    return Edges(n, none, none, np.zeros(0), np.ones(n))


@sized
def one_peer_exponential(n: int = FROM_DATA) -> Topology:
    """Phase t: each node hears the one 2^(t mod tau) places on, with weight 1/2.

    There are tau = ceil(log2 n) phases. Directed, doubly stochastic. One period is exact averaging
    if n is a power of two, and a contraction otherwise.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
    Identity: W_{tau-1} ... W_0 = 11^T / n for n = 2^tau, in any order.
    Reference: Ying, Yuan, Chen, Hu, Pan and Yin, Exponential graph is provably efficient for
      decentralized deep training (NeurIPS 2021).
    Example:
      >>> one_peer_exponential(8).period
      3
    """
    if n == 1:
        return build("one_peer_exponential", _alone(1))
    tau = (n - 1).bit_length()
    i, half = np.arange(n), np.full(n, 0.5)
    return build("one_peer_exponential", [Edges(n, i, (i + 2**t) % n, half, half) for t in range(tau)])


def pairs(n: int, partner: np.ndarray) -> Edges:
    """Let each node average with its partner, 1/2 each.

    A node that is its own partner keeps its value.
    """
    i = np.flatnonzero(partner != np.arange(n))
    own = np.ones(n)
    own[i] = 0.5
    return Edges(n, i, partner[i], np.full(len(i), 0.5), own)


@sized
def one_peer_ring(n: int = FROM_DATA) -> Topology:
    """Pairs on a circle, which change in turn, with weights 1/2.

    Phases alternate between (0, 1)(2, 3)... and (1, 2)(3, 4)...(n-1, 0).

    Args:
      n: even number of nodes; left out, it is filled in from the data.
    Example:
      >>> one_peer_ring(4).edges(1).tolist()
      [[0, 3], [1, 2], [2, 1], [3, 0]]
    """
    if n % 2:
        raise bad(
            "n",
            n,
            owner="one_peer_ring",
            why="which is odd, so one node has no partner",
            instead=f"use {n + 1}, or ring()",
        )
    i = np.arange(n)
    return build("one_peer_ring", [pairs(n, i ^ 1), pairs(n, (((i - 1) % n ^ 1) + 1) % n)])


@sized
def one_peer_hypercube(n: int = FROM_DATA) -> Topology:
    """Phase t: node i averages with i XOR 2^(t mod k), n = 2^k.

    Symmetric matchings, weights 1/2.

    Args:
      n: number of nodes, a power of two; left out, it is filled in from the data.
    Identity: the product of k consecutive phases is 11^T / n exactly.
    Example:
      >>> one_peer_hypercube(4).edges(1).tolist()
      [[0, 2], [1, 3], [2, 0], [3, 1]]
    """
    k = power_of_two("one_peer_hypercube", n)
    i = np.arange(n)
    return build("one_peer_hypercube", [pairs(n, i ^ (1 << t)) for t in range(k)] or _alone(n))


@struct
class Matchings:
    """Random perfect matchings, drawn on the device: a key gives the links of one phase.

    Args:
      size: n, static. Of an odd n one node, another each time, stays alone.
    """

    size: int = static()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    num_ports = 1

    @property
    def max_degree(self) -> int:
        """Messages that a matched node sends."""
        return min(1, self.size - 1)

    @property
    def mean_degree(self) -> float:
        """Messages per node and phase."""
        return (self.size - self.size % 2) / self.size

    def draw(self, key: Keys) -> NeighborLists:
        """A uniform matching."""
        n = self.size
        order = jax.random.permutation(key, n).astype(jnp.int32)
        even = n - n % 2
        swapped = jnp.concatenate([order[:even].reshape(-1, 2)[:, ::-1].reshape(-1), order[even:]])
        partner = jnp.zeros((n,), jnp.int32).at[order].set(swapped)
        alone = partner == jnp.arange(n, dtype=jnp.int32)
        weight = jnp.where(alone, jnp.float32(0), jnp.float32(0.5))
        return NeighborLists(partner[:, None], weight[:, None], 1 - weight)


@sized
def random_matching(n: int = FROM_DATA) -> Topology:
    """Each phase pairs all nodes at random, with weights 1/2.

    One stays alone if n is odd. Pairs are drawn on the device.

    E[W^2] contracts the squared consensus distance by (n - 2) / (2 (n - 1)) per phase for even n.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
    Reference: Boyd, Ghosh, Prabhakar and Shah, Randomized gossip algorithms (2006).
    Example:
      >>> random_matching(6).period
      0
    """
    return Topology(Matchings(n), "random_matching", "doubly", symmetric=True, connected=True, period=0)


__all__ = ["Matchings", "one_peer_exponential", "one_peer_hypercube", "one_peer_ring", "pairs", "random_matching"]
