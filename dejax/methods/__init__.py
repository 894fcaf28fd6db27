"""Training methods: one file per family; each is two pure functions, init and step."""

from ._ad_psgd import AdPsgd as ad_psgd
from ._baselines import Centralized as centralized, LocalOnly as local_only
from ._choco import Choco as choco
from ._dsgd import Dsgd as dsgd
from ._fedavg import FedAvg as fedavg
from ._gradient_tracking import GradientTracking as gradient_tracking
from ._ifca import Ifca as ifca
from ._local_sgd import DFedAvgM as dfedavgm, LocalSgd as local_sgd
from ._relaysgd import RelaySgd as relaysgd
from ._scaffold import Scaffold as scaffold
from ._sgp import Sgp as sgp

__all__ = [
    "ad_psgd",
    "centralized",
    "choco",
    "dfedavgm",
    "dsgd",
    "fedavg",
    "gradient_tracking",
    "ifca",
    "local_only",
    "local_sgd",
    "relaysgd",
    "scaffold",
    "sgp",
]
