"""Who the adversaries are: a count, a share, or ids; known on the host, so that it is part of the program."""

import operator
from typing import Any

import numpy as np

Adversaries = Any  # a whole number, a share in (0, 1), or ids


def check_adversaries(owner: Any) -> None:
    """Raise unless `owner.adversaries` is a count >= 0, a share in (0, 1) or distinct ids >= 0; ids become a tuple."""
    name, who = type(owner).__name__, owner.adversaries
    want = "a count like 3, a share like 0.1, or ids like (0, 5)"
    if isinstance(who, bool) or who is None or isinstance(who, str):
        raise TypeError(f"{name}.adversaries is {who!r} ({type(who).__name__}); give {want}")
    if isinstance(who, float):
        if not 0 < who < 1:
            raise ValueError(f"{name}.adversaries is {who!r}; a share lies in (0, 1): give {want}")
        return
    if isinstance(who, (int, np.integer)):
        if who < 0:
            raise ValueError(f"{name}.adversaries is {who}; give {want}")
        return
    try:
        ids = tuple(sorted(operator.index(i) for i in who))
    except TypeError:
        raise TypeError(f"{name}.adversaries is {who!r} ({type(who).__name__}); give {want}") from None
    if len(set(ids)) != len(ids) or (ids and ids[0] < 0):
        raise ValueError(f"{name}.adversaries is {who!r}; ids are distinct and >= 0: give {want}")
    object.__setattr__(owner, "adversaries", ids)


def adversary_mask(owner: Any, n: int) -> np.ndarray:
    """Bool [n]: which global ids are adversaries.

    A count f, or a share (f = round(share n)), takes the first f ids of a permutation drawn from `owner.seed`: the
    adversaries of a smaller f are among those of a larger one.

    Raises:
      ValueError: an id outside 0..n-1, or nobody honest left.
    """
    name, who = type(owner).__name__, owner.adversaries
    if isinstance(who, tuple):
        if who and who[-1] >= n:
            raise ValueError(
                f"{name}.adversaries names node {who[-1]}, but there are n = {n} nodes; give ids below {n}"
            )
        chosen = np.array(who, np.int64)
    else:
        f = round(who * n) if isinstance(who, float) else int(who)
        chosen = np.random.default_rng(owner.seed).permutation(n)[:f]
        if f >= n:
            raise ValueError(f"{name}.adversaries is {who!r}: all of n = {n} nodes; give fewer than {n}")
    if len(chosen) >= n:
        raise ValueError(f"{name}.adversaries names all of n = {n} nodes; leave at least one honest")
    mask = np.zeros(n, bool)
    mask[chosen] = True
    return mask
