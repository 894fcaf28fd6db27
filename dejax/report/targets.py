"""The best of a run, and what it had spent when a number was at its target."""

import math

import numpy as np

from ..core.checks import finite
from ..errors import bad
from ..metrics import direction
from .endings import ended_well, status_of
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
        if ended_well(status_of(history, run)) and any(name in r for r in history.records if r["run"] == run)
    }
    scores = {run: score for run, score in scores.items() if math.isfinite(score)}
    return max(scores, key=lambda run: scores[run]) if scores else None


def finals(history: History, name: str, run: str | None = None) -> np.ndarray:
    """A number at the last evaluation that has it, of each seed [seeds].

    Of a seed that ended early it is that at its last.

    Raises:
      ValueError: no record of that run holds the name.
    """
    run = history._run(run)
    rounds, values = history.series(name, run)
    if values.shape[1] == 0:
        raise bad("name", name, why=f"but run {run!r} has no {name!r} yet", instead="run more rounds")
    last: dict[int, int] = {}
    for r in history.records:
        if r["run"] == run:
            last[r["seed"]] = max(r["round"], last.get(r["seed"], 0))
    ends = np.array([last[seed] for seed in history.seeds(run)])
    return values[np.arange(len(values)), np.maximum(np.searchsorted(rounds, ends, side="right") - 1, 0)]


def at_best(history: History, name: str, by: str | None = None, run: str | None = None) -> np.ndarray:
    """A number at the evaluation where another one was best, of each seed [seeds].

    That is the test part where the validation part chose.

    Args:
      name: e.g. "accuracy/local". by: the number that chooses, e.g. "accuracy/validation"; None: the one that ranks runs.
        Of equal ones the first counts.
    Raises:
      ValueError: unknown name or run; a seed without a finite value to choose by; nothing says which way that is better.
    """
    run = history._run(run)
    by = history.measure() if by is None else by
    if by is None:
        raise bad("by", by, why="but no number ranks these runs", instead="give the name of one")
    peaks(history, by, run)  # refuses seeds without a finite value
    (when, chosen), (rounds, values) = history.series(by, run), history.series(name, run)
    sign = 1 if higher_is_better(history, by) else -1
    scores = np.where(np.isfinite(chosen), sign * chosen, -np.inf)
    place = {t: i for i, t in enumerate(rounds.tolist())}
    at = [place.get(t, -1) for t in when[scores.argmax(1)].tolist()]
    return np.array([values[i, k] if k >= 0 else np.nan for i, k in enumerate(at)])


def on_test(history: History, run: str | None = None) -> str | None:
    """The number of the test part that is of the same rows as validation.

    Those are each node's own, or common to all. None where runs are not chosen by a validation part, or no such number was measured.
    """
    by, runs = history.measure(), history.runs if run is None else [run]
    if by is None or not by.endswith("/validation"):
        return None
    own = any(history.facts.get(label, {}).get("validation") == "own" for label in runs)
    names = [by.replace("/validation", end) for end in (*(["/own_test"] if own else []), "/local", "/mean_model")]
    held = {name for r in history.records if r["run"] in runs for name in names if r.get(name) is not None}
    return next((name for name in names if name in held), None)


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


__all__ = [
    "RANKS", "at_best", "best", "declared", "finals", "higher_is_better", "on_test", "peak", "peaks", "to_target",
]  # fmt: skip
