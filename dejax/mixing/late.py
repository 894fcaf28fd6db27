"""Links on which every message has its own age: values are the last few of each sender."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.types import Tree, Values
from .links import Links, Through


class Late(Through):
    """Links whose values are [n depth, ...], the last `depth` values of every sender.

    which: int [n, k], which of them is read on each port.

    The kernel below walks the ports once for every place of the memory, so that no [n, k, d] array
    is formed.
    """

    def __init__(self, links: Links, which: jax.Array, depth: int):
        self.links, self.which, self.depth = links, which, depth

    def _places(self, values: Tree) -> list[Any]:
        """The `depth` stacks [n, ...]."""
        apart = tree.map(lambda x: x.reshape(-1, self.depth, *x.shape[1:]), values)
        return [tree.map(lambda x, r=r: x[:, r], apart) for r in range(self.depth)]

    def with_neighbors(self, values: Tree) -> Any:
        """What each device needs of every place."""
        if type(self.links).with_neighbors is Links.with_neighbors:  # every row is at hand
            return values
        places = [self.links.with_neighbors(x) for x in self._places(values)]
        return tree.map(lambda *x: jnp.stack(x, 1).reshape(-1, *x[0].shape[1:]), *places)

    def take(self, values: Tree, s: int | Values) -> Any:
        """Row i is the value that node i reads on port s."""
        places = self._places(values)
        out = self.links.take(places[0], s)
        for r in range(1, self.depth):
            out = tree.where(self.which[:, s] == r, self.links.take(places[r], s), out)
        return out

    def weighted(self, values: Tree, weights: jax.Array, self_weights: jax.Array, own: Tree = None) -> Any:
        """Add the own value and one sum for each place of the memory.

        own: needed, since values of several ages hold no own one.
        """
        parts = []
        for r, place in enumerate(self._places(values)):
            mine = self_weights if r == 0 else jnp.zeros_like(self_weights)
            parts.append(self.links.weighted(place, jnp.where(self.which == r, weights, 0), mine, own))
        return tree.add(*parts)

    def sq_distances(self, values: Tree, own: Tree = None) -> jax.Array:
        """[n, k]: of the value read on each port."""
        out, *rest = [self.links.sq_distances(place, own) for place in self._places(values)]
        for r, distances in enumerate(rest, 1):
            out = jnp.where(self.which == r, distances, out)
        return out


__all__ = ["Late"]
