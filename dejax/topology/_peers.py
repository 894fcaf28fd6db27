"""Other neighbors in each round: the graphs of Epidemic Learning, drawn on the device.

Epidemic Learning is local SGD on these graphs: any method of gossip may use them.
Reference: de Vos, Farhadkhani, Guerraoui, Kermarrec, Pires and Sharma, Epidemic learning: boosting
decentralized learning with randomized communication (NeurIPS 2023).
"""

import jax
import jax.numpy as jnp

from ..core.struct import static, struct
from ..core.types import Keys
from ..errors import bad
from ..mixing import DrawnLinks, NeighborLists
from ..mixing.kernels.dense import Dense
from ._random import _degree, random_regular
from ._sequences import Matchings
from ._sized import FROM_DATA, sized
from ._topology import Topology
from ._weights import Metropolis

MOST = 8192  # nodes of `random_peers`, whose W of n^2 numbers is drawn in each phase


@struct
class Relabelled(DrawnLinks):
    """One graph whose nodes change places at random: a key gives the links of one phase.

    Args:
      links: neighbor lists [n, k] of the graph.
      degree: the largest number of messages that a node sends; static.
      mean: messages per node and phase; static.
    """

    links: NeighborLists
    degree: int = static()
    mean: float = static()

    @property
    def max_degree(self) -> int:
        """Messages that a node sends, at most."""
        return self.degree

    @property
    def mean_degree(self) -> float:
        """Messages per node and phase."""
        return self.mean

    def draw(self, key: Keys) -> NeighborLists:
        """P W P^T for a uniform permutation P."""
        taken = jax.random.permutation(key, self.n).astype(jnp.int32)  # who takes the place of each node
        links = self.links
        index = taken[jnp.asarray(links.index)]
        place = jnp.argsort(taken)
        return NeighborLists(index[place], jnp.asarray(links.weight)[place], jnp.asarray(links.own)[place])


@sized
def fresh_regular(n: int = FROM_DATA, *, degree: int = 4, seed: int = 0) -> Topology:
    """Another random regular graph in each phase, with weights 1 / (degree + 1): EL-Oracle.

    The nodes of one random regular graph change places at random, on the device. So every edge is
    as likely as any other, and phases are independent; over seeds each phase is uniform among the
    connected regular graphs, while phases of one run have one shape. Doubly stochastic, symmetric.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      degree: neighbors of each node, below n; n times degree is even.
      seed: of the graph that is relabelled.
    Identity: E[W^2] contracts the squared consensus distance by (n - degree - 1) / ((degree + 1)
      (n - 1)), about 1 / (degree + 1), in each phase. degree = n - 1 is W = J.
    Reference: de Vos et al., Epidemic learning: boosting decentralized learning with randomized
      communication (NeurIPS 2023).
    Example:
      >>> fresh_regular(8, degree=3).kind
      'doubly'
    """
    degree = _degree("fresh_regular", degree, n)
    if degree == 1 and n % 2 == 0:
        return Topology(Matchings(n), "fresh_regular", "doubly", symmetric=True, connected=True, period=0)
    graph = random_regular(n, degree=degree, seed=seed, weights=Metropolis())
    own = graph.host()
    lists = NeighborLists(own.senders.reshape(n, degree).astype("int32"), own.weights.reshape(n, degree), own.own)
    links = Relabelled(lists, degree, float(degree))
    return Topology(links, "fresh_regular", "doubly", symmetric=True, connected=True, period=0)


@struct
class Pushes:
    """Every node sends to `peers` random others; a key gives the links of one phase.

    Args:
      size: n. peers: how many others each node sends to. Both static.
    """

    size: int = static()
    peers: int = static()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    @property
    def num_ports(self) -> int:
        """n - 1: all others may send to one node."""
        return self.size - 1

    @property
    def max_degree(self) -> int:
        """Messages that a node sends."""
        return self.peers

    @property
    def mean_degree(self) -> float:
        """Messages per node and phase."""
        return float(self.peers)

    def draw(self, key: Keys) -> Dense:
        """W[i, j] = 1 / (1 + r_i) where j sends to i or is i; r_i is how many send to i."""
        n, i = self.size, jnp.arange(self.size)
        score = jax.random.uniform(key, (n, n), jnp.float32).at[i, i].set(-1)
        _, receivers = jax.lax.top_k(score, self.peers)  # [n, peers], of sender i
        heard = jnp.eye(n).at[receivers, i[:, None]].set(1)
        return Dense(heard / heard.sum(1, keepdims=True))


@sized
def random_peers(n: int = FROM_DATA, *, peers: int = 2) -> Topology:
    """Send to `peers` random others in each phase, which average what they get: EL-Local.

    Receivers are drawn on the device, uniformly and without replacement. Row-stochastic: a node that
    gets r models gives 1 / (1 + r) to each and to its own, so that the mean is kept in expectation
    only. The kernel is dense, [n, n].

    Args:
      n: number of nodes, at most 8,192; left out, it is filled in from the data.
      peers: how many others each node sends to, below n.
    Identity: r is Binomial(n - 1, peers / (n - 1)); peers = n - 1 is W = J.
    Reference: de Vos et al., Epidemic learning: boosting decentralized learning with randomized
      communication (NeurIPS 2023).
    Example:
      >>> random_peers(8, peers=3).kind
      'row'
    """
    peers = _degree("random_peers", peers, n, "peers")
    if n > MOST:
        raise bad(
            "n", n, owner="random_peers", why=f"and W has n^2 numbers, drawn in each phase, at most {MOST}^2",
            instead="use fresh_regular(), whose memory grows with n alone",
        )  # fmt: skip
    return Topology(Pushes(n, peers), "random_peers", "row", symmetric=False, connected=True, period=0)


__all__ = ["Pushes", "Relabelled", "fresh_regular", "random_peers"]
