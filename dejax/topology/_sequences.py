"""Graphs that change with the phase: few messages per phase, fast agreement over a period."""

import numpy as np

from ..mixing import Edges
from ._sized import sized
from ._topology import Topology, build


@sized
def one_peer_exponential(n: int | None = None) -> Topology:
    """Phase t: each node hears the one 2^(t mod tau) places on, with weight 1/2; tau = ceil(log2 n) phases.

    Directed, doubly stochastic. One period is exact averaging if n is a power of two, and a contraction otherwise.

    Args:
      n: number of nodes >= 1; left out, it is filled in from the data.
    Identity: W_{tau-1} ... W_0 = 11^T / n for n = 2^tau, in any order.
    Reference: Ying, Yuan, Chen, Hu, Pan and Yin, Exponential graph is provably efficient for decentralized deep training
      (NeurIPS 2021).
    Example:
      >>> one_peer_exponential(8).period
      3
    """
    tau = max(1, (n - 1).bit_length())
    i = np.arange(n)
    half = np.full(n, 0.5)
    if n == 1:
        none = np.zeros(0, np.int64)
        return build("one_peer_exponential", Edges(1, none, none, np.zeros(0), np.ones(1)))
    return build("one_peer_exponential", [Edges(n, i, (i + 2**t) % n, half, half) for t in range(tau)])


__all__ = ["one_peer_exponential"]
