"""Take mean and spread over seeds, alike for tables, bands and logs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import NULL, bad

BANDS: dict[Any, str] = {"std": "mean ± std", "minmax": "min to max", "ci95": "95 % interval of the mean"}
# Student's t at 97.5 %, for 1 to 30 degrees of freedom
T975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
    2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def over_seeds(values: np.ndarray, band: str = "std") -> tuple[float, float]:
    """Give mean and standard deviation (by the number of seeds) of [seeds].

    With band = "ci95" half the 95 % interval of the mean in place of the deviation.
    """
    with np.errstate(all="ignore"):  # of what is not finite
        mean = float(values.mean())
        return mean, float(values.std() if band == "std" else band_of(values[:, None], band)[1][0] - mean)


def over_lanes(values: Sequence[float]) -> Any:
    """Give a number that is alone, else (mean, std) as in tables."""
    if len(values) < 2:
        return values[0] if len(values) else math.nan
    return over_seeds(np.asarray(values, float))


def mean_over(values: np.ndarray) -> np.ndarray:
    """Give the mean over the first axis of the values that are there; NaN where none is."""
    there = ~np.isnan(values)
    with np.errstate(all="ignore"):  # of what is not finite
        return np.where(there, values, 0).sum(0) / np.where(there.any(0), there.sum(0), np.nan)


def check_band(band: str | None) -> None:
    """Refuse a band that is none.

    Raises:
      ValueError: says which there are.
    """
    if band is not None and band not in BANDS:
        raise bad("band", band, instead="give " + ", ".join(map(repr, BANDS)) + ", or " + NULL)


def band_of(values: np.ndarray, band: str) -> tuple[np.ndarray, np.ndarray]:
    """Give both edges [R] of the band around the mean of values [seeds, R].

    Args:
      band: "std": the standard deviation, as in tables; "minmax": lowest and highest seed; "ci95": the 95 % interval of the mean
        by Student's t, t(seeds - 1) s / sqrt(seeds) with the squares of s divided by seeds - 1.
    """
    there = np.sum(~np.isnan(values), 0)
    if band == "minmax":
        return np.fmin.reduce(values, 0), np.fmax.reduce(values, 0)
    mean = mean_over(values)
    with np.errstate(invalid="ignore"):  # numbers that are infinite have no band
        if band == "std":
            half = np.sqrt(mean_over((values - mean) ** 2))
        else:
            free = np.maximum(there - 1, 1)
            squares = np.nansum((values - mean) ** 2, 0) / free
            half = np.where(there > 1, student(free) * np.sqrt(squares / np.maximum(there, 1)), 0.0)
        return mean - half, mean + half


def student(free: np.ndarray) -> np.ndarray:
    """Give Student's t at 97.5 % for degrees of freedom >= 1, to 4 digits."""
    z = 1.959964
    far = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return np.where(free <= len(T975), np.asarray(T975)[np.minimum(free, len(T975)) - 1], far)


__all__ = ["BANDS", "band_of", "check_band", "mean_over", "over_lanes", "over_seeds", "student"]
