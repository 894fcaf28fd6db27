"""Least squares, quadratics and pure consensus: problems whose optimum is a linear solve."""

import numpy as np

from ...core.made import recorded
from ...errors import bad
from .problem import Synthetic, not_negative, positive, stored_dtype, stored_rows
from .tasks import SquaresTask


@recorded("data", "task")
def least_squares(
    nodes: int,
    dim: int,
    L: float = 1.0,
    mu: float = 0.1,
    zeta2: float = 1.0,
    noise: float = 0.0,
    samples: int | None = None,
    seed: int = 0,
    dtype: str | None = None,
) -> Synthetic:
    """Heterogeneous least squares with given smoothness, convexity, heterogeneity and optimum.

    f_i(x) = mean_r 0.5 (a_ir . x - b_ir)^2. Each Hessian has eigenvalues from mu to L (evenly
    spaced in log) in directions of its own; gradients at x_star are a centred Gaussian draw scaled
    to zeta2; residuals orthogonal to all features add gradient noise without moving anything. Rows:
    x [B, d], y [B].

    Args:
      nodes, dim: n >= 1, d >= 1. samples: rows per node, >= d (> d with noise); default 2 d.
      L, mu: 0 < mu <= L. zeta2: >= 0, and 0 for one node.
      noise: >= 0, root mean squared norm of the one-row gradient at x_star that the residuals alone
        cause.
      seed: of NumPy's generator.
      dtype: of rows and parameters, "float32", or "float64" under jax_enable_x64; None: float64
        under jax_enable_x64, else float32.
    Raises:
      ValueError: a value outside its range.
    Identity: the mean of `gradients(x_star)` is zero up to rounding.
    Example:
      >>> p = least_squares(nodes=8, dim=5, L=2.0, mu=0.5, zeta2=3.0)
      >>> round(p.zeta2, 3)
      3.0
    """
    m = 2 * dim if samples is None else samples
    dtype = stored_dtype("least_squares", dtype)
    positive("least_squares", nodes=nodes, dim=dim, samples=m, seed=seed)
    if not 0 < mu <= L:
        raise bad("mu", mu, owner="least_squares", says=f"is {mu!r} and L is {L!r}", instead="give 0 < mu <= L")
    not_negative("least_squares", zeta2=zeta2, noise=noise)
    _one_node("least_squares", nodes, zeta2)
    if m < dim or (noise and m == dim):
        least = dim + bool(noise)
        raise bad(
            "samples",
            m,
            owner="least_squares",
            says=f"is {m} for dim = {dim}{(' with noise' if noise else '')}",
            instead=f"give samples >= {least}",
        )
    rng = np.random.default_rng(seed)
    spectrum = np.geomspace(L, mu, dim) if dim > 1 else np.array([L])
    v = _orthonormal(rng, nodes, dim, dim)
    u = _orthonormal(rng, nodes, m, dim)
    a = np.sqrt(m) * (u * np.sqrt(spectrum)) @ v.transpose(0, 2, 1)  # A_i^T A_i / m = V Lambda V^T
    hessian = (v * spectrum) @ v.transpose(0, 2, 1)
    x_star = rng.standard_normal(dim)
    own = x_star - np.linalg.solve(hessian, _centred(rng, nodes, dim, zeta2)[..., None])[..., 0]  # minimizer of f_i
    e = rng.standard_normal((nodes, m))
    e = e - (u @ (u.transpose(0, 2, 1) @ e[..., None]))[..., 0]
    caused = np.mean(np.sum(a**2, 2) * e**2)
    b = (a @ own[:, :, None])[..., 0] + (e * noise / np.sqrt(caused) if noise else 0 * e)
    task = SquaresTask(dim, dtype=dtype)
    return _squares("least_squares", a.reshape(-1, dim), b.reshape(-1), nodes, task)


