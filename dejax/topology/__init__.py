"""Graphs, weight rules, time-varying sequences and spectral facts."""

from ._base_graph import base_graph as base_graph
from ._closed import binary_tree as binary_tree
from ._closed import chain as chain
from ._closed import complete as complete
from ._closed import directed_ring as directed_ring
from ._closed import exponential as exponential
from ._closed import grid as grid
from ._closed import hypercube as hypercube
from ._closed import isolated as isolated
from ._closed import ring as ring
from ._closed import star as star
from ._closed import torus as torus
from ._given import from_edges as from_edges
from ._given import from_matrix as from_matrix
from ._given import from_networkx as from_networkx
from ._plot import plot as plot
from ._plot import plot_graph as plot_graph
from ._plot import plot_spectrum as plot_spectrum
from ._random import barabasi_albert as barabasi_albert
from ._random import erdos_renyi as erdos_renyi
from ._random import geometric as geometric
from ._random import random_digraph as random_digraph
from ._random import random_regular as random_regular
from ._random import stochastic_block as stochastic_block
from ._random import watts_strogatz as watts_strogatz
from ._sequences import one_peer_exponential as one_peer_exponential
from ._sequences import one_peer_hypercube as one_peer_hypercube
from ._sequences import one_peer_ring as one_peer_ring
from ._sequences import random_matching as random_matching
from ._sized import Deferred as Deferred
from ._spectrum import effective_neighbours as effective_neighbours
from ._spectrum import facts as facts
from ._spectrum import mixing_time as mixing_time
from ._spectrum import period_matrix as period_matrix
from ._spectrum import rho as rho
from ._spectrum import spectrum as spectrum
from ._topology import Topology as Topology
from ._weights import BestConstant as best_constant
from ._weights import Constant as constant
from ._weights import DataSize as data_size
from ._weights import Lazy as lazy
from ._weights import MaxDegree as max_degree
from ._weights import Metropolis as metropolis
from ._weights import PushSum as push_sum
from ._weights import UniformNeighbour as uniform_neighbour

__all__ = [
    # graphs that stay
    "complete", "ring", "directed_ring", "chain", "torus", "grid", "hypercube", "exponential", "star", "binary_tree",
    "isolated",
    # drawn once
    "random_regular", "erdos_renyi", "barabasi_albert", "watts_strogatz", "stochastic_block", "geometric", "random_digraph",
    # changing with the phase
    "one_peer_exponential", "one_peer_ring", "one_peer_hypercube", "base_graph", "random_matching",
    # one's own
    "from_edges", "from_matrix", "from_networkx",
    # weight rules
    "metropolis", "max_degree", "constant", "best_constant", "uniform_neighbour", "data_size", "push_sum", "lazy",
    # facts and pictures
    "effective_neighbours", "facts", "mixing_time", "period_matrix", "plot", "plot_graph", "plot_spectrum", "rho", "spectrum",
    # types
    "Deferred", "Topology",
]  # fmt: skip
