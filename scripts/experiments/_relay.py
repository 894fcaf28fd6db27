"""The random quadratics of RelaySGD's figures, drawn as their code draws them, and the steps that a method takes on them.

f_i(x) = 0.5 norm(A_i x - b_i)^2 with singular values of A_i evenly from mu to 1, zeta^2 the mean square of grad f_i(x*), and x* at a
distance r0 from the start at 0. Their code runs on PyTorch; `Draws` gives the numbers of its generator on CPUs, so that the problems are
the same ones.

Reference: Vogels et al., RelaySum for decentralized deep learning on heterogeneous data, 2021; epfml/relaysgd, paper-figures/.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj

SOURCE = "Vogels et al., RelaySum for decentralized deep learning on heterogeneous data, 2021; numbers: epfml/relaysgd, paper-figures/"
DIM, MU, TARGET = 10, 0.5, 1e-6
BLOCK = 16  # normal numbers that PyTorch makes of as many uniform ones at a time


class Draws:
    """Normal numbers as `torch.manual_seed(seed); torch.randn(..., dtype=torch.float64)` gives them on a CPU.

    A Mersenne Twister, two words for each uniform number, and the transform of Box and Muller: in blocks of 16, or for fewer
    than 16 numbers in pairs.
    """

    def __init__(self, seed: int):
        self._bits = np.random.RandomState(seed)._bit_generator
        self._kept: float | None = None

    def _uniform(self, count: int) -> np.ndarray:
        words = self._bits.random_raw(2 * count).astype(np.uint64)
        return ((words[::2] << np.uint64(32) | words[1::2]) & np.uint64(2**53 - 1)) / 2.0**53

    def _pairwise(self) -> float:
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        angle, size = self._uniform(2)
        radius = math.sqrt(-2 * math.log1p(-size))
        self._kept = radius * math.sin(2 * math.pi * angle)
        return radius * math.cos(2 * math.pi * angle)

    @staticmethod
    def _blocks(uniform: np.ndarray) -> np.ndarray:
        size, angle = uniform.reshape(-1, 2, BLOCK // 2).transpose(1, 0, 2)
        radius = np.sqrt(-2 * np.log(1 - size))
        return np.concatenate([radius * np.cos(2 * math.pi * angle), radius * np.sin(2 * math.pi * angle)], 1).ravel()

    def normal(self, *shape: int) -> np.ndarray:
        """Independent N(0, 1), float64."""
        count = math.prod(shape)
        if count < BLOCK:
            return np.array([self._pairwise() for _ in range(count)]).reshape(shape)
        out, whole = self._uniform(count), count // BLOCK * BLOCK
        out[:whole] = self._blocks(out[:whole])
        if count > whole:  # the last 16 are drawn once more
            out[-BLOCK:] = self._blocks(self._uniform(BLOCK))
        return out.reshape(shape)


@dataclass(frozen=True)
class Quadratics:
    """Node i holds a[i] [d, d] and b[i] [d]; `best` [d] is the minimizer of the mean loss."""

    a: np.ndarray
    b: np.ndarray
    best: np.ndarray

    def excess(self, x: np.ndarray) -> float:
        """What their code calls suboptimality: twice f(x) - f(x*)."""
        return float(((self.a @ (x - self.best)) ** 2).sum() / len(self.a))

    def problem(self) -> dj.Problem:
        """The same for dejax, gradients on all of a node's data."""
        clients = [(a[None], b[None]) for a, b in zip(self.a, self.b, strict=True)]
        return dj.Problem(dj.tasks.from_functions(start, loss), dj.data.from_clients(clients))


def start(key: jax.Array) -> dict[str, jax.Array]:
    """All models start at 0."""
    del key
    return {"x": jnp.zeros(DIM)}


def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
    """0.5 norm(A x - b)^2 of each row of the batch."""
    del key
    return 0.5 * ((batch["x"] @ params["x"] - batch["y"]) ** 2).sum(1)


def quadratics(nodes: int, zeta2: float, distance: float, seed: int) -> Quadratics:
    """A problem of theirs. distance: of the start to the optimum."""
    draws = Draws(seed)
    left, _, right = np.linalg.svd(draws.normal(nodes, DIM, DIM))
    a = (left * np.linspace(MU, 1, DIM)) @ right
    away = np.einsum("nij,nj->ni", a, draws.normal(nodes, DIM))
    middle = np.linalg.solve(np.einsum("nij,nik->jk", a, a), np.einsum("nij,ni->j", a, away))
    b = away - a @ middle  # the optimum is at 0
    b *= math.sqrt(zeta2 / (np.einsum("nij,ni->nj", a, b) ** 2).sum(1).mean())
    best = draws.normal(DIM)
    best *= distance / np.linalg.norm(best)
    return Quadratics(a, b + a @ best, best)


def looked_at(most: int) -> set[int]:
    """The steps at which their code looks: 1,000 of them up to `most`, evenly in the logarithm, and those that coincide once."""
    return set(np.round(2 ** np.linspace(0, math.log2(most), 1000)).astype(int).tolist())


def steps(method: Any, graph: dj.topology.Topology, made: Quadratics, most: int) -> int:
    """The first step at which their code looks and finds the mean model within 1e-6; 0 where there is none up to `most`."""
    looks = looked_at(most)

    def excess(view: dj.metrics.View) -> dict[str, float]:
        return {"excess": made.excess(np.asarray(view.params["x"]).mean(0))}

    def done(record: dict[str, Any]) -> bool:
        return record["round"] in looks and record["excess"] < TARGET

    history = dj.simulate(
        method, made.problem(), dj.Network(graph.astype("float64")), most, every=1, metrics=excess, callbacks=done, progress=False
    )  # fmt: skip
    last = history.records[-1]
    return last["round"] if done(last) else 0


def ring(nodes: int) -> dj.topology.Topology:
    """A ring for D2: the least eigenvalue of its usual weights is -1/3, where D2 is refused; 1e-4 of the identity is mixed in."""
    return dj.topology.ring(nodes, weights=dj.topology.lazy(a=1 - 1e-4))
