"""Federated: local steps between averages at a server."""

from ._fedadam import FedAdagrad as fedadagrad, FedAdam as fedadam, FedYogi as fedyogi
from ._fedavg import FedAvg as fedavg
from ._fedbuff import FedBuff as fedbuff
from ._feddyn import FedDyn as feddyn
from ._fedes import Fedes as fedes
from ._fednova import FedNova as fednova
from ._fedopt import FedOpt as fedopt
from ._fedprox import FedProx as fedprox
from ._heterofl import Heterofl as heterofl
from ._mime import Mime as mime
from ._scaffnew import Scaffnew as scaffnew
from ._scaffold import Scaffold as scaffold

__all__ = [
    "fedadagrad",
    "fedadam",
    "fedavg",
    "fedbuff",
    "feddyn",
    "fedes",
    "fednova",
    "fedopt",
    "fedprox",
    "fedyogi",
    "heterofl",
    "mime",
    "scaffnew",
    "scaffold",
]
