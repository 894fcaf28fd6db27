"""Keep some runs of a history: those named, or of each method the best values."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import bad
from .history import History


def choose(history: History, names: Sequence[str], by: str | None = None) -> History:
    """Keep the best of the values of some swept fields, for each run and all other fields.

    Args:
      history: of a sweep.
      names: what to choose, as labels say it: ["lr"] keeps of "D-PSGD lr=0.1, alpha=1.0" and its like
        one rate for each alpha, and calls it "D-PSGD alpha=1.0".
      by: the number that ranks; None: that of `History.measure`, validation where there is one.
    Returns:
      History of the runs that were chosen; `facts[label]["chosen"]` holds their values.
    Raises:
      ValueError: no sweep, or a name that it did not go over.
    """
    swept = {run: history.facts.get(run, {}).get("swept") for run in history.runs}
    known = sorted({name for found in swept.values() if found for name in found["over"]})
    for name in names:
        if name not in known:
            instead = f"give one of {', '.join(known)}" if known else "give the directory of a sweep"
            raise bad("choose", name, says=f"is {name!r}, which no run was swept over", instead=instead)
    groups: dict[str, list[str]] = {}
    for run, found in swept.items():
        groups.setdefault(without(run, found, names), []).append(run)
    best = {label: taken(history, {run: run for run in runs}).best(by) for label, runs in groups.items()}
    out = taken(history, {run: label for label, run in best.items() if run is not None})
    for label, run in best.items():
        if run is not None:
            over = (swept[run] or {"over": {}})["over"]
            out.facts[label]["chosen"] = {name: over[name] for name in names if name in over}
    return out


def taken(history: History, names: Mapping[str, str]) -> History:
    """Some runs under new labels, in this order: {label: new label}."""
    records = [
        record | {"run": new} for label, new in names.items() for record in history.records if record["run"] == label
    ]
    kept = lambda of: {new: of[label] for label, new in names.items() if label in of}
    out = History(
        records,
        kept(history.facts),
        states=kept(history._states),
        interrupted=history.interrupted,
        directory=history.directory,
    )
    out.higher = dict(history.higher)
    out.graphs, out.theory, out.held = kept(history.graphs), kept(history.theory), history.held.renamed(names)
    return out


def only(history: History, labels: Sequence[str]) -> History:
    """Keep some runs: by their label, or of a sweep by that of the run that was varied.

    Raises:
      ValueError: a label that no run has.
    """
    swept = {run: (history.facts.get(run, {}).get("swept") or {}).get("run", "") for run in history.runs}
    for label in labels:
        if label not in swept and label not in swept.values():
            known = ", ".join(dict.fromkeys(name or run for run, name in swept.items()))
            raise bad("only", label, instead=f"give labels of {known}")
    return taken(history, {run: run for run, name in swept.items() if run in labels or (name and name in labels)})


def said(history: History) -> str:
    """Which values were chosen, in one line; nothing where none were."""
    found = {run: facts.get("chosen") for run, facts in history.facts.items()}
    words = [f"{run}: {', '.join(f'{k}={v}' for k, v in values.items())}" for run, values in found.items() if values]
    return f"chosen by {history.measure()}: {'; '.join(words)}" if words else ""


def without(run: str, found: dict[str, Any] | None, names: Sequence[str]) -> str:
    """The label of a run without some of its fields."""
    if found is None:
        return run
    left = ", ".join(f"{name}={value}" for name, value in found["over"].items() if name not in names)
    return " ".join(filter(None, (found["run"], left))) or "best"


__all__ = ["choose", "only", "said", "taken", "without"]
