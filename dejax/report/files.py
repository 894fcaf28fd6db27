"""The files of a run directory: written whole or not at all, read back as a history."""

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.warn import warn
from ..errors import bad
from . import graphs
from .arrays import Arrays
from .choose import taken
from .history import KEYS, History, Record
from .writing import named, write


def save(history: History, directory: Any, config: str | None = None, title: str | None = None) -> Path:
    """Write records, facts, figure and page of a history, each file whole or not at all.

    They are metrics.jsonl, metrics.csv, run.json, graphs.json, figure.png and report.html, and arrays/ where metrics returned some. run.json holds
    the facts that the history knows, with what each run was made of (`setup`). One that stands in the directory
    stays: it is that of the run itself.

    Args:
      history: one or several runs.
      directory: made if needed; files of these names in it are replaced.
      config: text of the resolved config, for the page (also written as config.yaml, if given).
      title: heading of the page; default: the directory's name.
    Returns:
      The directory.
    Raises:
      TypeError: no directory's name. OSError: it cannot be written; says which file, and why.
    """
    from . import figures, pages

    check_path("directory", directory)
    directory = Path(directory)
    with named(directory):
        directory.mkdir(parents=True, exist_ok=True)
    write(directory / "metrics.jsonl", jsonl(history.records))
    write(directory / "metrics.csv", csv_text(history.records))
    if history.directory is None or Path(history.directory) != directory:
        history.held.write(directory)
    if not (directory / "run.json").is_file():
        write(directory / "run.json", json.dumps({"runs": history.facts}, indent=1, default=str) + "\n")
    if config is not None:
        write(directory / "config.yaml", config)
    if history.theory:
        write(directory / "theory.json", json.dumps(history.theory, indent=1) + "\n")
    if history.graphs:
        write_graphs(directory, history.graphs)
    fig = figures.figure(history) if figures.drawable(history) else None
    if fig is not None:
        write(directory / "figure.png", figures.png(fig))
    write(directory / "report.html", pages.page(history, config, title or directory.resolve().name))
    return directory


