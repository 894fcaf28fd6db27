"""Graphs, weight rules, time-varying sequences and spectral facts."""

from ._base_graph import base_graph as base_graph
from ._closed import (
    binary_tree as binary_tree,
    chain as chain,
    complete as complete,
    directed_ring as directed_ring,
    exponential as exponential,
    grid as grid,
    hypercube as hypercube,
    isolated as isolated,
    ring as ring,
    star as star,
    torus as torus,
)
from ._drawn import from_draw as from_draw
from ._edge_rates import edge_rates as edge_rates
from ._equi import equi_dynamic as equi_dynamic, equi_static as equi_static
from ._fastest import FastestMixing as fmmc
from ._given import from_edges as from_edges, from_matrix as from_matrix, from_networkx as from_networkx
from ._peers import fresh_regular as fresh_regular, random_peers as random_peers
from ._plot import plot as plot, plot_graph as plot_graph, plot_spectrum as plot_spectrum
from ._random import (
    barabasi_albert as barabasi_albert,
    erdos_renyi as erdos_renyi,
    geometric as geometric,
    random_digraph as random_digraph,
    random_regular as random_regular,
    stochastic_block as stochastic_block,
    watts_strogatz as watts_strogatz,
)
from ._sequences import (
    one_peer_exponential as one_peer_exponential,
    one_peer_hypercube as one_peer_hypercube,
    one_peer_ring as one_peer_ring,
    random_matching as random_matching,
)
from ._sized import Deferred as Deferred
from ._spectrum import (
    effective_neighbours as effective_neighbours,
    facts as facts,
    in_words as in_words,
    least_eigenvalue as least_eigenvalue,
    mixing_time as mixing_time,
    period_matrix as period_matrix,
    rho as rho,
    spectrum as spectrum,
)
from ._topology import Topology as Topology
from ._weights import (
    BestConstant as best_constant,
    Constant as constant,
    DataSize as data_size,
    DegreeSorted as degree_sorted,
    Lazy as lazy,
    MaxDegree as max_degree,
    Metropolis as metropolis,
    PushSum as push_sum,
    UniformNeighbour as uniform_neighbour,
)

__all__ = [
    # graphs that stay
    "complete", "ring", "directed_ring", "chain", "torus", "grid", "hypercube", "exponential", "star", "binary_tree",
    "isolated",
    # drawn once
    "random_regular", "erdos_renyi", "barabasi_albert", "watts_strogatz", "stochastic_block", "geometric", "random_digraph",
    "equi_static",
    # changing with the phase
    "one_peer_exponential", "one_peer_ring", "one_peer_hypercube", "base_graph", "random_matching",
    "equi_dynamic", "fresh_regular", "random_peers",
    # one's own
    "from_draw", "from_edges", "from_matrix", "from_networkx",
    # weight rules
    "metropolis", "max_degree", "constant", "best_constant", "degree_sorted", "uniform_neighbour", "data_size", "push_sum",
    "lazy", "fmmc",
    # facts and pictures
    "edge_rates", "effective_neighbours", "facts", "least_eigenvalue", "mixing_time", "period_matrix", "plot", "plot_graph", "plot_spectrum",
    "rho", "spectrum",
    # types
    "Deferred", "Topology",
]  # fmt: skip
