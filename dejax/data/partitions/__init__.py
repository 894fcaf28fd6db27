"""Partitions: which rows each node holds."""

from ._by_group import ByGroup as by_group
from ._dirichlet import Dirichlet as dirichlet, DirichletByClass as dirichlet_by_class
from ._iid import Iid as iid
from ._overlapping import Overlapping as overlapping
from ._quantity import PowerLaw as power_law, Quantity as quantity
from ._rotation import Rotation as rotation
from ._shards import ClassesPerNode as classes_per_node, Shards as shards

__all__ = [
    "by_group",
    "dirichlet",
    "dirichlet_by_class",
    "iid",
    "overlapping",
    "power_law",
    "quantity",
    "rotation",
    "classes_per_node",
    "shards",
]
