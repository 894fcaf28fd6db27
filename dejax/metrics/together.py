"""Ask a program once for the views of all runs that are measured together.

Small programs cost more to call than to run.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax

from ..core import tree
from ..core.byte_sizes import array_bytes
from ..core.stacks import held
from ..core.types import Keys, Tree
from ..devices.processes import to_host

ABREAST = 4  # runs that one step of the program takes: 1.05 s a sweep, 1.16 with 1, 1.11 with 8, 1.45 with 32
MOST = 64 << 20  # bytes of states; larger ones take longer to evaluate than to call, and would be held twice


class Together:
    """The models of several runs at one moment, on one device.

    The runs are alike but for their numbers and keys. Measured alike, they all ask the same
    questions in the same order. The first to ask one gets the answers for all, by one program that
    goes over the runs, a few at a time; a view that asks otherwise than the first is sent away, and
    asks for itself.

    Args:
      rows: what is evaluated, with a leading axis of runs. keys: [runs].
    """

    def __init__(self, rows: Tree, keys: jax.Array):
        self.rows, self.keys = rows, keys
        self.one = tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rows)
        self.asked = [0] * len(keys)
        self.answers: list[tuple[Any, Any, Any, Any]] = []  # program, static, shared, and what it gave

    @staticmethod
    def pays(states: Tree) -> bool:
        """Whether the states of all runs are small enough, and of one architecture."""
        return held(states) is None and sum(array_bytes(x) for x in tree.leaves(states)) <= MOST

    def ask(self, run: int, program: Callable[..., Any], static: Hashable, shared: Tree) -> Any:
        """Return `program(static, rows, key, *shared)` of one run, on the host.

        None if it is not what the first has asked at this point.
        """
        at = self.asked[run]
        self.asked[run] += 1
        if at == len(self.answers):
            found = to_host(_each(program, static, self.rows, self.keys, shared))
            self.answers.append((program, static, shared, found))
        theirs = self.answers[at]
        if theirs[0] is not program or theirs[1] != static or not _same(theirs[2], shared):
            return None
        return tree.map(lambda x: x[run], theirs[3])


def _same(a: Tree, b: Tree) -> bool:
    """Return whether two trees hold the same arrays.

    Arrays on devices are compared by identity, those of the host by their numbers.
    """
    (xs, one), (ys, other) = jax.tree.flatten(a), jax.tree.flatten(b)
    alike = lambda x, y: x is y or (isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.array_equal(x, y))
    return one == other and all(map(alike, xs, ys))


@partial(jax.jit, static_argnums=(0, 1))
def _each(program: Any, static: Hashable, rows: Tree, keys: Keys, shared: Tree) -> Any:
    return lax.map(lambda one: program.__wrapped__(static, *one, *shared), (rows, keys), batch_size=ABREAST)


__all__ = ["Together"]
