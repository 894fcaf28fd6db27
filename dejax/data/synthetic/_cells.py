"""Cells of a grid, in which episodes begin."""

import numpy as np

from ...core.checks import whole
from ..dataset import Dataset, source
from ..sources import from_arrays


@source
def cells(size: int = 5) -> Dataset:
    """All cells of a square grid but the last corner, as starts: x int32 [size^2 - 1, 2].

    Labels are the quarters 0 to 3 of the grid, so that partitions by label give nodes different parts of it. The test
    set is the same cells.

    Args:
      size: of the grid, >= 2.
    Raises:
      ValueError: size < 2.
    Example:
      >>> cells(size=3).size
      8
    """
    size = whole("size", size)
    x = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).reshape(-1, 2)[:-1].astype(np.int32)
    quarter = (2 * (x >= (size + 1) // 2) @ np.array([1, 0]) + (x >= (size + 1) // 2) @ np.array([0, 1])).astype(
        np.int32
    )
    return from_arrays(x, quarter, test=(x, quarter), num_classes=4, name="cells")


__all__ = ["cells"]
