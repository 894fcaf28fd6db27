"""The final table of one or several runs."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.types import PathLike
from ..errors import bad
from .choose import said
from .endings import ended_well, status_of
from .history import History
from .seeds import over_seeds
from .targets import at_best, declared, finals, on_test, peaks
from .titles import headings

BEST = "best "  # before the name of a number: its best over all evaluations
CHOSEN = "chosen "  # before the name of a number: where the validation part was best


@dataclass(frozen=True)
class Table:
    """Rows of plain numbers under fixed columns; prints as text, and as HTML in a notebook.

    `rows` are dicts by column key, with a "status" where a run did not come to its end, which its
    cell shows behind the name; `columns` pairs of (key, heading); `notes` lines below the table; `higher` says of
    numbers whether more is better, where their names do not.
    """

    columns: tuple[tuple[str, str], ...]
    rows: list[dict[str, Any]]
    notes: tuple[str, ...] = ()
    higher: Mapping[str, bool] = field(default_factory=dict)

    def cells(self) -> list[list[str]]:
        """All cells as text, heading first."""
        marked = lambda row: f" ({row['status']})" if row.get("status") else ""
        return [[cell("run", title) for _, title in self.columns]] + [
            [cell(key, row.get(key)) + (marked(row) if key == "run" else "") for key, _ in self.columns]
            for row in self.rows
        ]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]

        def line(values: list[str]) -> str:
            parts = [v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(values, widths, strict=True))]
            return "  ".join(parts).rstrip()

        rule = "  ".join("-" * w for w in widths)
        return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:]), *self.notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return to_html(self)

    def save(self, path: PathLike) -> None:
        """Write it as .tex (booktabs), .md or .csv, by the end of the name.

        The best of each measured column is in bold; see `dejax.report.typeset`.
        """
        from .typeset import save_table

        save_table(self, path)

    def rich(self) -> Any:
        """The same as a `rich` table, for terminals."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        out = RichTable(
            box=box.SIMPLE_HEAD, caption="\n".join(self.notes) or None, caption_justify="left", pad_edge=False
        )
        cells = self.cells()
        for i, title in enumerate(cells[0]):
            out.add_column(Text(title), justify="left" if i == 0 else "right", no_wrap=i > 0)
        for row in cells[1:]:
            out.add_row(*(Text(c, style="bold" if i == 0 else "") for i, c in enumerate(row)))
        return out


def table(
    history: History,
    columns: Sequence[str] | None = None,
    *,
    band: str = "std",
    target: tuple[str, float] | None = None,
) -> Table:
    """The final numbers of every run, one row each.

    Columns, unless chosen (where any run has them): rounds; local steps per round at a node that takes part;
    accuracy of the local models on the global test set (mean over nodes, 10th percentile); accuracy
    of the mean model; accuracy on the validation part, with a note that runs are chosen by it; local
    accuracy on each node's own distribution; objective; accuracy of local models at equal bytes (the total of the run that sent least, if any sent; linear interpolation
    between evaluations; a run that sends nothing stands with its final value); consensus distance;
    directed payload bytes (all nodes); virtual seconds; real seconds. Several seeds: mean +-
    standard deviation.

    Args:
      history: one or several runs.
      columns: names of numbers that records hold, "rounds", "local_steps", "equal" (at equal bytes), "wall/round" (real seconds in the
        program per round, without compiling, evaluating and saving) or "best NAME" (the best over all evaluations, of each seed its
        own) or "chosen NAME" (at the evaluation where the validation part was best, of each seed its own), in this order.
      target: a number and a value, ("accuracy/local", 0.8): what was spent until it was there (`History.to_target`), in
        rounds, bytes, virtual seconds, and operations and joules where they were measured, as columns more; "-" where a seed never got there.
      band: what stands behind ±: "std", or "ci95" (half the 95 % interval of the mean).
    Raises:
      ValueError: a column or a target that no record holds; another band; a target, or the best, of a number of which nothing
        says which way is better.
    """
    if band not in ("std", "ci95"):
        raise bad("band", band, instead="give 'std' or 'ci95'")
    main = _main_metric(history)
    budget = equal_bytes(history)
    titles = headings(main) | ({} if budget is None else {"equal": f"at {data_size(budget)}"})
    titles |= {mark + name: mark + titles.get(name, name) for name in history.names for mark in (BEST, CHOSEN)}
    chosen = on_test(history)
    titles |= {} if chosen is None else {CHOSEN + chosen: "at best validation"}
    for name in columns or ():
        if name not in ("rounds", "local_steps", "equal", "wall/round"):
            history._known(name.removeprefix(BEST).removeprefix(CHOSEN))
    if columns is None:
        columns = ["rounds", *(["local_steps"] if any("local_steps" in f for f in history.facts.values()) else [])]
        columns += [f"{main}/{of}" for of in ("local", "local_p10", "mean_model", "validation")]
        columns += [] if chosen is None else [CHOSEN + chosen]
        columns += [f"{main}/own_test", "objective", *([] if budget is None else ["equal"])]
        columns += ["consensus", "epsilon", "bytes", "seconds", "wall"]
    wanted = [("run", "run"), *((name, titles.get(name, name)) for name in columns)]
    rows = [_row(history, run, [key for key, _ in wanted], main, budget, band) for run in history.runs]
    if target is not None:
        if not isinstance(target, (tuple, list)) or len(target) != 2:
            raise bad("target", target, instead="give a number's name and a value, e.g. ('accuracy/local', 0.8)")
        wanted += _until(history, rows, *target, band)
    shown = tuple((key, title) for key, title in wanted if any(row.get(key) is not None for row in rows))
    notes = []
    if any(isinstance(value, tuple) for row in rows for value in row.values()):
        spread = {"std": "the standard deviation over seeds", "ci95": "half the 95 % interval of the mean over seeds"}
        notes.append(f"± is {spread[band]}")
    for row in rows:
        status = status_of(history, row["run"])
        seeds = _early(row["run"], history.facts.get(row["run"], {}))
        if status not in ("done", "running"):
            row["status"] = status.split()[0]
            if not (seeds and status.startswith("stopped")):  # else seeds say it each
                notes.append(f"{row['run']}: {status}")
        notes += seeds
    notes += _spent(history)
    notes += said(history)
    notes += _chosen_by(history)
    notes += _different_data(history)
    if budget is not None and any(key == "equal" for key, _ in shown):
        notes.append(
            f"at {data_size(budget)}: local {main} when {data_size(budget)} were sent, the total of the run that sends least"
        )
    return Table(shown, rows, tuple(notes), declared(history))


