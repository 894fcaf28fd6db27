"""The best of a run, and what it had spent when a number was at its target."""

import math

import numpy as np

from ..core.checks import finite
from ..errors import bad
from ..metrics import direction
from .history import History, spent

# by which runs are ranked where nothing else is said: the first that was measured
RANKS = (
    "accuracy/validation", "loss/validation", "accuracy/local", "accuracy/mean_model", "objective", "loss/local", "loss",
)  # fmt: skip


def higher_is_better(history: History, name: str, given: bool | None = None) -> bool:
    """Whether more of a number is better: as given, as declared, or as its name says.

    Raises:
      ValueError, TypeError: nothing says it; see `metrics.direction`.
    """
    return direction.needed(name, declared(history), given)


def declared(history: History) -> dict[str, bool]:
    """What tasks and metrics of its runs declare, and what was set in `History.higher`."""
    of_runs = [(facts.get("higher") or {}).items() for facts in history.facts.values()]
    return {name: more for items in of_runs for name, more in items} | history.higher


def best(history: History, name: str | None = None, higher: bool | None = None) -> str | None:
    """See `History.best`."""
    name = history.measure() if name is None else name
    if name is None:
        return None
    history._known(name)
    sign = 1 if higher_is_better(history, name, higher) else -1
    scores = {
        run: sign * history.last(name, run)
        for run in history.runs
        if not history.facts.get(run, {}).get("status", "done").startswith(("diverged", "failed", "nonfinite"))
        and any(name in r for r in history.records if r["run"] == run)
    }
    scores = {run: score for run, score in scores.items() if not math.isnan(score)}
    return max(scores, key=lambda run: scores[run]) if scores else None


def peak(history: History, name: str, run: str | None = None, higher: bool | None = None) -> float:
    """The best value of a number over all evaluations, averaged over seeds; see `peaks`."""
    return float(peaks(history, name, run, higher).mean())


def peaks(history: History, name: str, run: str | None = None, higher: bool | None = None) -> np.ndarray:
    """The best value of a number over all evaluations, of each seed [seeds].

    Args:
      name: e.g. "accuracy/local". run: label; may be left out when there is one run.
      higher: whether more is better; None: as declared, or as the name says.
    Raises:
      ValueError: a seed of that run has no finite value; nothing says which way is better.
    """
    values = history.series(name, run)[1]
    if not values.size or not np.isfinite(values).any(1).all():
        why = f"but a seed of run {history._run(run)!r} has no finite {name!r}"
        raise bad("name", name, why=why, instead="look at its records")
    of = np.nanmax if higher_is_better(history, name, higher) else np.nanmin
    return of(np.where(np.isfinite(values), values, np.nan), axis=1)


def to_target(
    history: History, name: str, target: float, run: str | None = None, by: str = "round", higher: bool | None = None
) -> np.ndarray:
    """What each seed of a run had spent when a number was first at its target.

    Args:
      name: e.g. "accuracy/local". target: reached from below where more is better, else from above. A finite number.
      by: "round", "bytes", "gradients", "epochs", "seconds", "wall", "flops" or "joules".
      higher: whether more is better; None: as declared, or as the name says.
    Returns:
      float64 [seeds], NaN for a seed that never got there. It is as fine as evaluations are: nothing
      is interpolated.
    Raises:
      ValueError, TypeError: unknown name, run or axis; a target that is no finite number; nothing says which way is better.
    """
    target = finite("target", target)
    run, by = history._run(run), history._axis(by)
    history._known(name)
    history._check_axis(by, run)
    sign = 1 if higher_is_better(history, name, higher) else -1
    first = dict.fromkeys(history.seeds(run), math.nan)
    for r in sorted((r for r in history.records if r["run"] == run), key=lambda r: r["round"]):
        there = r.get(name) is not None and sign * r[name] >= sign * target
        if there and math.isnan(first[r["seed"]]):
            first[r["seed"]] = spent(r, by)
    return np.array(list(first.values()), np.float64)


__all__ = ["RANKS", "best", "declared", "higher_is_better", "peak", "peaks", "to_target"]
