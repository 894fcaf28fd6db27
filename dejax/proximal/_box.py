"""A box: every number of a model stays between two bounds."""

import math
from typing import Any

import jax.numpy as jnp

from ..core import tree
from ..core.checks import Number
from ..core.struct import number, struct
from ..core.types import FloatLike, NodeFloatLike, NodeTree
from ..errors import bad

BOUND = Number("a number, which may be infinite", lambda v: not math.isnan(v))


@struct
class Box:
    """r(x) = 0 where all numbers lie in [low, high], else infinite: the nearest point.

    Args:
      low, high: bounds of every number, low <= high; infinite bounds bind nothing.
    Raises:
      ValueError: low > high.
    Identity: it does not depend on the step; applying it twice is applying it once.
    Reference: Parikh and Boyd, Proximal algorithms, 2014.
    Example:
      >>> Box(low=0.0, high=1.0).prox(0.1, jnp.asarray([[2.0, -0.25]])).tolist()
      [[1.0, 0.0]]
    """

    low: FloatLike = number(default=-math.inf, check=BOUND)
    high: FloatLike = number(default=math.inf, check=BOUND)

    def __post_init__(self) -> None:
        if all(isinstance(x, (int, float)) for x in (self.low, self.high)) and self.low > self.high:
            raise bad("low", self.low, owner=self, why=f"but high is {self.high}", instead=f"give at most {self.high}")

    def prox(self, step: NodeFloatLike, values: NodeTree) -> Any:
        """The nearest numbers in [low, high]; `values` is a tree of [n, ...]."""
        del step
        cast = lambda bound, u: jnp.asarray(bound).astype(u.dtype)
        return tree.map(lambda u: jnp.clip(u, cast(self.low, u), cast(self.high, u)), values)


__all__ = ["Box"]