def _early(run: str, facts: dict[str, Any]) -> list[str]:
    """Say which seeds of a run ended early, where the status does not say it of all."""
    ended = facts.get("ended") or {}
    if not ended or (len(ended) == 1 and facts.get("status") in ended.values()):
        return []
    few = [f"seed {seed} {said}" for seed, said in list(ended.items())[:3]]
    return [f"{run}: {'; '.join(few)}" + (f"; and {len(ended) - 3} seeds more ended early" if len(ended) > 3 else "")]


def _until(history: History, rows: list[dict[str, Any]], name: str, value: float, band: str) -> list[tuple[str, str]]:
    """Write what each run had spent at its target into its row; give the columns of that.

    Raises:
      ValueError: a number that no record holds; a target that is no finite number.
    """
    history._known(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise bad("target", value, instead=f"give a number that {name} is to reach, e.g. ({name!r}, 0.8)")
    units = {"round": "rounds", "bytes": "bytes", "seconds": "virtual s", "flops": "FLOPs", "joules": "J"}
    out = []
    for by, word in units.items():
        if by != "round" and not any(r.get(by) is not None for r in history.records):
            continue
        for row in rows:
            held = by == "round" or _has(history, by, row["run"])
            spent = history.to_target(name, value, row["run"], by) if held and _has(history, name, row["run"]) else None
            row[f"to {by}"] = "-"
            if spent is not None and np.isfinite(spent).all():
                row[f"to {by}"] = _over(spent, band)
        out.append((f"to {by}", f"{word} to {value:g}"))
    return out


def _spent(history: History) -> list[str]:
    """Say what epsilon is a bound of, or why there is none, once for runs that say the same."""
    said: dict[str, list[str]] = {}
    for run in history.runs:
        words = history.facts.get(run, {}).get("privacy")
        if words is not None:
            said.setdefault(words, []).append(run)
    return [f"privacy of {', '.join(runs)}: {words}" for words, runs in said.items()]


def _chosen_by(history: History) -> list[str]:
    """Say by which number the best of several runs is chosen, where there is a validation part.

    Runs on different data have other validation rows, so that none of them is best.
    """
    by = history.measure()
    if by is None or not by.endswith("/validation") or len(history.runs) < 2:
        return []
    run = history.best(by)
    best = "no run has one" if run is None else f"best is {run}"
    if len(_data_of(history)) > 1:
        best = "they differ between runs, so that none is best"
    lines = [f"chosen by {by}, on rows set aside for validation: {best}; all other columns are of the test part"]
    if left := [run for run in history.runs if not _has(history, by, run)]:
        lines.append(f"without {by}, so that it cannot be chosen: {', '.join(left)}")
    own, name = any(facts.get("validation") == "own" for facts in history.facts.values()), on_test(history)
    if own and name is not None and not name.endswith("/own_test"):
        lines.append(
            f"validation rows are each node's own, {name} is of test rows common to all: measure own_test, or set rows aside of all nodes"
        )
    return lines


def _data_of(history: History) -> dict[str, list[str]]:
    """Data, as run directories name them, -> the runs that had them."""
    runs: dict[str, list[str]] = {}
    for run in history.runs:
        data = history.facts.get(run, {}).get("data")
        if data is not None:
            runs.setdefault(data, []).append(run)
    return runs


def _different_data(history: History) -> list[str]:
    """A warning where run directories say that not all runs had the same data."""
    runs = _data_of(history)
    few = lambda some: ", ".join(some) if len(some) < 4 else f"{some[0]} and {len(some) - 1} others"
    words = "; ".join(f"{few(some)} on {data}" for data, some in runs.items())
    return [f"different data, so that the numbers are not those of one experiment: {words}"] if len(runs) > 1 else []


def equal_bytes(history: History) -> float | None:
    """The total of the run that sent least; None with fewer than two runs that send.

    Runs that send nothing, and those that did not end well, are left aside.
    """
    ended = [run for run in history.runs if ended_well(status_of(history, run))]
    totals = {run: history.last("bytes", run) for run in ended if _has(history, "bytes", run)}
    sent = [t for t in totals.values() if t > 0]
    return min(sent) if len(sent) > 1 else None


def _row(
    history: History, run: str, keys: list[str], main: str, budget: float | None, band: str = "std"
) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run}
    for key in keys:
        if key == "rounds":
            row[key] = max((r["round"] for r in history.records if r["run"] == run), default=None)
        elif key == "local_steps":
            row[key] = history.facts.get(run, {}).get(key, 1)
        elif key == "equal":
            row[key] = at_bytes(history, f"{main}/local", run, budget, band)
        elif key == "wall/round":
            row[key] = history.facts.get(run, {}).get(key)
        elif key.startswith(BEST):
            name = key.removeprefix(BEST)
            if _has(history, name, run) and np.isfinite(history.series(name, run)[1]).any(1).all():
                row[key] = _over(peaks(history, name, run), band)
        elif key.startswith(CHOSEN):
            name, by = key.removeprefix(CHOSEN), history.measure()
            held = by is not None and _has(history, by, run) and np.isfinite(history.series(by, run)[1]).any(1).all()
            row[key] = _over(at_best(history, name, by, run), band) if held and _has(history, name, run) else None
        elif key != "run" and _has(history, key, run):
            row[key] = _over(finals(history, key, run), band)
    return row


