"""Federated: local steps between averages at a server."""

from ._dbw import Dbw as dbw
from ._favano import Favano as favano
from ._fedadam import FedAdagrad as fedadagrad, FedAdam as fedadam, FedYogi as fedyogi
from ._fedamd import FedAmd as fedamd
from ._fedavg import FedAvg as fedavg
from ._fedbuff import FedBuff as fedbuff
from ._feddyn import FedDyn as feddyn
from ._fedes import Fedes as fedes
from ._fednova import FedNova as fednova
from ._fedopt import FedOpt as fedopt
from ._fedprox import FedProx as fedprox
from ._heterofl import Heterofl as heterofl
from ._mime import Mime as mime
from ._plexus import Plexus as plexus
from ._savic import Savic as savic
from ._scaffnew import Scaffnew as scaffnew
from ._scaffold import Scaffold as scaffold

__all__ = [
    "dbw",
    "favano",
    "fedadagrad",
    "fedadam",
    "fedamd",
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
    "plexus",
    "savic",
    "scaffnew",
    "scaffold",
]