@recorded("data", "task")
def quadratics(
    nodes: int, dim: int, zeta2: float = 1.0, noise: float = 0.0, seed: int = 0, dtype: str | None = None
) -> Synthetic:
    """Quadratics of unequal curvature: f_i(x) = 0.5 ||A_i x - b_i||^2.

    A_i = (i + 1)/sqrt(n) I, i = 0 .. n - 1.

    b_i is sqrt(zeta2)/(i + 1) times a standard normal vector, so that steep nodes pull the least
    far. Here the argument zeta2 is the published scale of b, not the spread of gradients, which the
    result reports. One row per node: x [B, d, d], y [B, d].

    Args:
      nodes, dim: n >= 1, d >= 1. zeta2: >= 0. noise: >= 0, standard deviation sigma of the
        gradient: each coordinate gets N(0, sigma^2 / d). seed, dtype: as for `least_squares`.
    Raises:
      ValueError: a value outside its range.
    Reference: Vogels et al., RelaySum for decentralized deep learning on heterogeneous data, 2021
      (their code).
    Example:
      >>> float(np.abs(quadratics(nodes=4, dim=3, dtype="float32").x_star).max()) < 2
      True
    """
    dtype = stored_dtype("quadratics", dtype)
    positive("quadratics", nodes=nodes, dim=dim, seed=seed)
    not_negative("quadratics", zeta2=zeta2, noise=noise)
    rng = np.random.default_rng(seed)
    steep = np.arange(1, nodes + 1)
    a = (steep / np.sqrt(nodes))[:, None, None] * np.eye(dim)
    b = (np.sqrt(zeta2) / steep)[:, None] * rng.standard_normal((nodes, dim))
    return _squares("quadratics", a, b, nodes, SquaresTask(dim, noise=noise, dtype=dtype))


@recorded("data", "task")
def equal_quadratics(
    nodes: int,
    dim: int,
    L: float = 1.0,
    mu: float = 0.1,
    zeta2: float = 1.0,
    noise: float = 0.0,
    seed: int = 0,
    dtype: str | None = None,
) -> Synthetic:
    """Quadratics with one Hessian A: f_i(x) = 0.5 (x - b_i)^T A (x - b_i).

    Eigenvalues of A lie from mu to L. The mean of D-SGD's models follows centralized SGD exactly
    here, for every W with unit column sums: a test of mean preservation. One row per node: x
    [B, d, d] = R with R^T R = A, y [B, d] = R b_i.

    Args:
      nodes, dim: n >= 1, d >= 1. L, mu: 0 < mu <= L. zeta2: >= 0, exact at x_star = mean of b_i; 0
        for one node.
      noise: >= 0, as for `quadratics`. seed, dtype: as for `least_squares`.
    Raises:
      ValueError: a value outside its range.
    Identity: x_star is the mean of the b_i.
    Example:
      >>> round(equal_quadratics(nodes=4, dim=3, zeta2=2.0).zeta2, 3)
      2.0
    """
    dtype = stored_dtype("equal_quadratics", dtype)
    positive("equal_quadratics", nodes=nodes, dim=dim, seed=seed)
    if not 0 < mu <= L:
        raise bad("mu", mu, owner="equal_quadratics", says=f"is {mu!r} and L is {L!r}", instead="give 0 < mu <= L")
    not_negative("equal_quadratics", zeta2=zeta2, noise=noise)
    _one_node("equal_quadratics", nodes, zeta2)
    rng = np.random.default_rng(seed)
    spectrum = np.geomspace(L, mu, dim) if dim > 1 else np.array([L])
    v = _orthonormal(rng, 1, dim, dim)[0]
    root = np.sqrt(spectrum)[:, None] * v.T
    away = np.linalg.solve((v * spectrum) @ v.T, _centred(rng, nodes, dim, zeta2).T).T  # x_star - b_i
    b = rng.standard_normal(dim) - away
    task = SquaresTask(dim, noise=noise, dtype=dtype)
    return _squares("equal_quadratics", np.broadcast_to(root, (nodes, dim, dim)), b @ root.T, nodes, task)


