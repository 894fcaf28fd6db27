"""Quantity skew: sizes follow a lognormal or a power law, with or without label skew."""

import numpy as np

from ...core.checks import Number, or_none, whole
from ...core.struct import frozen, number, static
from ...core.types import Ids
from ..parts import Parts, check_disjoint, deal
from ._dirichlet import ALPHA, skewed

SKEW = Number("a number >= 0, e.g. 1.0", lambda v: 0 <= v < 100)


@frozen
class Quantity:
    """Quantity skew: sizes proportional to exp(sigma z), z standard normal.

    Every sample is used once.

    Args:
      sigma: standard deviation of log size, >= 0; 0 gives equal sizes. Default 1.
      alpha: concentration > 0 of a Dirichlet class mix per node (as in `dirichlet`), or None for no
        label skew.
      min_size: smallest node, >= 1; default 1.
    Raises:
      ValueError: sigma < 0, alpha <= 0, fewer than `min_size` samples per node.
    Example:
      >>> parts = quantity(sigma=1.0)(np.zeros(100, int), 10, np.random.default_rng(0))
      >>> sum(len(p) for p in parts)
      100
    """

    sigma: float = number(default=1.0, check=SKEW)
    alpha: float | None = number(default=None, check=or_none(ALPHA))
    min_size: int = static(default=1, check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        weights = np.exp(self.sigma * rng.standard_normal(nodes))
        return _split(self, labels, weights, rng)


@frozen
class PowerLaw:
    """Quantity skew: the r-th largest node has a share proportional to r^-exponent.

    Every sample is used once. Which node is the r-th is drawn.

    Args:
      exponent: >= 0; 0 gives equal sizes, 1 is Zipf's law. Default 1.
      alpha: concentration > 0 of a Dirichlet class mix per node (as in `dirichlet`), or None for no
        label skew.
      min_size: smallest node, >= 1; default 1.
    Raises:
      ValueError: exponent < 0, alpha <= 0, fewer than `min_size` samples per node.
    Example:
      >>> parts = power_law(exponent=1.0)(np.zeros(100, int), 4, np.random.default_rng(0))
      >>> sorted(len(p) for p in parts)
      [13, 16, 24, 47]
    """

    exponent: float = number(default=1.0, check=SKEW)
    alpha: float | None = number(default=None, check=or_none(ALPHA))
    min_size: int = static(default=1, check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        weights = rng.permutation(np.arange(1, nodes + 1, dtype=np.float64) ** -self.exponent)
        return _split(self, labels, weights, rng)


def _split(law: Quantity | PowerLaw, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Parts:
    total, nodes = len(labels), len(weights)
    check_disjoint(law, total, nodes, law.min_size)
    sizes = law.min_size + apportion(total - nodes * law.min_size, weights)
    if law.alpha is not None:
        return skewed(labels, sizes, law.alpha, rng, law)
    return deal(rng.permutation(total), sizes)


def apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Return whole numbers [n] that sum to `total`, proportional to weights.

    By largest remainders (ties: lower index).
    """
    exact = total * weights / weights.sum()
    floor = np.floor(exact).astype(np.int64)
    floor[np.argsort(floor - exact, kind="stable")[: total - floor.sum()]] += 1
    return floor
