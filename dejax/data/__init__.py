"""Data: sources, partitioners that hand samples to nodes, and per-node sampling on the device."""

from . import sampling as sampling
from ._by_group import ByGroup as by_group
from ._dataset import Dataset as Dataset
from ._dirichlet import Dirichlet as dirichlet, DirichletByClass as dirichlet_by_class
from ._embedded import digits as digits, letters as letters
from ._idx import fashion_mnist as fashion_mnist, from_idx as from_idx
from ._iid import Iid as iid
from ._logistic import logistic as logistic
from ._nodes import NodeData as NodeData
from ._overlapping import Overlapping as overlapping
from ._own import from_arrays as from_arrays, from_clients as from_clients, from_npz as from_npz
from ._parts import Parts as Parts
from ._quantity import PowerLaw as power_law, Quantity as quantity
from ._rotation import Rotation as rotation
from ._shards import ClassesPerNode as classes_per_node, Shards as shards
from ._squares import (
    consensus as consensus,
    equal_quadratics as equal_quadratics,
    least_squares as least_squares,
    quadratics as quadratics,
)
from ._synthetic import Synthetic as Synthetic

__all__ = [
    "Dataset",
    "NodeData",
    "Parts",
    "Synthetic",
    "by_group",
    "classes_per_node",
    "consensus",
    "digits",
    "dirichlet",
    "dirichlet_by_class",
    "equal_quadratics",
    "fashion_mnist",
    "from_arrays",
    "from_clients",
    "from_idx",
    "from_npz",
    "iid",
    "least_squares",
    "letters",
    "logistic",
    "overlapping",
    "power_law",
    "quadratics",
    "quantity",
    "rotation",
    "sampling",
    "shards",
]
