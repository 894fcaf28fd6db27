"""Quadratic rewards with diminishing returns, whose best point in the unit box is known."""

import numpy as np

from ...core.made import recorded
from .problem import Synthetic, not_negative, positive, stored_dtype, stored_rows
from .tasks import DiminishingTask


@recorded("data", "task")
def diminishing(
    nodes: int, dim: int, rows: int = 1, spread: float = 1.0, seed: int = 0, dtype: str | None = None
) -> Synthetic:
    """Monotone DR-submodular quadratics on the box [0, 1]^d; the loss is the negative reward.

        reward = h . x + x' H x / 2,   H symmetric with entries <= 0, h = -H 1

    Rewards are neither convex nor concave, zero at 0 and largest at 1, where all gradients vanish:
    x_star = 1 in the box. Under a budget (`dejax.proximal.budget`) the best is smaller, and x_star is
    no answer.

    Args:
      nodes, dim, rows: n, d >= 1, rewards per node >= 1, each row its own H.
      spread: >= 0, by how much the strengths of nodes differ.
      seed, dtype: as for `least_squares`.
    Raises:
      ValueError: a value outside its range.
    Example:
      >>> diminishing(nodes=4, dim=3).x_star.tolist()
      [1.0, 1.0, 1.0]
    """
    dtype = stored_dtype("diminishing", dtype)
    positive("diminishing", nodes=nodes, dim=dim, rows=rows, seed=seed)
    not_negative("diminishing", spread=spread)
    rng = np.random.default_rng(seed)
    scale = 1 + spread * rng.random((nodes, 1, 1, dim))
    h = -rng.random((nodes, rows, dim, dim)) * scale * np.swapaxes(scale, 2, 3) / dim
    h = (h + np.swapaxes(h, 2, 3)) / 2
    task = DiminishingTask(dim, dtype)
    data = stored_rows("diminishing", h.reshape(-1, dim, dim), np.zeros(nodes * rows), nodes, dtype, 0)
    h = h.astype(dtype).astype(np.float64)
    mean, one = h.mean(1), np.ones(dim)
    values = np.linalg.eigvalsh(-mean)
    losses = lambda x: mean.sum(2) @ x - 0.5 * np.einsum("d,nde,e->n", x, mean, x)
    return Synthetic(
        data=data,
        task=task,
        x_star=one,
        f_star=float(losses(one).mean()),
        L=float(np.abs(values).max()),
        mu=float(values.min()),
        zeta2=0.0,
        sigma2=0.0,
        losses=losses,
        gradients=lambda x: -mean @ (x - one),
        name="diminishing",
    )


__all__ = ["diminishing"]
