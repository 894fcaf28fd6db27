"""Quantity skew: how many samples a node has follows a lognormal or a power law, with or without label skew."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.struct import check_number
from ..parts import Parts, check_count, check_disjoint, deal
from ._dirichlet import check_alpha, skewed


@dataclass(frozen=True)
class Quantity:
    """Quantity skew: sizes proportional to exp(sigma z), z standard normal; every sample is used once.

    Args:
      sigma: standard deviation of log size, >= 0; 0 gives equal sizes. Default 1.
      alpha: concentration > 0 of a Dirichlet class mix per node (as in `dirichlet`), or None for no label skew.
      min_size: smallest node, >= 1; default 1.
    Raises:
      ValueError: sigma < 0, alpha <= 0, fewer than `min_size` samples per node.
    Example:
      >>> parts = quantity(sigma=1.0)(np.zeros(100, int), 10, np.random.default_rng(0))
      >>> sum(len(p) for p in parts)
      100
    """

    sigma: float = 1.0
    alpha: float | None = None
    min_size: int = 1

    def __post_init__(self) -> None:
        check_number(self, "sigma", self.sigma, lambda v: 0 <= v < 100, "a number >= 0, e.g. 1.0")
        _check(self)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Any = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        weights = np.exp(self.sigma * rng.standard_normal(nodes))
        return _split(self, labels, weights, rng)


@dataclass(frozen=True)
class PowerLaw:
    """Quantity skew: the r-th largest node has a share proportional to r^-exponent; every sample is used once.

    Which node is the r-th is drawn.

    Args:
      exponent: >= 0; 0 gives equal sizes, 1 is Zipf's law. Default 1.
      alpha: concentration > 0 of a Dirichlet class mix per node (as in `dirichlet`), or None for no label skew.
      min_size: smallest node, >= 1; default 1.
    Raises:
      ValueError: exponent < 0, alpha <= 0, fewer than `min_size` samples per node.
    Example:
      >>> parts = power_law(exponent=1.0)(np.zeros(100, int), 4, np.random.default_rng(0))
      >>> sorted(len(p) for p in parts)
      [13, 16, 24, 47]
    """

    exponent: float = 1.0
    alpha: float | None = None
    min_size: int = 1

    def __post_init__(self) -> None:
        check_number(self, "exponent", self.exponent, lambda v: 0 <= v < 100, "a number >= 0, e.g. 1.0")
        _check(self)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Any = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        weights = rng.permutation(np.arange(1, nodes + 1, dtype=np.float64) ** -self.exponent)
        return _split(self, labels, weights, rng)


def _check(law: Quantity | PowerLaw) -> None:
    check_count(law, "min_size", law.min_size)
    if law.alpha is not None:
        check_alpha(law, law.alpha)


def _split(law: Quantity | PowerLaw, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Parts:
    total, nodes = len(labels), len(weights)
    check_disjoint(law, total, nodes, law.min_size)
    sizes = law.min_size + apportion(total - nodes * law.min_size, weights)
    if law.alpha is not None:
        return skewed(labels, sizes, law.alpha, rng, law)
    return deal(rng.permutation(total), sizes)


def apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers [n] that sum to `total`, proportional to weights by largest remainders (ties: lower index)."""
    exact = total * weights / weights.sum()
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole
