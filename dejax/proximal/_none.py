"""No regularizer: smooth losses alone."""

from typing import Any

from ..core.struct import struct
from ..core.types import NodeFloatLike, NodeTree


@struct
class NoRegularizer:
    """r(x) = 0: nothing is changed.

    Reference: Parikh and Boyd, Proximal algorithms, 2014.
    Example:
      >>> NoRegularizer().prox(0.5, 3.0)
      3.0
    """

    def prox(self, step: NodeFloatLike, values: NodeTree) -> Any:
        """The values as they are."""
        del step
        return values


__all__ = ["NoRegularizer"]
