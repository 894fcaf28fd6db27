"""Graphs, weight rules, time-varying sequences and spectral facts."""

from ._closed import complete as complete
from ._closed import ring as ring
from ._sequences import one_peer_exponential as one_peer_exponential
from ._sized import Deferred as Deferred
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
    "Deferred", "Topology", "best_constant", "complete", "constant", "data_size", "lazy", "max_degree", "metropolis",
    "one_peer_exponential", "push_sum", "ring", "uniform_neighbour",
]  # fmt: skip
