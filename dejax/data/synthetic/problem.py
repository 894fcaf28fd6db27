"""Problems with a known optimum.

Made in float64 on the host, with the constants that convergence theory names.

    f(x) = (1/n) sum_i f_i(x),   f_i(x) = mean over node i's rows

L and mu are the largest and smallest eigenvalue of the Hessians of the f_i over all nodes,
zeta2 = (1/n) sum_i ||grad f_i(x_star)||^2, and sigma2 the variance of the gradient of one uniformly
drawn row at x_star, mean over nodes. All are computed from the numbers as stored, after rounding to
`dtype`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core import checks
from ...core.checks import at_least, choice, whole
from ...errors import bad
from ..dataset import Dataset, node_data
from ..nodes import NodeData
from ..parts import Parts


@dataclass(frozen=True, eq=False, repr=False)
class Synthetic:
    """A problem with a known optimum: data and task to train on, and what the answer is.

    Args:
      data: NodeData; its test part is the union of all rows, so that the test loss of a model x is
        f(x).
      task: the Task (`init`, `loss`, `metrics`); parameters are {"x": [d]}.
      x_star: float64 [d], the minimizer of f, or None where every point is one. f_star: f(x_star).
      L, mu, zeta2, sigma2: constants as the module says.
      losses, gradients: x [d] -> [n] and [n, d], the f_i and their exact gradients on the host in
        float64.
      name: for summaries.
    """

    data: NodeData
    task: Any
    x_star: np.ndarray | None
    f_star: float
    L: float
    mu: float
    zeta2: float
    sigma2: float
    losses: Callable[[np.ndarray], np.ndarray]
    gradients: Callable[[np.ndarray], np.ndarray]
    name: str = "synthetic"

    @property
    def optimum(self) -> dict[str, np.ndarray] | None:
        """The minimizer as a tree of parameters, float64, or None."""
        return None if self.x_star is None else {"x": self.x_star}

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.data.n

    def summary(self) -> str:
        """One line of constants."""
        facts = ", ".join(f"{k} {getattr(self, k):.4g}" for k in ("L", "mu", "zeta2", "sigma2", "f_star"))
        return f"{self.name}: {self.n} nodes, d {self.task.dim}, {facts}"

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"Synthetic({self.summary()})"


def stored_dtype(name: str, dtype: str | None) -> str:
    """The dtype of rows and parameters; None: the widest that JAX does not round.

    Raises:
      ValueError: no such dtype, or "float64" without jax_enable_x64.
    """
    import jax

    wide = jax.config.read("jax_enable_x64")
    if dtype is None:
        return "float64" if wide else "float32"
    choice("float32", "float64")(f"{name}.dtype", dtype)
    if dtype == "float64" and not wide:
        why = "but JAX would round it"
        raise bad("dtype", dtype, owner=name, why=why, instead="set jax_enable_x64, or use 'float32'")
    return dtype


def stored_rows(name: str, x: np.ndarray, y: np.ndarray, nodes: int, dtype: str, num_classes: int) -> NodeData:
    rows = {"x": np.asarray(x, dtype), "y": y if num_classes else np.asarray(y, dtype)}
    parts = Parts.from_matrix(np.arange(len(x)).reshape(nodes, -1))
    return node_data(Dataset(rows, rows, num_classes, name, "synthetic"), parts)


def positive(name: str, **counts: Any) -> None:
    """Whole numbers >= 1; seeds from 0 to 2**32 - 1."""
    for field, value in counts.items():
        (checks.seed if field == "seed" else whole)(f"{name}.{field}", value)


def not_negative(name: str, **numbers: Any) -> None:
    """Finite numbers >= 0."""
    for field, value in numbers.items():
        NOT_NEGATIVE(f"{name}.{field}", value)


NOT_NEGATIVE = at_least(0)
