"""Run directories while they grow: whatever can be read, now."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import files, pages
from .arrays import Arrays
from .history import KEYS, History, Record

FILES = ("run.json", "metrics.jsonl", "graphs.json", "config.yaml")  # what is read of a run directory
DEEP = 3  # folders below the one that is watched
MOST = 300  # run directories that are listed: those that were written last
TAIL = 1 << 16  # bytes at the end of metrics.jsonl in which the newest round is looked for


def directories(root: Path) -> list[Path]:
    """Find the run directories at and below `root`, those that were written last in front."""
    found, level = [], [root]
    for _ in range(DEEP + 1):
        found += [folder for folder in level if any((folder / name).is_file() for name in FILES[:2])]
        level = [inner for folder in level if folder not in found for inner in _folders(folder)]
    return sorted(found, key=written, reverse=True)[:MOST]


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []


def signature(directory: Path) -> list[tuple[int, int]]:
    """What changes whenever one of the files of a run directory does: their sizes and times."""
    out = []
    for name in FILES:
        try:
            stat = (directory / name).stat()
            out.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            out.append((-1, 0))
    return out


def written(directory: Path) -> float:
    """When a run directory was last written to, in seconds since 1970."""
    return max(ns for _, ns in signature(directory)) / 1e9


def progress(directory: Path) -> tuple[str, float]:
    """Say how a run directory stands.

    Returns:
      "running" or how its runs ended, and the share of rounds done by those that run.
    """
    facts = _facts(directory)
    statuses = [str(known.get("status", "done")) for known in facts.values()]
    running = [label for label, status in zip(facts, statuses, strict=True) if status == "running"]
    if not running:
        words = [status.split()[0] if status else "" for status in statuses]
        return next((word for word in words if word != "done"), "done"), 1.0
    newest = dict.fromkeys(running, 0)
    for record in _tail(directory / "metrics.jsonl"):
        if record["run"] in newest:
            newest[record["run"]] = max(newest[record["run"]], record["round"])
    totals = [(newest[label], facts[label].get("total")) for label in running]
    shares = [done / total for done, total in totals if isinstance(total, int) and total > 0]
    return "running", max(0.0, min(1.0, min(shares, default=0.0)))


def read(directory: Path) -> tuple[History, list[str]]:
    """Read a run directory that may be written at this moment, and say what was left out.

    Nothing is refused: of a damaged file the rest is taken.
    """
    notes, damaged = [], []
    path = directory / "metrics.jsonl"
    try:
        lines = files.read_jsonl(path, damaged) if path.is_file() else []
    except OSError as error:
        lines, notes = [], [f"{directory.name}: metrics.jsonl cannot be read ({error.strerror})"]
    records = [record for record in map(_record, lines) if record is not None]
    lost = len(damaged) + len(lines) - len(records)
    if lost:
        notes.append(
            f"{directory.name}: {lost} line{'s' if lost > 1 else ''} of metrics.jsonl left out, which are no records"
        )
    history = History(records, _facts(directory), directory=directory)
    history.graphs = files.read_graphs(directory)
    history.held = Arrays.of(directory, history.runs)
    return history, notes


def content(shown: Mapping[str, Path], title: str) -> dict[str, Any]:
    """What the page shows of some run directories side by side, by their names."""
    got = [read(path) for path in shown.values()]
    history = files.beside(list(shown), [h for h, _ in got])
    config = ""
    if len(shown) == 1:
        path = next(iter(shown.values())) / "config.yaml"
        config = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    out = pages.content(history, config, title)
    return out | {"note": "; ".join(note for _, notes in got for note in notes)}


def _facts(directory: Path) -> dict[str, dict[str, Any]]:
    """The facts of run.json by label; none where it is missing or damaged."""
    try:
        held = json.loads((directory / "run.json").read_text(encoding="utf-8"))["runs"]
        return {str(label): known for label, known in held.items() if isinstance(known, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _record(record: Record) -> Record | None:
    """A record without what is no number; None where its keys are wrong."""
    if not isinstance(record["run"], str) or not all(type(record[key]) is int for key in KEYS[1:]):
        return None
    return {k: v for k, v in record.items() if k in KEYS or type(v) in (int, float)}


def _tail(path: Path) -> Sequence[Record]:
    """The records at the end of a metrics.jsonl."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    out = []
    for line in lines:
        try:
            record = json.loads(line)
            out.append(_record(record) if all(key in record for key in KEYS) else None)
        except (ValueError, TypeError):  # half a line
            continue
    return [record for record in out if record is not None]


__all__ = ["content", "directories", "progress", "read", "signature", "written"]
