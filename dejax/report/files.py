"""The files of a run directory: written whole or not at all, read back as a history."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .history import KEYS, History, Record, join


def save(history: History, directory: Any, config: str | None = None, title: str | None = None) -> Path:
    """Write metrics.jsonl, metrics.csv, figure.png and report.html, each whole or not at all.

    Args:
      history: one or several runs.
      directory: made if needed; files of these names in it are replaced.
      config: text of the resolved config, for the page (also written as config.yaml, if given).
      title: heading of the page; default: the directory's name.
    Returns:
      The directory.
    """
    from . import figures, pages

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "metrics.jsonl", jsonl(history.records))
    write(directory / "metrics.csv", csv_text(history.records))
    if config is not None:
        write(directory / "config.yaml", config)
    fig = figures.figure(history) if history.records else None
    if fig is not None:
        write(directory / "figure.png", figures.png(fig))
        fig.set_layout_engine("none")  # the page shows the same layout; working it out takes longer than drawing
    write(directory / "report.html", pages.page(history, config, title or directory.resolve().name, fig))
    return directory


def load(*directories: Any) -> History:
    """The history of one or several run directories, side by side, without final states.

    A label that occurs in two directories gets the directory's name in front.
    Raises:
      FileNotFoundError: a directory without metrics.jsonl.
      ValueError: no directory, or a file that is no record of metrics.
    """
    if not directories:
        raise ValueError("no run directory given; give one or more, e.g. runs/quickstart")
    histories = [_load(Path(d)) for d in directories]
    labels = [label for h in histories for label in h.runs]
    for directory, h in zip(directories, histories, strict=True):
        names = {label: f"{Path(directory).resolve().name}/{label}" for label in h.runs if labels.count(label) > 1}
        for record in h.records:
            record["run"] = names.get(record["run"], record["run"])
        h.facts = {names.get(label, label): facts for label, facts in h.facts.items()}
    if len(histories) == 1:
        return histories[0]
    return join(histories)


def _load(directory: Path) -> History:
    path = directory / "metrics.jsonl"
    if not path.is_file():
        raise FileNotFoundError(
            f"{directory} has no metrics.jsonl, so it is no run directory; give one that a run has written"
        )
    facts = read_json(directory / "run.json").get("runs", {}) if (directory / "run.json").is_file() else {}
    history = History(read_jsonl(path), facts, directory=directory)
    history.interrupted = any(f.get("status", "done").startswith("interrupted") for f in facts.values())
    return history


def read_jsonl(path: Path) -> list[Record]:
    """Read the records of a metrics.jsonl.

    A half-written last line (of a run that was killed) is left out.

    Raises:
      ValueError: another line is no record.
    """
    records, lines = [], path.read_text(encoding="utf-8").split("\n")
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
            raise ValueError(f"{path}, line {i + 1}, is no record of metrics ({error}); remove that line") from None
        records.append(record)
    return records


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
      ValueError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); it was damaged: restore it, or start a new run") from None


def line(record: Record) -> str:
    """One record as a line of JSON; numbers that are not finite become null."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    return json.dumps(clean, ensure_ascii=False, allow_nan=False) + "\n"


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


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step.

    A reader, or a kill, sees the old or the new one, never a part.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


__all__ = ["columns", "csv_text", "jsonl", "line", "load", "read_json", "read_jsonl", "save", "write"]