def _over(values: np.ndarray, band: str) -> Any:
    """One number of each seed as a cell holds them: (mean, spread), or a number that is alone."""
    return over_seeds(values, band) if len(values) > 1 else float(values[0])


def at_bytes(history: History, name: str, run: str, budget: float | None, band: str = "std") -> Any:
    """Return a number of a run when `budget` bytes were sent, by linear interpolation.

    (mean, std) with several seeds, or what `band` asks for.
    """
    if budget is None or not _has(history, name, run) or not _has(history, "bytes", run):
        return None
    got = []
    for seed in history.seeds(run):
        own = [r for r in history.records if r["run"] == run and r["seed"] == seed and name in r]
        x, values = ([math.nan if r.get(key) is None else r[key] for r in own] for key in ("bytes", name))
        got.append((values[-1] if x[-1] == 0 else float(np.interp(budget, x, values))) if own else math.nan)
    return _over(np.asarray(got), band)


def _has(history: History, name: str, run: str) -> bool:
    return any(r["run"] == run and r.get(name) is not None for r in history.records)


def _main_metric(history: History) -> str:
    """Return the metric that the table is about.

    It is accuracy, or the first that local models were measured by.
    """
    families = [name.removesuffix("/local") for name in history.names if name.endswith("/local")]
    return "accuracy" if "accuracy" in families or not families else families[0]


def cell(key: str, value: Any) -> str:
    """One number as text."""
    key = key.removeprefix(BEST).removeprefix(CHOSEN)
    if value is None:
        return "-"
    if isinstance(value, str):
        return one_line(value)
    if key.startswith("to "):
        key = {"to round": "rounds"}.get(key, key.removeprefix("to "))
        value = tuple(map(round, value)) if key == "rounds" and isinstance(value, tuple) else value
        value = round(value) if key == "rounds" and isinstance(value, float) else value
    if isinstance(value, tuple):
        mean, std = value
        if key == "epsilon":  # the same for all seeds
            return cell(key, mean)
        if key.split("/")[0] in ("bytes", "wall", "seconds", "flops", "joules"):
            return cell(key, mean)
        return f"{cell(key, mean)} ± {cell(key, std)}"
    if isinstance(value, float) and not math.isfinite(value):
        return "no guarantee" if key == "epsilon" else "not finite"
    if key == "bytes":
        return data_size(value)
    if key in ("rounds", "local_steps"):
        return f"{value:,}"
    if key in ("wall", "seconds"):
        return f"{value:.1f}"
    if key.startswith("accuracy") or key == "equal":
        return f"{value:.3f}"
    return f"{value:.3g}"


def one_line(text: str) -> str:
    """A text without breaks of lines, which would break a row."""
    return " ".join(text.splitlines())


def data_size(count: float) -> str:
    """1234567 -> '1.23 MB' (powers of ten)."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 999.5 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"


def to_html(table: Table) -> str:
    """The table as an HTML fragment, all text escaped."""
    cells = table.cells()
    head = "".join(f"<th>{html.escape(c)}</th>" for c in cells[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells[1:])
    notes = "".join(f"<p class='note'>{html.escape(n)}</p>" for n in table.notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


__all__ = ["Table", "at_bytes", "cell", "data_size", "equal_bytes", "one_line", "table", "to_html"]
