"""The wires of the channel: neighbors, what was heard of them, edges, copies and server.

Each says who sends to whom, what the rows are and who remembers.

| wire | rows | memory | what arrives, `mask` | a value becomes |
|---|---|---|---|---|
| Neighbors | nodes [n, ...] | per node | [n, k], by the kernel's ports | one message per neighbor, all alike |
| Heard | nodes | per node; per edge what came last | [n, k] | the same, kept where nothing new comes |
| Edges | directed edges [m, ...] | per edge | [m] | one message |
| CopiesPerEdge | nodes, then edges | per edge | [m] for the codec | one message per neighbor, each another |
| Server | nodes, or a cohort | per node | [n] | one upload, and downloads |
"""

from .copies import CopiesPerEdge as CopiesPerEdge
from .edges import Edges as Edges, edge_slot as edge_slot
from .heard import Heard as Heard
from .neighbors import Neighbors as Neighbors
from .server import Server as Server
from .wire import Wire as Wire

__all__ = ["CopiesPerEdge", "Edges", "Heard", "Neighbors", "Server", "Wire", "edge_slot"]
