"""The network: everything between two nodes, and which methods it can carry."""

from ..errors import RefusedError as RefusedError
from .network import Network as Network

__all__ = ["Network", "RefusedError"]
