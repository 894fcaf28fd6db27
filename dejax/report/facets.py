"""Fields of the config by run: what small multiples are split by."""

from typing import Any

from ..errors import bad
from .choose import without
from .history import History
from .setup import ABOUT

MOST = 24  # panels of a figure
PARTS = ("network", "data")  # of a setup: their entries are fields; what stands in other mappings is a member


def of_runs(history: History, field: str) -> dict[str, str]:
    """Say what a field of the config is in each run, as text.

    Args:
      field: "run"; a number that was swept; or a path in what a run was made of (run.json), in full or its end, with
        names of members or without: "method" gives the method's name, "network.topology" that of the graph,
        "method.dsgd.lr", "method.lr" or "lr" a rate. Runs that lack it have "none".
    Raises:
      ValueError: no run has it; a run has several of that name; the values are too many for panels.
    """
    if field == "run":
        found: dict[str, str] = {run: run for run in history.runs}
    else:
        said = {
            run: _value(_swept(history, run), field) or _value(_fields(history, run), field) for run in history.runs
        }
        if not any(said.values()):
            known = sorted({path for run in history.runs for path in _fields(history, run) if path.count(".") < 2})
            says = f"which no run has; there are, among others: {', '.join(known[:20]) or 'run'}"
            raise bad("facet", field, why=says, instead="give a field of the config, e.g. method or network.topology")
        found = {run: value or "none" for run, value in said.items()}
    if len(set(found.values())) > MOST:
        raise bad("facet", field, why=f"which has {len(set(found.values()))} values", instead=f"at most {MOST} fit")
    return found


def short(history: History, run: str, field: str) -> str:
    """The label of a run without what its panel says.

    Of a sweep "lr=0.3, topology=ring" in the panel of ring is "lr=0.3".
    """
    swept = history.facts.get(run, {}).get("swept")
    left = run if swept is None else without(run, swept, [field, field.rsplit(".", 1)[-1]])
    return run if left == "best" else left


def headed(field: str, value: str) -> str:
    """The title of a panel: "lr = 0.3"; a name needs no field before it."""
    says_itself = not value.replace(".", "").lstrip("-").isdigit() and value not in ("none", "True", "False")
    return value if says_itself else f"{field.rsplit('.', 1)[-1]} = {value}"


def _swept(history: History, run: str) -> dict[str, str]:
    """Path -> value of the numbers that a sweep set; they stand in every record."""
    record = next((r for r in history.records if r["run"] == run), {})
    return {name: f"{value:g}" for name, value in record.items() if "." in name and isinstance(value, (int, float))}


def _fields(history: History, run: str) -> dict[str, str]:
    """Path -> value of all that a run was made of."""
    out: dict[str, str] = {}
    setup = history.facts.get(run, {}).get("setup", {})
    _walk({name: value for name, value in setup.items() if name not in ABOUT}, "", out)
    return out


def _walk(value: dict[str, Any], path: str, out: dict[str, str]) -> None:
    for name, inner in value.items():
        here = f"{path}{name}"
        member, args = next(iter(inner.items())) if isinstance(inner, dict) and len(inner) == 1 else ("", None)
        if isinstance(args, dict) and here not in PARTS:  # {member: {argument: value}}
            out[here] = str(member)
            _walk(args, f"{here}.{member}.", out)
            _walk(args, f"{here}.", out)
        elif isinstance(inner, dict):
            _walk(inner, f"{here}.", out)
        elif inner is not None:
            out[here] = f"{inner:g}" if isinstance(inner, float) else str(inner)


def _value(fields: dict[str, str], wanted: str) -> str | None:
    """The value of a field; of several that end so those of the shortest path.

    Raises:
      ValueError: these differ.
    """
    if wanted in fields:
        return fields[wanted]
    ends = [path for path in fields if path.endswith("." + wanted)]
    least = min((path.count(".") for path in ends), default=0)
    ends = [path for path in ends if path.count(".") == least]
    if len({fields[path] for path in ends}) > 1:
        raise bad("facet", wanted, why=f"which may be any of {', '.join(ends)}", instead="give one of them in full")
    return fields[ends[0]] if ends else None


__all__ = ["headed", "of_runs", "short"]
