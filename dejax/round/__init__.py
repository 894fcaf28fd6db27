"""The Round given to methods, and what stands behind its verbs."""

from .context import Context as Context
from .meters import NO_NODE as NO_NODE, Meters as Meters
from .received import Received as Received, ReceivedRows as ReceivedRows
from .round import Round as Round
from .store import Store as Store

__all__ = ["NO_NODE", "Context", "Meters", "Received", "ReceivedRows", "Round", "Store"]
