"""Who the adversaries are: a count, a share, or ids.

It is known on the host, so that it is part of the program.
"""

import dataclasses
import operator
from typing import Any

import numpy as np

from ..core.types import Tree
from ..errors import bad

Adversaries = Any  # a whole number, a share in (0, 1), or ids


@dataclasses.dataclass(frozen=True)
class _Who:
    """A count >= 0, a share in (0, 1) or distinct ids >= 0; ids become a sorted tuple."""

    want: str = "a count like 3, a share like 0.1, or ids like (0, 5)"

    def __call__(self, field: str, value: Tree, leaf: bool = False) -> Any:
        """The adversaries."""
        kind = bad(field, value, says=f"is {value!r} ({type(value).__name__})", instead=f"give {self.want}")
        if isinstance(value, bool) or value is None or isinstance(value, str):
            raise kind
        if isinstance(value, float):
            if not 0 < value < 1:
                raise bad(field, value, instead=f"a share lies in (0, 1): give {self.want}")
            return value
        if isinstance(value, (int, np.integer)):
            if value < 0:
                raise bad(field, value, instead=f"give {self.want}")
            return value
        try:
            ids = tuple(sorted(operator.index(i) for i in value))
        except TypeError:
            raise kind from None
        if len(set(ids)) != len(ids) or (ids and ids[0] < 0):
            raise bad(field, value, instead=f"ids are distinct and >= 0: give {self.want}")
        return ids


WHO = _Who()


def adversary_mask(owner: Any, n: int) -> np.ndarray:
    """Bool [n]: which global ids are adversaries.

    A count f, or a share (f = round(share n)), takes the first f ids of a permutation drawn from
    `owner.seed`: the adversaries of a smaller f are among those of a larger one.

    Raises:
      ValueError: an id outside 0..n-1, or nobody honest left.
    """
    who = owner.adversaries
    if isinstance(who, tuple):
        if who and who[-1] >= n:
            why = f"but there are n = {n} nodes"
            raise bad(
                "adversaries", who, owner=owner, says=f"names node {who[-1]}", why=why, instead=f"give ids below {n}"
            )
        chosen = np.array(who, np.int64)
    else:
        f = round(who * n) if isinstance(who, float) else int(who)
        chosen = np.random.default_rng(owner.seed).permutation(n)[:f]
        if f >= n:
            raise bad(
                "adversaries",
                who,
                owner=owner,
                says=f"is {who!r}: all of n = {n} nodes",
                instead=f"give fewer than {n}",
            )
    if len(chosen) >= n:
        says = f"names all of n = {n} nodes"
        raise bad("adversaries", who, owner=owner, says=says, instead="leave at least one honest")
    mask = np.zeros(n, bool)
    mask[chosen] = True
    return mask
