"""Data: sources, partitions of samples over nodes, batches drawn on the device."""

from . import partitions, sampling as sampling, sources, synthetic
from .dataset import Dataset as Dataset
from .nodes import NodeData as NodeData
from .partitions import *
from .parts import Parts as Parts
from .pixels import Pixels as Pixels
from .sources import *
from .synthetic import *
from .synthetic.problem import Synthetic as Synthetic

__all__ = [
    "Dataset",
    "NodeData",
    "Parts",
    "Pixels",
    "Synthetic",
    "sampling",
    *partitions.__all__,
    *sources.__all__,
    *synthetic.__all__,
]
