"""Columns of samples: name -> array [N, ...], or a dict of such, all of one length N."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..core.tree import path_of


def count(columns: Any) -> int:
    """Samples, N."""
    return jax.tree.leaves(columns)[0].shape[0]


def taken(columns: Any, rows: Any) -> Any:
    """These rows of all columns, on the host."""
    return jax.tree.map(lambda a: np.asarray(a)[rows], columns)


def joined(parts: Sequence[Any]) -> Any:
    """Parts of equal columns, one after the other."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def named(columns: Any) -> dict[str, Any]:
    """Path -> array, e.g. "x/image"."""
    return {path_of(path): a for path, a in jax.tree_util.tree_leaves_with_path(columns)}


def shapes(columns: Any) -> dict[str, str]:
    """Path -> dtype and shape in words."""
    return {name: f"{a.dtype}{list(a.shape)}" for name, a in named(columns).items()}


__all__ = ["count", "joined", "named", "shapes", "taken"]
