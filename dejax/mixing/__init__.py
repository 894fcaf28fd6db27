"""Kernels that apply a mixing matrix to a stacked population, and the rule that chooses one."""

from .choose import choose as choose
from .edge_list import EdgeList as EdgeList, EdgeRows as EdgeRows
from .edges import Edges as Edges
from .kernels import (
    Circulant as Circulant,
    CirculantSequence as CirculantSequence,
    Complete as Complete,
    Dense as Dense,
    Hubs as Hubs,
    NeighborLists as NeighborLists,
)
from .late import Late as Late
from .links import DrawnLinks as DrawnLinks, Links as Links
from .sharded import (
    Everywhere as Everywhere,
    Halo as Halo,
    Routes as Routes,
    crossing as crossing,
    relabel as relabel,
    relabelling as relabelling,
)
from .star import Star as Star

__all__ = [
    "Circulant",
    "CirculantSequence",
    "Complete",
    "Dense",
    "DrawnLinks",
    "EdgeList",
    "EdgeRows",
    "Edges",
    "Everywhere",
    "Halo",
    "Hubs",
    "Late",
    "Links",
    "NeighborLists",
    "Star",
    "Routes",
    "choose",
    "crossing",
    "relabel",
    "relabelling",
]
