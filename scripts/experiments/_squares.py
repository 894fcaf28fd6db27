"""Heterogeneous least squares with a known optimum, and the distance to it: what several experiments run on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import dejax as dj

from ._page import finished

L, MU = 1.0, 0.3


@functools.cache
def least_squares(nodes: int, dim: int, zeta2: float, seed: int) -> tuple[Any, dj.Problem]:
    """(problem with its constants and optimum, the same to train on), full batches, float64."""
    made = dj.data.least_squares(nodes=nodes, dim=dim, L=L, mu=MU, zeta2=zeta2, seed=seed, dtype="float64")
    return made, dj.Problem(made.task, made.data)


def hessians(made: Any) -> np.ndarray:
    """[n, d, d], from differences of gradients, which are linear."""
    d = len(made.x_star)
    at_zero = made.gradients(np.zeros(d))
    return np.stack([made.gradients(e) - at_zero for e in np.eye(d)], -1)


@functools.cache
def _optimum(rows: bytes, targets: bytes, dim: int) -> np.ndarray:
    """The least squares solution; nodes hold equally many rows."""
    x, y = np.frombuffer(rows).reshape(-1, dim), np.frombuffer(targets)
    return np.linalg.lstsq(x, y, rcond=None)[0]


def distance(view: dj.metrics.View) -> dict[str, float]:
    """Metric: root mean squared distance of the nodes' models to the optimum, and that of their mean."""
    x, arrays = np.asarray(view.params["x"]), {k: np.asarray(a) for k, a in view.data.arrays.items()}
    best = _optimum(arrays["x"].tobytes(), arrays["y"].tobytes(), x.shape[-1])
    models = np.atleast_2d(x)
    mean = models.mean(0)
    return {
        "distance": float(np.sqrt(((models - best) ** 2).sum(1).mean())),
        "distance/mean_model": float(np.linalg.norm(mean - best)),
    }


def over_data(
    make: Callable[..., Any], network: Any, problems: Sequence[dj.Problem], rounds: int, every: int, **over: Any
) -> dj.History:
    """A sweep whose runs differ in numbers alone, those of the problems among them: one program.

    make: the method, of the names in `over`. network: one for all runs.
    """
    build = lambda data, **values: (make(**values), problems[data], network)
    return finished(
        dj.sweep(
            build,
            {**over, "data": range(len(problems))},
            rounds,
            every=every,
            metrics=[distance, "consensus"],
            progress=False,
        )
    )


def by_data(history: dj.History, name: str, problems: int, prefix: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Rounds [R], and a number [problems, R] of the runs "PREFIXdata=0", "PREFIXdata=1", ..."""
    found = [history.series(name, f"{prefix}data={k}") for k in range(problems)]
    return found[0][0], np.concatenate([values for _, values in found])


def distance_to(
    targets: Sequence[np.ndarray], problems: Sequence[dj.Problem]
) -> Callable[[dj.metrics.View], dict[str, float]]:
    """A metric: root mean squared distance of the models to the target of their problem, told apart by its targets y."""
    of = {np.asarray(p.data.arrays["y"]).tobytes(): target for p, target in zip(problems, targets, strict=True)}

    def near(view: dj.metrics.View) -> dict[str, float]:
        models = np.atleast_2d(np.asarray(view.params["x"]))
        best = of[np.asarray(view.data.arrays["y"]).tobytes()]
        return {"distance": float(np.sqrt(((models - best) ** 2).sum(1).mean()))}

    return near
