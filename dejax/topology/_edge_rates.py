"""How often each edge of a topology should be used where pairs meet at random times."""

import numpy as np

from ..mixing.edge_rates import EdgeRates, fewest_meetings
from ._topology import Topology


def edge_rates(topology: Topology, *, steps: int = 300) -> EdgeRates:
    """Find the fewest meetings per second that accelerated gossip needs, edge by edge.

    `connectivity` of the result is the `chi` of `dejax.methods.dadao`. See `dejax.mixing.edge_rates`.

    Args:
      topology: a connected undirected graph that stays. steps: of the descent, 0 for equal shares.
    Raises:
      ValueError: a graph that is not connected.
    Reference: Nabli and Oyallon, DADAO: decoupled accelerated decentralized asynchronous optimization, 2023.
    Example:
      >>> bool(edge_rates(ring(4)).rates.std() < 1e-6)
      True
    """
    return fewest_meetings(topology.n, np.asarray(topology.edges()), steps)


__all__ = ["edge_rates"]