def check_path(name: str, path: object) -> None:
    """Refuse what names no file or directory.

    Raises:
      TypeError: no text or path; empty.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise bad(name, path, instead="give the name of a directory, e.g. 'runs/first'")


def load(*directories: Any) -> History:
    """The history of one or several run directories, side by side, without final states.

    A label that occurs in two directories gets the directory's name in front.
    Raises:
      FileNotFoundError: a directory without metrics.jsonl.
      ValueError: no directory, or a file that is no record of metrics.
    """
    if not directories:
        raise bad("directories", directories, says="is empty", instead="give one or more, e.g. runs/quickstart")
    for directory in directories:
        check_path("directory", directory)
    return beside([Path(d).resolve().name for d in directories], [_load(Path(d)) for d in directories])


def beside(called: Sequence[str], histories: Sequence[History]) -> History:
    """Histories of several directories as one.

    A label that two have gets what its directory is called in front.
    """
    labels = [label for h in histories for label in h.runs]
    renamed = [
        taken(h, {label: f"{name}/{label}" if labels.count(label) > 1 else label for label in h.runs})
        for name, h in zip(called, histories, strict=True)
    ]
    return renamed[0] if len(renamed) == 1 else sum(renamed, History())


def _load(directory: Path) -> History:
    path = directory / "metrics.jsonl"
    if not path.is_file():
        raise FileNotFoundError(
            f"{directory} has no metrics.jsonl, so it is no run directory; give one that a run has written"
        )
    facts = read_json(directory / "run.json").get("runs", {}) if (directory / "run.json").is_file() else {}
    records = read_records(directory)
    for label, held in ((label, known.get("records", 0)) for label, known in facts.items()):
        there = sum(r["run"] == label for r in records)
        if there < held:
            warn(
                f"{path} holds {there} of the {held} records of {label!r} that {directory / 'run.json'} counts; some were lost"
            )
    history = History(records, facts, directory=directory)
    history.graphs = read_graphs(directory)
    history.held = Arrays.of(directory, history.runs)
    for label in history.runs:
        history.held.keep(label, (r["round"] for r in records if r["run"] == label))
    history.interrupted = any(f.get("status", "done").startswith("interrupted") for f in facts.values())
    if (directory / "theory.json").is_file():
        history.theory = read_json(directory / "theory.json")
    return history


def read_jsonl(path: Path, damaged: list[int] | None = None) -> list[Record]:
    """Read the records of a metrics.jsonl.

    A half-written last line (of a run that was killed) is left out.

    Args:
      damaged: gets the numbers of lines that are no record, which are then left out.
    Raises:
      ValueError: another line is no record, and `damaged` is not given.
    """
    records, lines = [], path.read_text(encoding="utf-8", errors="backslashreplace").split("\n")
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or any(key not in record for key in KEYS):
                raise ValueError(f"it lacks one of {', '.join(KEYS)}")
        except ValueError as error:
            if i == len(lines) - 1:  # no newline behind it
                break
            if damaged is not None:
                damaged.append(i + 1)
                continue
            says = f"holds {path}, whose line {i + 1} is no record of metrics ({error})"
            raise bad("directory", str(path), says=says, instead="remove that line") from None
        records.append({key: math.nan if value is None else value for key, value in record.items()})
    return records


def read_records(directory: Path) -> list[Record]:
    """Read the records of a directory, with nan and inf as metrics.csv has them.

    Raises:
      ValueError: a line of metrics.jsonl is no record.
    """
    records = read_jsonl(directory / "metrics.jsonl")
    lost = [r for r in records if any(v != v for v in r.values())]
    if lost and (directory / "metrics.csv").is_file():
        with contextlib.suppress(ValueError):
            told = {tuple(r[key] for key in KEYS): r for r in read_csv(directory / "metrics.csv")}
            for record in lost:
                other = told.get(tuple(record[key] for key in KEYS), {})
                record |= {name: other.get(name, v) for name, v in record.items() if v != v}
    return records


def read_graphs(directory: Path) -> dict[str, graphs.Phases]:
    """The graphs of a directory by label; none where graphs.json is missing or damaged."""
    try:
        return graphs.apart(json.loads((directory / "graphs.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_graphs(directory: Path, of: dict[str, graphs.Phases]) -> None:
    """Write graphs.json: each graph once."""
    write(directory / "graphs.json", json.dumps(graphs.together(of)) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
      ValueError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        says = f"holds {path}, which is not JSON ({error})"
        raise bad(
            "directory", str(path), says=says, why="so it was damaged", instead="restore it, or start a new run"
        ) from None


def line(record: Record) -> str:
    """Write one record as a line of JSON; numbers that are not finite become null."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    return json.dumps(clean, ensure_ascii=False, allow_nan=False) + "\n"


def read_csv(path: Path) -> list[Record]:
    """Records of a metrics.csv; a half-written last line is left out.

    Raises:
      ValueError: it is no table of records.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = list(csv.DictReader(lines))
    if rows and (not lines[-1].endswith("\n") or None in rows[-1].values()):
        rows.pop()
    records = []
    for i, row in enumerate(rows):
        try:
            record: Record = {"run": row["run"], "seed": int(row["seed"]), "round": int(row["round"])}
            rest = {name: _plain(text) for name, text in row.items() if name not in KEYS and text != ""}
        except (KeyError, ValueError, TypeError) as error:
            says = f"holds {path}, whose record {i + 1} is no record of metrics ({error})"
            raise bad("directory", str(path), says=says, instead="restore it, or remove that line") from None
        records.append(record | rest)
    return records


def _plain(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def jsonl(records: Iterable[Record]) -> str:
    """All records as JSON lines."""
    return "".join(line(r) for r in records)


def columns(records: Iterable[Record]) -> list[str]:
    """Columns of the CSV: run, seed, round, then numbers in the order first seen."""
    return [*KEYS, *dict.fromkeys(name for r in records for name in r if name not in KEYS)]


def csv_text(records: Sequence[Record], names: Sequence[str] | None = None, header: bool = True) -> str:
    """Records as CSV; an empty field where a record lacks a number."""
    names = columns(records) if names is None else names
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


__all__ = [
    "beside",
    "check_path",
    "columns",
    "csv_text",
    "jsonl",
    "line",
    "load",
    "read_csv",
    "read_graphs",
    "read_json",
    "read_jsonl",
    "read_records",
    "save",
    "write_graphs",
]
