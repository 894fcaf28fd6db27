"""Federated: local steps between averages at a server."""

from ._fedavg import FedAvg as fedavg
from ._scaffold import Scaffold as scaffold

__all__ = ["fedavg", "scaffold"]
