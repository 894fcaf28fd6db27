"""An experiment on devices: prepared, its data there once, nodes in their places on a mesh."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import engine
from ..core import tree
from ..core.arrays import device_array
from ..core.types import Layout, Tree
from ..devices import placement


def placed(
    given: Any, rounds: int, layout: Layout | None, placer: "Placer", before: tuple[int, Any] = (0, 0.0)
) -> tuple[Any, Any]:
    """Prepare (method, problem, network) for `rounds` rounds; before: see `engine.prepare`.

    Returns:
      The three by node id, with data on devices; and the three as they run.
    """
    method, problem, network = engine.prepare(given[0], given[1], given[2], rounds, before=before)
    there = tree.map(placer, problem)
    if layout is None:
        return (method, there, network), (method, there, network)
    # lists per node from the host, so that each device gets its own rows of them
    names = ("index", "count", "validation_index", "validation_count")
    rows = {name: getattr(problem.data, name) for name in names}
    problem = replace(there, data=replace(there.data, **rows))
    return (method, there, network), engine.placed(method, problem, network, layout)


class Placer:
    """Places arrays of the host on the device, or on all devices of a layout, each of them once."""

    def __init__(self, layout: Layout | None):
        self.layout, self._there = layout, {}

    def __call__(self, x: Tree) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        found = self._there.get(id(x))
        if found is None:
            there = device_array(x) if self.layout is None else placement.replicate(x, self.layout.mesh)
            found = self._there[id(x)] = (x, there)  # x is kept, so that its id stays its own
        return found[1]


__all__ = ["Placer", "placed"]
