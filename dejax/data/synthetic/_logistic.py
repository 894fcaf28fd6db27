"""Logistic regression whose optimum is known by Newton's method."""

import numpy as np

from ...core.made import recorded
from ...errors import bad
from .problem import Synthetic, not_negative, positive, stored_dtype, stored_rows
from .tasks import LogisticTask


@recorded("data", "task")
def logistic(
    nodes: int,
    dim: int,
    samples: int = 32,
    l2: float = 0.01,
    heterogeneity: float = 1.0,
    seed: int = 0,
    dtype: str | None = None,
) -> Synthetic:
    """Binary logistic regression with a small l2 term.

    The optimum is found by Newton's method on the host. Features are N(h u_i, I) around a node's
    own centre u_i; labels follow a common model plus h times one of the node's own
    (h = heterogeneity, u_i standard normal / sqrt(d)). Rows: x [B, d], y [B] in {0, 1}.

    Args:
      nodes, dim, samples: each >= 1. l2: > 0, the strong convexity mu. heterogeneity: h >= 0; 0
        gives equal laws.
      seed, dtype: as for `least_squares`.
    Raises:
      ValueError: a value outside its range.
    Example:
      >>> p = logistic(nodes=4, dim=3)
      >>> float(np.linalg.norm(p.gradients(p.x_star).mean(0))) < 1e-12
      True
    """
    dtype = stored_dtype("logistic", dtype)
    positive("logistic", nodes=nodes, dim=dim, samples=samples, seed=seed)
    not_negative("logistic", heterogeneity=heterogeneity)
    if not l2 > 0:
        raise bad(
            "l2",
            l2,
            owner="logistic",
            says=f"is {l2!r}",
            instead="give a number > 0: without it separable data have no optimum",
        )
    rng = np.random.default_rng(seed)
    centre = heterogeneity * rng.standard_normal((nodes, 1, dim)) / np.sqrt(dim)
    truth = rng.standard_normal(dim) + heterogeneity * rng.standard_normal((nodes, dim)) / np.sqrt(dim)
    a = (centre + rng.standard_normal((nodes, samples, dim))).astype(dtype)
    odds = _sigmoid(np.einsum("nmd,nd->nm", a.astype(np.float64), truth))
    y = (rng.random((nodes, samples)) < odds).astype(np.int32)
    signed = (2 * y - 1)[..., None] * a.astype(np.float64)  # s a, [n, m, d]

    def losses(x: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, -(signed @ x)).mean(1) + 0.5 * l2 * x @ x

    def per_row(x: np.ndarray) -> np.ndarray:
        return -signed * _sigmoid(-(signed @ x))[..., None] + l2 * x

    def gradients(x: np.ndarray) -> np.ndarray:
        return per_row(x).mean(1)

    x_star = _newton(signed.reshape(-1, dim), l2)
    at_star = gradients(x_star)
    return Synthetic(
        data=stored_rows("logistic", a.reshape(-1, dim), y.reshape(-1), nodes, dtype, 2),
        task=LogisticTask(dim, l2, dtype),
        x_star=x_star,
        f_star=float(losses(x_star).mean()),
        L=float(max(np.linalg.eigvalsh(s.T @ s / samples)[-1] for s in signed) / 4 + l2),  # sup of sigmoid' is 1/4
        mu=float(l2),
        zeta2=float((at_star**2).sum(1).mean()),
        sigma2=float(((per_row(x_star) - at_star[:, None]) ** 2).sum(2).mean()),
        losses=losses,
        gradients=gradients,
        name="logistic",
    )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))  # no overflow


def _newton(signed: np.ndarray, l2: float) -> np.ndarray:
    """Minimise mean log(1 + exp(-s a.x)) + l2/2 ||x||^2 by damped Newton steps.

    The function is strictly convex, so they converge.
    """
    x = np.zeros(signed.shape[1])
    value = lambda x: np.logaddexp(0, -(signed @ x)).mean() + 0.5 * l2 * x @ x
    for _ in range(100):
        p = _sigmoid(-(signed @ x))
        grad = l2 * x - signed.T @ p / len(p)
        hessian = l2 * np.eye(len(x)) + (signed.T * (p * (1 - p))) @ signed / len(p)
        step, size = np.linalg.solve(hessian, grad), 1.0
        while size > 1e-6 and value(x - size * step) > value(x) + 1e-15:
            size /= 2
        x = x - size * step
        if np.linalg.norm(step) <= 1e-15 * (1 + np.linalg.norm(x)):
            break
    return x
