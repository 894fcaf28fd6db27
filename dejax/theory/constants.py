"""The constants of a problem that theory names, computed on the host from its rows.

f = (1/n) sum_i f_i,  f_i the mean loss of node i's rows. Known are the two losses of `dejax.data.synthetic`: squares and logistic
regression with an l2 term, whatever data they are given.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from ..data.sampling import Epoch, Full, Poisson
from ..data.synthetic.tasks import LogisticTask, SquaresTask
from ..problem import Problem
from ..problem.learning_rules import back_propagation

FLAT = (
    1e-12  # eigenvalues of Hessians below this part of the largest are rounding, of float32 rows too, and count as zero
)


class Constants(NamedTuple):
    """What is known of f_1 .. f_n and of their stochastic gradients.

    Args:
      L, mu: the largest and smallest eigenvalue that Hessians of the f_i have (of logistic regression: bounds of them).
      apart: sqrt((1/n) sum_i ||grad f_i(x) - grad f_i(y) - (grad f(x) - grad f(y))||^2) is at most apart ||x - y||.
      zeta2: (1/n) sum_i ||grad f_i(x_star)||^2. x_star: [d], the minimizer of f. f_star: f(x_star).
      at_star, growth: (1/n) sum_i E ||noise of node i's gradient||^2 is at most (at_star + growth r)^2, with r^2 the mean squared
        distance of the models to x_star; None where no bound is known, and `no_noise` says why.
      hessians, pulls: [n, d, d] and [n, d] of quadratics, grad f_i(x) = A_i x - b_i; None of others.
      variance: [n], of each coordinate of gradient noise that does not depend on x; None where it does.
    """

    name: str
    L: float
    mu: float
    apart: float
    zeta2: float
    x_star: np.ndarray
    f_star: float
    at_star: float | None
    growth: float
    no_noise: str = ""
    hessians: np.ndarray | None = None
    pulls: np.ndarray | None = None
    offset: float = 0.0
    variance: np.ndarray | None = None
    gradients: Any = None

    def words(self) -> str:
        """One line."""
        noise = self.no_noise or "gradients without noise"
        if self.at_star or self.growth:
            noise = f"gradient noise at most ({self.at_star:.3g} + {self.growth:.3g} r)^2 at distance r"
        return (
            f"{self.name}: L {self.L:.4g}, mu {self.mu:.4g}, zeta2 {self.zeta2:.4g}, f_star {self.f_star:.6g}; {noise}"
        )


def constants(problem: Problem) -> Constants | str:
    """Compute them, or say in words why they are not known."""
    task = problem.task
    if not isinstance(task, (SquaresTask, LogisticTask)):
        return f"the constants of {type(task).__name__} are not known: L, mu and zeta2 are those of squares and logistic regression alone"
    if not isinstance(problem.rule, back_propagation):
        return f"what the learning rule {type(problem.rule).__name__} descends along has no known constants"
    if problem.augment or problem.source is not None or problem.rules:
        return "augmentations, sources of experience and roles of leaves change the losses, whose constants are then not known"
    data = problem.data
    index, count = (np.asarray(jax.device_get(x)) for x in (data.index, data.count))
    rows = {k: np.asarray(jax.device_get(v), np.float64) for k, v in data.arrays.items()}
    nodes = [{k: v[index[i, : count[i]]] for k, v in rows.items()} for i in range(len(count))]
    made = _squares(task, nodes) if isinstance(task, SquaresTask) else _logistic(task, nodes)
    return _with_noise(made, task, nodes, problem.sampler, count)


def _squares(task: SquaresTask, nodes: list[dict[str, np.ndarray]]) -> Constants:
    a = [_matrices(node) for node in nodes]  # [rows, r, d] each
    b = [node["y"].reshape(len(node["y"]), -1) for node in nodes]
    hessians = np.stack([np.einsum("rkd,rke->de", x, x) / len(x) for x in a])
    pulls = np.stack([np.einsum("rkd,rk->d", x, y) / len(x) for x, y in zip(a, b, strict=True)])
    offset = float(np.mean([0.5 * np.sum(y**2) / len(y) for y in b]))
    x_star = np.linalg.lstsq(hessians.mean(0), pulls.mean(0), rcond=FLAT)[0]
    values = np.linalg.eigvalsh(hessians)
    most, least = float(values.max()), float(values.min())
    return Constants(
        "squares", most, least if least > FLAT * most else 0.0, _apart(hessians), _spread(hessians @ x_star - pulls), x_star,
        float(offset - 0.5 * pulls.mean(0) @ x_star), 0.0, 0.0, hessians=hessians, pulls=pulls, offset=offset,
        gradients=lambda x: np.einsum("nij,nj->ni", hessians, x) - pulls,
    )  # fmt: skip


def _matrices(node: dict[str, np.ndarray]) -> np.ndarray:
    return node["x"][:, None, :] if node["x"].ndim == 2 else node["x"]


def _logistic(task: LogisticTask, nodes: list[dict[str, np.ndarray]]) -> Constants:
    signed = [(2 * node["y"] - 1)[:, None] * node["x"] for node in nodes]

    def gradients(x: np.ndarray) -> np.ndarray:
        """Of node i at x[i], [n, d]."""
        return np.stack([-(s.T @ _sigmoid(-(s @ y))) / len(s) + task.l2 * y for s, y in zip(signed, x, strict=True)])

    def value(x: np.ndarray) -> float:
        return float(np.mean([np.logaddexp(0, -(s @ x)).mean() for s in signed]) + 0.5 * task.l2 * x @ x)

    n, dim = len(signed), signed[0].shape[1]
    x = np.zeros(dim)
    for _ in range(200):  # damped Newton steps on a strictly convex function
        gradient = gradients(np.tile(x, (n, 1))).mean(0)
        odds = [_sigmoid(s @ x) for s in signed]
        curved = sum((s.T * (p * (1 - p))) @ s / len(s) for s, p in zip(signed, odds, strict=True)) / n
        step, size = np.linalg.solve(curved + task.l2 * np.eye(dim), gradient), 1.0
        while size > 1e-6 and value(x - size * step) > value(x) + 1e-15:
            size /= 2
        x = x - size * step
        if np.linalg.norm(step) <= 1e-14 * (1 + np.linalg.norm(x)):
            break
    steepest = max(float(np.linalg.eigvalsh(s.T @ s / len(s))[-1]) for s in signed) / 4 + task.l2
    zeta2 = _spread(gradients(np.tile(x, (n, 1))))
    return Constants(
        "logistic",
        steepest,
        float(task.l2),
        steepest - float(task.l2),
        zeta2,
        x,
        value(x),
        0.0,
        0.0,
        gradients=gradients,
    )


def _apart(hessians: np.ndarray) -> float:
    off = hessians - hessians.mean(0)
    return float(np.sqrt(max(np.linalg.eigvalsh(np.einsum("nij,nik->jk", off, off) / len(off))[-1], 0)))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _spread(gradients: np.ndarray) -> float:
    return float((gradients**2).sum(1).mean())


def _with_noise(
    made: Constants,
    task: SquaresTask | LogisticTask,
    nodes: list[dict[str, np.ndarray]],
    sampler: Any,
    count: np.ndarray,
) -> Constants:
    """Add what sampling and the task's own noise do to gradients."""
    own = float(getattr(task, "noise", 0.0)) ** 2  # of one row
    if isinstance(sampler, Full):
        return made._replace(at_star=float(np.sqrt(np.mean(own / count))), variance=own / count / len(made.x_star))
    if isinstance(sampler, (Epoch, Poisson)):
        how = "epochs" if isinstance(sampler, Epoch) else "Poisson sampling"
        return made._replace(
            at_star=None,
            no_noise=f"gradients of batches by {how} are not unbiased, so that no bound here holds for them",
        )
    if made.hessians is None:  # |sigmoid| < 1, whatever x is
        at = [np.mean(np.sum(node["x"] ** 2, 1)) for node in nodes]
        return made._replace(at_star=float(np.sqrt(np.mean(np.asarray(at) / sampler.batch_size))))
    at, growth = [], []
    for node, hessian in zip(nodes, made.hessians, strict=True):
        a, y = _matrices(node), node["y"].reshape(len(node["y"]), -1)
        rest = np.einsum("rkd,rk->rd", a, a @ made.x_star - y)
        at.append(np.mean(np.sum((rest - rest.mean(0)) ** 2, 1)) + own)
        off = np.einsum("rkd,rke->rde", a, a) - hessian
        growth.append(np.linalg.eigvalsh(np.einsum("rdi,rdj->ij", off, off) / len(off))[-1])
    by = lambda x: float(np.sqrt(max(x, 0) / sampler.batch_size))
    return made._replace(at_star=by(np.mean(at)), growth=by(np.max(growth)))


__all__ = ["FLAT", "Constants", "constants"]
