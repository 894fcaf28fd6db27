"""Kernels that apply a mixing matrix to a stacked population, and the rule that chooses one."""

from ._choose import choose as choose
from ._circulant import Circulant as Circulant, CirculantSequence as CirculantSequence
from ._dense import Complete as Complete, Dense as Dense
from ._edge_rows import EdgeList as EdgeList, EdgeRows as EdgeRows
from ._edges import Edges as Edges
from ._exchange import Wires as Wires, crossing as crossing, relabelling as relabelling
from ._halo import Everywhere as Everywhere, Halo as Halo, relabel as relabel
from ._hubs import Hubs as Hubs
from ._links import Links as Links
from ._slots import Slots as Slots

__all__ = [
    "Circulant",
    "CirculantSequence",
    "Complete",
    "Dense",
    "EdgeList",
    "EdgeRows",
    "Edges",
    "Everywhere",
    "Halo",
    "Hubs",
    "Links",
    "Slots",
    "Wires",
    "choose",
    "crossing",
    "relabel",
    "relabelling",
]
