"""Gossip: models are averaged with those of neighbors."""

from ._decent_adam import DecentAdam as decent_adam
from ._decentlam import DecentLam as decentlam
from ._dfedsam import DFedSam as dfedsam
from ._dsgd import Dsgd as dsgd
from ._gossip_aga import GossipAga as gossip_aga
from ._gossip_learning import GossipLearning as gossip_learning
from ._gossip_pga import GossipPga as gossip_pga
from ._local_sgd import DFedAvgM as dfedavgm, LocalSgd as local_sgd
from ._qg_dsgdm import QgDsgdm as qg_dsgdm
from ._relaysgd import RelaySgd as relaysgd
from ._scheduled_sgd import ScheduledSgd as scheduled_sgd
from ._semi_decentralized import SemiDecentralized as semi_decentralized
from ._variance_corrected import VarianceCorrected as variance_corrected

__all__ = [
    "decent_adam",
    "decentlam",
    "dfedavgm",
    "dfedsam",
    "dsgd",
    "gossip_aga",
    "gossip_learning",
    "gossip_pga",
    "local_sgd",
    "qg_dsgdm",
    "relaysgd",
    "scheduled_sgd",
    "semi_decentralized",
    "variance_corrected",
]
