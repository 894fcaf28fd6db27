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
      History of the runs that were chosen; `facts[label]["chosen"]` holds their values, "chosen_by" the number. Where none of the
      values ended with a finite number, or the number was not measured, the run that went farthest stands for them; "unranked" holds what was tried.
    Raises:
      ValueError: no sweep, a name that it did not go over, or nothing measured that ranks.
    """
    by = history.measure() if by is None else by
    if by is None:
        raise bad("by", by, why="but nothing was measured that ranks runs", instead="give a number of history.names")
    history._known(by)
    swept = {run: history.facts.get(run, {}).get("swept") for run in history.runs}
    known = sorted({name for found in swept.values() if found for name in found["over"]})
    for name in names:
        if name not in known:
            instead = f"give one of {', '.join(known)}" if known else "give the directory of a sweep"
            raise bad("choose", name, says=f"is {name!r}, which no run was swept over", instead=instead)
    groups: dict[str, list[str]] = {}
    for run, found in swept.items():
        groups.setdefault(without(run, found, names), []).append(run)
    measured = {r["run"] for r in history.records if by in r}
    best = {
        label: taken(history, {run: run for run in runs}).best(by) if measured.intersection(runs) else None
        for label, runs in groups.items()
    }
    shown = {label: run or _farthest(history, groups[label]) for label, run in best.items()}
    out = taken(history, {run: label for label, run in shown.items()})
    values = lambda run: {name: value for name, value in (swept[run] or {"over": {}})["over"].items() if name in names}
    for label, run in shown.items():
        facts = out.facts.setdefault(label, {})
        facts |= {"chosen_by": by, "chosen": values(run)}
        if best[label] is None:
            facts["unranked"] = [values(tried) for tried in groups[label]]
    return out


def _farthest(history: History, runs: Sequence[str]) -> str:
    """The run whose records go farthest, the first of several."""
    rounds = {run: max((r["round"] for r in history.records if r["run"] == run), default=-1) for run in runs}
    return max(runs, key=lambda run: rounds[run])


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
    """Keep the runs that any of these names.

    Names are labels; of a sweep also the run that was varied, or a value of it.

    Args:
      labels: e.g. "D-PSGD lr=0.1, topology=ring" (one run), "D-PSGD" (all of its combinations), "topology=ring".
    Raises:
      ValueError: a label that no run has.
    """
    called = {run: _names_of(history, run) for run in history.runs}
    for label in labels:
        if not any(label in names for names in called.values()):
            known = ", ".join(dict.fromkeys(names[-1] for names in called.values()))
            values = ", ".join(dict.fromkeys(value for names in called.values() for value in names[1:-1]))
            raise bad("only", label, instead=f"give labels of {known}" + (f", or values: {values}" if values else ""))
    return taken(history, {run: run for run, names in called.items() if any(name in labels for name in names)})


def _names_of(history: History, run: str) -> list[str]:
    """By what a run may be kept: its label, each value of its sweep, the run that was varied.

    Of a run that no sweep varied the last is again its label.
    """
    swept = history.facts.get(run, {}).get("swept") or {"run": "", "over": {}}
    return [run, *(f"{name}={value}" for name, value in swept["over"].items()), swept["run"] or run]


def labels_in(history: History, text: str) -> list[str]:
    """Labels that a text lists.

    It is one label where a run is called so, else there is one between its commas.
    """
    if any(text in _names_of(history, run) for run in history.runs):
        return [text]
    return [label.strip() for label in text.split(",")]


def said(history: History) -> list[str]:
    """Which values were chosen, and where none could be; nothing where none were to be."""
    found = {run: facts for run, facts in history.facts.items() if facts.get("chosen")}
    say = lambda values: ", ".join(f"{name}={value}" for name, value in values.items())
    by = next((facts["chosen_by"] for facts in found.values()), "")
    chosen = [f"{run}: {say(facts['chosen'])}" for run, facts in found.items() if "unranked" not in facts]
    none = [
        f"{run}: none of {'; '.join(map(say, facts['unranked']))} ended with a finite {by}, so that none was chosen; "
        f"{say(facts['chosen'])} went farthest, and is shown"
        for run, facts in found.items()
        if "unranked" in facts
    ]
    return ([f"chosen by {by}: {'; '.join(chosen)}"] if chosen else []) + none


def without(run: str, found: dict[str, Any] | None, names: Sequence[str]) -> str:
    """The label of a run without some of its fields."""
    if found is None:
        return run
    left = ", ".join(f"{name}={value}" for name, value in found["over"].items() if name not in names)
    return " ".join(filter(None, (found["run"], left))) or "best"


__all__ = ["choose", "labels_in", "only", "said", "taken", "without"]
