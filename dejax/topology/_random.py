"""Random families: the same seed gives the same graph.

networkx draws most of them, and is imported only here.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import checks
from ..core.checks import in_, whole
from ..errors import FieldError, bad
from ._graph import Graph
from ._sized import FROM_DATA, sized
from ._topology import Topology, build
from ._weights import Metropolis, PushSum, Weights, weighted

TRIES = 100


def _probability(owner: str, field: str, p: float) -> float:
    return float(in_(0, 1, what="a probability")(f"{owner}.{field}", p))


def _degree(owner: str, degree: int, n: int, field: str = "degree") -> int:
    degree = whole(f"{owner}.{field}", degree)
    if degree >= n:
        raise bad(
            field,
            degree,
            owner=owner,
            says=f"is {degree} but n is {n}",
            why=f"and a node has only {n - 1} others",
            instead=f"give {field} < n",
        )
    return degree


def _undirected(n: int, graph: Any) -> Graph:
    pairs = np.array([(a, b) for a, b in graph.edges()], np.int64).reshape(-1, 2)
    return Graph.undirected(n, pairs[:, 0], pairs[:, 1])


def _connected(graph: Graph) -> bool:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(graph.receivers), np.int8)
    matrix = coo_array((ones, (graph.receivers, graph.senders)), shape=(graph.n, graph.n)).tocsr()
    return int(connected_components(matrix, connection="strong", return_labels=False)) == 1


def _draw(
    owner: str, draw: Callable[[int], Graph], seed: int, allow_disconnected: bool, advice: str, field: str
) -> Graph:  # fmt: skip
    """Draw graphs from `seed` until one is connected.

    The very first is taken where disconnected ones are welcome.
    """
    seed = checks.seed(f"{owner}.seed", seed)
    rng, n = np.random.default_rng(seed), 0
    for _ in range(TRIES):
        graph = draw(int(rng.integers(2**31)))
        n = graph.n
        if allow_disconnected or _connected(graph):
            return graph
    text = (
        f"{owner}: {TRIES} graphs of n = {n} were drawn and none is connected; {advice}, or say allow_disconnected=True"
    )
    raise FieldError(text, field=f"{owner}.{field}")


@sized
def random_regular(n: int = FROM_DATA, degree: int = 4, *, seed: int = 0, weights: Weights = Metropolis()) -> Topology:
    """A random connected graph in which each node has exactly `degree` neighbors.

    Weights are 1 / (degree + 1). With high probability
    rho <= (1 + 2 sqrt(degree - 1) + o(1)) / (degree + 1).

    Args:
      n: number of nodes; left out, it is filled in from the data.
      degree: d >= 1, below n; n * d is even.
      seed: of the draw.
      weights: weight rule.
    Reference: Friedman, A proof of Alon's second eigenvalue conjecture (2008), for the bound.
    Example:
      >>> random_regular(10, degree=3).max_degree
      3
    """
    import networkx as nx

    degree = _degree("random_regular", degree, n)
    if n * degree % 2:
        why = f"but n * degree is {n} * {degree} = {n * degree}, which is odd, and every edge has two ends"
        instead = f"use n = {n + 1} or degree = {degree - 1 if degree > 1 else 2}"
        raise bad("degree", degree, owner="random_regular", why=why, instead=instead)
    graph = _draw(
        "random_regular",
        lambda s: _undirected(n, nx.random_regular_graph(degree, n, seed=s)),
        seed,
        False,
        "give degree >= 3 (a graph of degree 1 is pairs, of degree 2 is cycles)",
        "degree",
    )
    return build("random_regular", weighted(graph, weights))


@sized
def erdos_renyi(
    n: int = FROM_DATA,
    p: float | None = None,
    *,
    seed: int = 0,
    weights: Weights = Metropolis(),
    allow_disconnected: bool = False,
) -> Topology:
    """Each pair of nodes is joined with probability p; drawn again until connected.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      p: probability in [0, 1]; left out, 2 ln(n) / n, twice the threshold of connectedness.
      seed: of the draw.
      weights: weight rule.
      allow_disconnected: take the first draw, whatever it is.
    Reference: Erdos and Renyi, On random graphs (1959); Gilbert, Random graphs (1959).
    Example:
      >>> erdos_renyi(20, p=0.3, seed=1).connected
      True
    """
    import networkx as nx

    p = min(1.0, 2 * math.log(n) / n) if p is None else _probability("erdos_renyi", "p", p)
    graph = _draw(
        "erdos_renyi",
        lambda s: _undirected(n, nx.fast_gnp_random_graph(n, p, seed=s)),
        seed,
        allow_disconnected,
        f"p is {p:.4g}: connected graphs need about p > ln(n) / n = {math.log(n) / n:.4g}; give a larger p",
        "p",
    )
    return build("erdos_renyi", weighted(graph, weights), allow_disconnected)


@sized
def barabasi_albert(n: int = FROM_DATA, m: int = 2, *, seed: int = 0, weights: Weights = Metropolis()) -> Topology:
    """Preferential attachment: a few hubs, many nodes of small degree.

    Each new node joins m earlier ones. Starts from a star of m + 1 nodes, so that there are m (n -
    m) edges; connected by construction.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      m: edges of each new node, >= 1 and below n.
      seed: of the draw.
      weights: weight rule.
    Reference: Barabasi and Albert, Emergence of scaling in random networks (1999).
    Example:
      >>> len(barabasi_albert(20, m=2).edges()) // 2
      36
    """
    import networkx as nx

    m = _degree("barabasi_albert", m, n, "m")
    seed = checks.seed("barabasi_albert.seed", seed)
    return build("barabasi_albert", weighted(_undirected(n, nx.barabasi_albert_graph(n, m, seed=seed)), weights))


@sized
def watts_strogatz(
    n: int = FROM_DATA,
    k: int = 4,
    beta: float = 0.1,
    *,
    seed: int = 0,
    weights: Weights = Metropolis(),
    allow_disconnected: bool = False,
) -> Topology:
    """A small world: a ring lattice, each edge of which is rewired with probability beta.

    In the lattice a node has k / 2 neighbors on each side. There are always n k / 2 edges. With
    beta = 0 the eigenvalues are (1 + 2 sum_j cos(2 pi q j / n)) / (k + 1), j to k / 2.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      k: even number of neighbors of the lattice, below n.
      beta: probability of rewiring, in [0, 1].
      seed: of the draw.
      weights: weight rule.
      allow_disconnected: take the first draw, whatever it is.
    Reference: Watts and Strogatz, Collective dynamics of small-world networks (1998).
    Example:
      >>> len(watts_strogatz(20, k=4, beta=0.2).edges()) // 2
      40
    """
    import networkx as nx

    k = _degree("watts_strogatz", k, n, "k")
    if k % 2:
        raise bad(
            "k",
            k,
            owner="watts_strogatz",
            why="which is odd, and both sides get k / 2 neighbors",
            instead=f"give {k + 1}",
        )
    _probability("watts_strogatz", "beta", beta)
    graph = _draw(
        "watts_strogatz",
        lambda s: _undirected(n, nx.watts_strogatz_graph(n, k, beta, seed=s)),
        seed,
        allow_disconnected,
        f"k is {k}; give a larger even k",
        "k",
    )
    return build("watts_strogatz", weighted(graph, weights), allow_disconnected)


@sized
def stochastic_block(
    n: int = FROM_DATA,
    *,
    blocks: int = 2,
    p_in: float = 0.5,
    p_out: float = 0.05,
    seed: int = 0,
    weights: Weights = Metropolis(),
    allow_disconnected: bool = False,
) -> Topology:
    """Communities: nodes are joined with probability p_in within a block, p_out across blocks.

    Node ids are consecutive within a block; block sizes differ by at most 1.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      blocks: number of communities, 1 to n.
      p_in, p_out: probabilities in [0, 1].
      seed: of the draw.
      weights: weight rule.
      allow_disconnected: take the first draw, whatever it is; p_out = 0 needs it.
    Reference: Holland, Laskey and Leinhardt, Stochastic blockmodels: first steps (1983).
    Example:
      >>> stochastic_block(20, blocks=2, p_in=0.8, p_out=0.1).n
      20
    """
    import networkx as nx

    blocks = whole("stochastic_block.blocks", blocks)
    if blocks > n:
        raise bad(
            "blocks",
            blocks,
            owner="stochastic_block",
            says=f"is {blocks} but n is {n}",
            instead="give at most n blocks",
        )
    _probability("stochastic_block", "p_in", p_in)
    _probability("stochastic_block", "p_out", p_out)
    sizes = [n // blocks + (b < n % blocks) for b in range(blocks)]
    p = [[p_in if a == b else p_out for b in range(blocks)] for a in range(blocks)]
    graph = _draw(
        "stochastic_block",
        lambda s: _undirected(n, nx.stochastic_block_model(sizes, p, seed=s)),
        seed,
        allow_disconnected,
        f"p_in is {p_in:g} and p_out is {p_out:g}; give larger ones",
        "p_in",
    )
    return build("stochastic_block", weighted(graph, weights), allow_disconnected)


@sized
def geometric(
    n: int = FROM_DATA,
    radius: float | None = None,
    *,
    seed: int = 0,
    weights: Weights = Metropolis(),
    allow_disconnected: bool = False,
) -> Topology:
    """Nodes at random places of the unit square, joined when closer than `radius`.

    The places are drawn again until the graph is connected.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      radius: > 0; left out, sqrt(2 ln(n) / (pi n)), above the threshold of connectedness.
      seed: of the draw.
      weights: weight rule.
      allow_disconnected: take the first draw, whatever it is.
    Reference: Gupta and Kumar, Critical power for asymptotic connectivity in wireless networks
      (1998).
    Example:
      >>> geometric(20, radius=0.5).connected
      True
    """
    from scipy.spatial import cKDTree

    radius = math.sqrt(2 * math.log(max(n, 2)) / (math.pi * n)) if radius is None else radius
    if not radius > 0:
        raise bad("radius", radius, owner="geometric", instead="give a distance > 0 in a square of side 1")

    def draw(s: int) -> Graph:
        points = np.random.default_rng(s).random((n, 2))
        pairs = cKDTree(points).query_pairs(radius, output_type="ndarray").reshape(-1, 2)
        return Graph.undirected(n, pairs[:, 0], pairs[:, 1])

    graph = _draw("geometric", draw, seed, allow_disconnected, f"radius is {radius:.4g}; give a larger one", "radius")
    return build("geometric", weighted(graph, weights), allow_disconnected)


@sized
def random_digraph(n: int = FROM_DATA, degree: int = 2, *, seed: int = 0, weights: Weights = PushSum()) -> Topology:
    """A random directed graph: each node sends to the next on a circle and to random others.

    The circle is drawn, and so are the `degree` - 1 others. Strongly connected by the circle;
    numbers of senders differ between nodes, so that no doubly stochastic weights are known locally:
    the default weights are column-stochastic, for push-sum methods.

    Args:
      n: number of nodes; left out, it is filled in from the data.
      degree: out-degree >= 1, below n.
      seed: of the draw.
      weights: weight rule; one for directed graphs (push_sum, uniform_neighbour).
    Example:
      >>> random_digraph(8, degree=2).kind
      'column'
    """
    degree = _degree("random_digraph", degree, n)

    seed = checks.seed("random_digraph.seed", seed)
    rng = np.random.default_rng(seed)
    i, circle = np.arange(n), rng.permutation(n)
    following = np.zeros(n, np.int64)
    following[circle] = np.roll(circle, -1)
    if degree - 1 > n // 4:
        score = rng.random((n, n))
        score[i, i], score[i, following] = 2, 2  # never among the others
        others = np.argsort(score, 1)[:, : degree - 1]
    else:
        others, redo = np.zeros((n, degree - 1), np.int64), i
        while len(redo):
            others[redo] = np.sort(rng.integers(0, n, (len(redo), degree - 1)), 1)
            rows = others[redo]
            taken = (rows == redo[:, None]) | (rows == following[redo][:, None])
            redo = redo[taken.any(1) | (np.diff(rows, axis=1) == 0).any(1)]
    receivers = np.concatenate([following[:, None], others], 1)
    graph = Graph.directed(n, receivers, np.broadcast_to(i[:, None], receivers.shape))
    return build("random_digraph", weighted(graph, weights))


__all__ = [
    "barabasi_albert", "erdos_renyi", "geometric", "random_digraph", "random_regular", "stochastic_block",
    "watts_strogatz",
]  # fmt: skip