@recorded("data", "task")
def consensus(nodes: int, dim: int, spread: float = 1.0, dtype: str | None = None) -> Synthetic:
    """No gradients at all: models start as N(0, spread^2 I) and only communication moves them.

    Use with `Problem(..., starts="independent")`. Shows mean preservation, the rate rho^t,
    finite-time graphs.

    Args:
      nodes, dim: n >= 1, d >= 1. spread: > 0, standard deviation of the starts. dtype: as for
        `least_squares`.
    Raises:
      ValueError: a value outside its range.
    Example:
      >>> consensus(nodes=4, dim=3).x_star is None
      True
    """
    dtype = stored_dtype("consensus", dtype)
    positive("consensus", nodes=nodes, dim=dim)
    if not spread > 0:
        raise bad(
            "spread",
            spread,
            owner="consensus",
            says=f"is {spread!r}",
            instead="give a number > 0, or all nodes start equal",
        )
    task = SquaresTask(dim, spread=spread, dtype=dtype)
    return _squares("consensus", np.zeros((nodes, dim)), np.zeros(nodes), nodes, task)


def _squares(name: str, a: np.ndarray, b: np.ndarray, nodes: int, task: SquaresTask) -> Synthetic:
    """Make the problem of rows (a [N, d], b [N]) or (A [N, r, d], b [N, r]), N / nodes each.

    Its constants come from the stored numbers.
    """
    data = stored_rows(name, a, b, nodes, task.dtype, 0)
    inner = 1 if a.ndim == 2 else a.shape[1]
    a = a.astype(task.dtype).astype(np.float64).reshape(nodes, -1, inner, task.dim)
    b = b.astype(task.dtype).astype(np.float64).reshape(nodes, -1, inner)
    rows = a.shape[1]

    def losses(x: np.ndarray) -> np.ndarray:
        return 0.5 * ((a @ x - b) ** 2).sum((1, 2)) / rows

    def per_row(x: np.ndarray) -> np.ndarray:
        return np.einsum("nmrd,nmr->nmd", a, a @ x - b)

    def gradients(x: np.ndarray) -> np.ndarray:
        return per_row(x).mean(1)

    hessian = np.einsum("nmrd,nmre->nde", a, a) / rows
    values = np.linalg.eigvalsh(hessian)
    total = hessian.mean(0)
    x_star = None
    if values.max() > 0:
        x_star = np.linalg.solve(total, np.einsum("nmrd,nmr->d", a, b) / (rows * nodes))
        x_star = x_star - np.linalg.solve(total, gradients(x_star).mean(0))  # one refinement
    at = np.zeros(task.dim) if x_star is None else x_star
    at_star = gradients(at)
    return Synthetic(
        data=data,
        task=task,
        x_star=x_star,
        f_star=float(losses(at).mean()),
        L=float(values.max()),
        mu=float(values.min()),
        zeta2=float((at_star**2).sum(1).mean()),
        sigma2=float(((per_row(at) - at_star[:, None]) ** 2).sum(2).mean() + task.noise**2),
        losses=losses,
        gradients=gradients,
        name=name,
    )


def _centred(rng: np.random.Generator, nodes: int, dim: int, mean_square: float) -> np.ndarray:
    """[n, d] rows that sum to zero, with mean squared norm `mean_square`."""
    g = rng.standard_normal((nodes, dim))
    g = g - g.mean(0)
    size = (g**2).sum(1).mean()
    return g * np.sqrt(mean_square / size) if size > 0 else g


def _orthonormal(rng: np.random.Generator, batch: int, rows: int, columns: int) -> np.ndarray:
    """[batch, rows, columns] matrices with orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((batch, rows, columns)))[0]


def _one_node(name: str, nodes: int, zeta2: float) -> None:
    if nodes == 1 and zeta2:
        raise bad(
            "zeta2",
            zeta2,
            owner=name,
            says=f"is {zeta2!r} with one node, whose gradient vanishes at its own optimum",
            instead="give 0",
        )
