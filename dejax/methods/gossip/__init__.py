"""Gossip: models are averaged with those of neighbors."""

from ._dsgd import Dsgd as dsgd
from ._local_sgd import DFedAvgM as dfedavgm, LocalSgd as local_sgd
from ._relaysgd import RelaySgd as relaysgd

__all__ = ["dsgd", "dfedavgm", "local_sgd", "relaysgd"]
