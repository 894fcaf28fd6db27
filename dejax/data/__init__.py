"""Data: sources, partitioners that hand samples to nodes, and per-node sampling on the device."""

from . import sampling as sampling
from ._dataset import Dataset as Dataset
from ._dirichlet import Dirichlet as dirichlet
from ._dirichlet import DirichletByClass as dirichlet_by_class
from ._embedded import digits as digits
from ._embedded import letters as letters
from ._iid import Iid as iid
from ._nodes import NodeData as NodeData
from ._parts import Parts as Parts

__all__ = ["Dataset", "NodeData", "Parts", "digits", "dirichlet", "dirichlet_by_class", "iid", "letters", "sampling"]
