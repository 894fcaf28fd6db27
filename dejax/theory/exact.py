"""Exact recursions of methods on quadratics: mean and covariance of all models.

On f_i(x) = x' A_i x / 2 - b_i' x the round of a method that is linear in models and gradients is an affine map of its state, and
gradient noise that does not depend on x is added to it:

    z <- M z + v + N xi,    E z <- M E z + v,    Cov z <- M Cov z M' + N Cov xi N'
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import methods
from ..core.types import Method
from .constants import FLAT

DOUBLINGS = 32  # of the map, until what it leads to counts as its limit
MOST = 1500  # numbers of a state of which matrices are formed
Rate = float | np.ndarray  # of all nodes, or [n, 1]
Gradient = Callable[[np.ndarray, int], np.ndarray]


class Linear(NamedTuple):
    """A method as an affine map.

    Args:
      blocks: models that the state holds for each node. draws: gradients of a round.
      step: (z [..., blocks, n, d], W [n, n], lr, gradient) -> the next z; gradient(x, k) is the k-th one of the round at x [..., n, d].
      kept: rows [., blocks] such that sum_b kept[b] mean(z_b) never changes, and is zero.
    """

    blocks: int
    draws: int
    step: Callable[..., np.ndarray]
    kept: tuple[tuple[float, ...], ...] = ()


def linear(method: Method) -> Linear | None:
    """The map of a method; None where none is written down."""
    made: Any = method
    if isinstance(method, methods.dsgd):
        orders = {"atc": _adapt_combine, "awc": _adapt_with_combine, "cta": _combine_adapt}
        return Linear(1, 1, orders[made.order])
    if isinstance(method, methods.local_sgd):
        return Linear(1, made.local_steps, _local(made.local_steps))
    if isinstance(method, methods.gradient_tracking):
        return Linear(3, 1, _track, kept=((0.0, 1.0, -1.0),))
    return None


def _mix(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,...jd->...id", w, x)


def _adapt_combine(z: np.ndarray, w: np.ndarray, lr: Rate, gradient: Gradient) -> np.ndarray:
    x = z[..., 0, :, :]
    return _mix(w, x - lr * gradient(x, 0))[..., None, :, :]


def _adapt_with_combine(z: np.ndarray, w: np.ndarray, lr: Rate, gradient: Gradient) -> np.ndarray:
    x = z[..., 0, :, :]
    return (_mix(w, x) - lr * gradient(x, 0))[..., None, :, :]


def _combine_adapt(z: np.ndarray, w: np.ndarray, lr: Rate, gradient: Gradient) -> np.ndarray:
    x = _mix(w, z[..., 0, :, :])
    return (x - lr * gradient(x, 0))[..., None, :, :]


def _local(steps: int) -> Callable[..., np.ndarray]:
    def step(z: np.ndarray, w: np.ndarray, lr: Rate, gradient: Gradient) -> np.ndarray:
        y = z[..., 0, :, :]
        for k in range(steps):
            y = y - lr * gradient(y, k)
        return _mix(w, y)[..., None, :, :]

    return step


def _track(z: np.ndarray, w: np.ndarray, lr: Rate, gradient: Gradient) -> np.ndarray:
    x, y, last = (z[..., b, :, :] for b in range(3))
    new = gradient(x, 0)
    y = _mix(w, y) + new - last
    return np.stack([_mix(w, x - lr * y), y, new], axis=-3)


class Moments(NamedTuple):
    """What is known of a state.

    Args:
      mean: [starts, blocks, n, d], from each start. cov: [size, size] around it, the same from all; None without noise.
    """

    mean: np.ndarray
    cov: np.ndarray | None

    @property
    def models(self) -> "Moments":
        """Mean [starts, n, d] and covariance [n, d, n, d] of the models alone."""
        mean = self.mean[:, 0]
        n, d = mean.shape[1:]
        cov = None if self.cov is None else self.cov[: n * d, : n * d].reshape(n, d, n, d)
        return Moments(mean, cov)


class System:
    """The affine map of one run: quadratics, W of each round of a period, a rate for each round."""

    def __init__(
        self, form: Linear, hessians: np.ndarray, pulls: np.ndarray, variance: np.ndarray, mixing: list[np.ndarray]
    ):
        self.form, self.hessians, self.pulls, self.mixing = form, hessians, pulls, mixing
        self.n, self.d = pulls.shape
        self.size = form.blocks * self.n * self.d
        self.variance = np.tile(np.repeat(variance, self.d), form.draws)  # of xi [draws, n, d]
        self.noisy = bool(variance.any())

    def advance(self, z: np.ndarray, t: int, lr: Rate, xi: np.ndarray | None = None, pull: float = 1.0) -> np.ndarray:
        """One round of z [..., blocks, n, d]; xi: [..., draws, n, d]."""

        def gradient(x: np.ndarray, k: int) -> np.ndarray:
            out = np.einsum("nij,...nj->...ni", self.hessians, x) - pull * self.pulls
            return out if xi is None else out + xi[..., k, :, :]

        return self.form.step(z, self.mixing[t % len(self.mixing)], lr, gradient)

    def matrices(self, t: int, lr: Rate) -> tuple[np.ndarray, np.ndarray]:
        """(M, N) of round t."""
        shape, draws = (self.form.blocks, self.n, self.d), (self.form.draws, self.n, self.d)
        basis = np.eye(self.size).reshape(-1, *shape)
        m = self.advance(basis, t, lr, pull=0.0).reshape(self.size, -1).T
        each = np.eye(int(np.prod(draws))).reshape(-1, *draws)
        noise = self.advance(np.zeros((len(each), *shape)), t, lr, each, pull=0.0)
        return m, noise.reshape(len(each), -1).T

    def start(self, x: np.ndarray) -> Moments:
        """The state before round 0, from models [starts, n, d]; all else is zero."""
        z = np.zeros((len(x), self.form.blocks, self.n, self.d))
        z[:, 0] = x
        return Moments(z, np.zeros((self.size, self.size)) if self.noisy else None)

    def moments(self, first: Moments, rates: list[Rate], begin: int = 0) -> Iterator[Moments]:
        """The state after each of the rounds `begin`, ..., one for each rate."""
        (z, cov), made, of = first, None, None
        for t, lr in enumerate(rates, begin):
            if cov is not None:
                key = (t % len(self.mixing), np.asarray(lr).tobytes())
                if made is None or key != of:
                    made, of = self.matrices(t, lr), key
                m, noise = made
                cov = m @ cov @ m.T + (noise * self.variance) @ noise.T
            z = self.advance(z, t, lr)
            yield Moments(z, cov)

    def seen(self) -> np.ndarray:
        """Orthonormal directions of states, [size, .], that matter.

        Runs are in them, and f(xbar) or the consensus distance depends on them. Left out are sums that never change and are zero (`kept`), and shifts of all models along a v for which all losses are
        flat: M maps them to themselves, noise may move them without end, and neither number sees them.
        """
        ones, values = np.full(self.n, self.n**-0.5), np.linalg.eigh(self.hessians.mean(0))
        flat = values[1].T[values[0] <= FLAT * max(values[0].max(), 0)]
        first = np.eye(self.form.blocks)[0]
        kept = np.asarray(self.form.kept, float).reshape(-1, self.form.blocks)
        rows = [np.einsum("b,n,d->bnd", first, ones, v) for v in flat]
        rows += [np.einsum("b,n,d->bnd", row, ones, v) for row in kept for v in np.eye(self.d)]
        if not rows:
            return np.eye(self.size)
        return np.linalg.svd(np.stack(rows).reshape(len(rows), -1))[2][len(rows) :].T

    def limit(self, lr: Rate) -> Moments:
        """The state in the end, after whole periods, where the factor is below 1.

        It is that up to what neither number sees, and does not depend on the start. Found by doubling the map of a period 32 times.
        """
        m, v, cov = np.eye(self.size), np.zeros(self.size), np.zeros((self.size, self.size))
        for t in range(len(self.mixing)):
            one, noise = self.matrices(t, lr)
            zero = self.advance(np.zeros((self.form.blocks, self.n, self.d)), t, lr).ravel()
            m, v, cov = one @ m, one @ v + zero, one @ cov @ one.T + (noise * self.variance) @ noise.T
        basis = self.seen()
        m, v, cov = basis.T @ m @ basis, v @ basis, basis.T @ cov @ basis
        for _ in range(DOUBLINGS):
            m, v, cov = m @ m, m @ v + v, m @ cov @ m.T + cov
        mean = (basis @ v).reshape(1, self.form.blocks, self.n, self.d)
        return Moments(mean, basis @ cov @ basis.T if self.noisy else None)

    def rate(self, lr: Rate) -> float:
        """The factor per round by which the state nears its limit in the end: a spectral radius."""
        m = np.eye(self.size)
        for t in range(len(self.mixing)):
            m = self.matrices(t, lr)[0] @ m
        basis = self.seen()
        return float(np.abs(np.linalg.eigvals(basis.T @ m @ basis)).max(initial=0) ** (1 / len(self.mixing)))


def consensus(models: Moments) -> float:
    """E (1/n) sum_i ||x_i - xbar||^2, over the starts and the noise."""
    mean, cov = models
    out = float(((mean - mean.mean(1, keepdims=True)) ** 2).sum(2).mean())
    if cov is None:
        return out
    n = len(cov)
    return out + max(
        float(np.einsum("idid->", cov) / n - np.einsum("idjd->", cov) / n**2), 0.0
    )  # rounding alone is below


def excess(models: Moments, hessian: np.ndarray, x_star: np.ndarray) -> float:
    """E f(xbar) - f_star, over the starts and the noise; hessian: [d, d], of f."""
    mean, cov = models
    e = mean.mean(1) - x_star
    out = 0.5 * float(np.einsum("sd,de,se->", e, hessian, e)) / len(e)
    if cov is None:
        return out
    return out + 0.5 * float(np.einsum("de,idje->", hessian, cov)) / len(cov) ** 2


__all__ = ["DOUBLINGS", "MOST", "Linear", "Moments", "Rate", "System", "consensus", "excess", "linear"]
