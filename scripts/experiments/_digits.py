"""Small perceptrons on unequal digits: what several experiments compare methods on."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import dejax as dj

from ._page import figure, finished, spread

SETUP = {"task": {"mlp": {"hidden": [32]}}, "batch_size": 16}


def problem(partition: Any, nodes: int, seed: int = 0, **more: Any) -> dj.Problem:
    """Digits split over the nodes, a perceptron with 32 hidden units, batches of 16."""
    data = dj.data.digits(flat=True).partition(partition, nodes=nodes, seed=seed)
    return dj.Problem(dj.tasks.mlp(hidden=[32]), data, **({"batch_size": 16} | more))


def compare(runs: Mapping[str, Any], rounds: int, seeds: Iterable[int], every: int, metrics: Any = None) -> dj.History:
    """All runs, a label each, for all seeds."""
    more = {} if metrics is None else {"metrics": metrics}
    return finished(dj.compare(dict(runs), rounds=rounds, seeds=list(seeds), every=every, progress=False, **more))


def best_rate(
    make: Callable[[float], Any],
    rates: Iterable[float],
    of: tuple[Any, Any],
    rounds: int,
    seeds: Iterable[int],
    name: str,
    every: int,
) -> tuple[float, np.ndarray, np.ndarray]:
    """The rate with the best mean of a number at the end, and its curve: rate, rounds [R], values [seeds, R]."""
    build = lambda lr: (make(lr), *of)
    history = finished(
        dj.sweep(build, {"lr": list(rates)}, rounds, seeds=list(seeds), every=every, metrics=["local_models", "mean_model", "consensus"], progress=False)
    )  # fmt: skip
    found = {lr: history.series(name, f"lr={lr}") for lr in rates}
    found = {lr: (at, got) for lr, (at, got) in found.items() if got.size and np.isfinite(got[:, -1]).all()}
    lr = max(found, key=lambda lr: found[lr][1][:, -1].mean())
    return lr, *found[lr]


def last(history: dj.History, name: str, run: str) -> np.ndarray:
    """A number at the end, [seeds]."""
    return history.series(name, run)[1][:, -1]


def percent(values: np.ndarray) -> str:
    """Mean and deviation of shares, in percent."""
    return spread(100 * values, ".1f")


def curves(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], x: str, y: str, **axes: Any) -> Any:
    """A panel for each title: means over seeds, label -> (x [R], values [seeds, R])."""
    drawn, all_axes = figure(panels=len(panels))
    for ax, (title, lines) in zip([all_axes] if len(panels) == 1 else all_axes, panels.items(), strict=True):
        for label, (at, values) in lines.items():
            ax.plot(at, np.atleast_2d(values).mean(0), linewidth=1.1, label=label)
        ax.set(xlabel=x, ylabel=y, title=title, **axes)
        ax.legend(fontsize=6)
    return drawn
