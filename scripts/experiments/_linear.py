"""Exact rates of methods on quadratics: the spectral radius of the linear map that a round is, written in NumPy from the papers.

On f_i(x) = x' H_i x / 2 - b_i' x every method here is s' = A s + a. With the same b the difference of two states obeys s' = A s, so
b drops out. States are arrays [parts, n, d, m], m of them side by side; a map is applied to the unit vectors to give A. Sums that a
method conserves (of trackers, corrections, duals) are eigenvalues 1 of A which its start at zero never excites: they are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Map = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Maps:
    """Maps of one round, by method.

    Attributes:
      hessians: [n, d, d]. weights: W, [n, n].
    """

    hessians: np.ndarray
    weights: np.ndarray

    def slope(self, x: np.ndarray) -> np.ndarray:
        """H_i x_i of every node."""
        return np.einsum("nde,nem->ndm", self.hessians, x)

    def mix(self, x: np.ndarray) -> np.ndarray:
        """W x."""
        return np.einsum("ij,jdm->idm", self.weights, x)

    def half(self, x: np.ndarray) -> np.ndarray:
        """(I + W) x / 2."""
        return (x + self.mix(x)) / 2

    def dsgd(self, lr: float) -> Map:
        """Adapt, then combine."""
        return lambda s: [self.mix(s[0] - lr * self.slope(s[0]))]

    def gradient_tracking(self, lr: float) -> Map:
        """State x, y."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            x = self.mix(s[0] - lr * s[1])
            return [x, self.mix(s[1]) + self.slope(x - s[0])]

        return one

    def augdgm(self, lr: np.ndarray) -> Map:
        """State x, y; a rate for every node."""
        rates = np.broadcast_to(lr, len(self.weights))[:, None, None]

        def one(s: np.ndarray) -> list[np.ndarray]:
            x = self.mix(s[0] - rates * s[1])
            return [x, self.mix(s[1] + self.slope(x - s[0]))]

        return one

    def kgt(self, lr: float, steps: int) -> Map:
        """State x, c."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            y = s[0]
            for _ in range(steps):
                y = y - lr * (self.slope(y) + s[1])
            z = (s[0] - y) / (steps * lr)
            return [self.mix(s[0] - steps * lr * z), s[1] - z + self.mix(z)]

        return one

    def mt_dsgdm(self, lr: float, momentum: float) -> Map:
        """State x, m, c."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            m = momentum * s[1] + self.slope(s[0])
            return [self.mix(s[0]) - lr * (m - s[2]), m, self.mix(s[2] - m) + m]

        return one

    def d2(self, lr: float, lazy: bool = False) -> Map:
        """State x, the x before; with `lazy` weights exact diffusion, and NIDS."""
        mix = self.half if lazy else self.mix
        return lambda s: [mix(2 * s[0] - s[1] - lr * self.slope(s[0] - s[1])), s[0]]

    def extra(self, lr: float) -> Map:
        """State x, the x before."""
        return lambda s: [s[0] + self.mix(s[0]) - self.half(s[1]) - lr * self.slope(s[0] - s[1]), s[0]]

    def led(self, lr: float, steps: int) -> Map:
        """State x, c."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            y = s[0]
            for _ in range(steps):
                y = y - lr * self.slope(y) + s[1] / steps
            x = self.mix(y)
            return [x, s[1] + x - y]

        return one

    def dadmm(self, lr: float, penalty: float, steps: int = 1) -> Map:
        """State x, f; one step is DLM."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            price = penalty * (s[0] - self.mix(s[0]))
            f, y = s[1] + price, s[0]
            for _ in range(steps):
                y = y - lr * (self.slope(y) + f + price + 2 * penalty * (y - s[0]))
            return [y, f]

        return one

    def relaysgd(self, lr: float, distances: np.ndarray) -> Map:
        """State: half steps of now and of before; node i averages those of j of distance - 1 rounds ago."""
        age = np.maximum(distances - 1, 0)

        def one(s: np.ndarray) -> list[np.ndarray]:
            x = sum(np.einsum("ij,jdm->idm", age == k, s[k]) for k in range(age.max() + 1)) / len(age)
            return [x - lr * self.slope(x), *s[:-1]]

        return one

    def scaffold(self, lr: float, steps: int) -> Map:
        """State x (equal rows), c_i; all nodes take part."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            x = y = np.broadcast_to(s[0].mean(0), s[0].shape)
            c = s[1].mean(0)
            for _ in range(steps):
                y = y - lr * (self.slope(y) - s[1] + c)
            return [np.broadcast_to(y.mean(0), y.shape), s[1] - c + (x - y) / (steps * lr)]

        return one

    def feddyn(self, lr: float, alpha: float, steps: int) -> Map:
        """State x (equal rows), d_i; all nodes take part."""

        def one(s: np.ndarray) -> list[np.ndarray]:
            x = y = np.broadcast_to(s[0].mean(0), s[0].shape)
            for _ in range(steps):
                y = y - lr * (self.slope(y) - s[1] + alpha * (y - x))
            d = s[1] - alpha * (y - x)
            return [np.broadcast_to(y.mean(0) - d.mean(0) / alpha, y.shape), d]

        return one


def rate(one: Map, parts: int, n: int, d: int) -> float:
    """Spectral radius of a map, eigenvalues 1 left out."""
    size = parts * n * d
    matrix = np.concatenate(one(np.eye(size).reshape(parts, n, d, size))).reshape(size, size)
    values = np.linalg.eigvals(matrix)
    return float(np.abs(values[np.abs(values - 1) > 1e-7]).max())


def fitted_rate(rounds: np.ndarray, distances: np.ndarray, low: float = 1e-12, high: float = 1e-5) -> float:
    """Factor per round at which distances [R] fell between `high` of their start and `low`: a line through their logarithms."""
    if not (distances < high * distances[0]).any():
        return float("nan")
    first = int(np.argmax(distances < high * distances[0]))
    last = int(np.argmax(distances < low)) if (distances < low).any() else len(distances)
    if last - first < 3:
        return float("nan")
    return float(np.exp(np.polyfit(rounds[first:last], np.log(distances[first:last]), 1)[0]))
