"""The files of a run directory: written whole or not at all, read back as a history."""

import contextlib
import csv
import errno
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..core.warn import warn
from ..errors import bad
from .history import KEYS, History, Record, join


def save(history: History, directory: Any, config: str | None = None, title: str | None = None) -> Path:
    """Write records, facts, figure and page of a history, each file whole or not at all.

    They are metrics.jsonl, metrics.csv, run.json, figure.png and report.html. run.json holds the facts that the history knows, with what each run was made of (`setup`). One that stands in the directory
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
    if not (directory / "run.json").is_file():
        write(directory / "run.json", json.dumps({"runs": history.facts}, indent=1, default=str) + "\n")
    if config is not None:
        write(directory / "config.yaml", config)
    if history.theory:
        write(directory / "theory.json", json.dumps(history.theory, indent=1) + "\n")
    fig = figures.figure(history) if figures.drawable(history) else None
    if fig is not None:
        write(directory / "figure.png", figures.png(fig))
        fig.set_layout_engine("none")  # the page shows the same layout; working it out takes longer than drawing
    write(directory / "report.html", pages.page(history, config, title or directory.resolve().name, fig))
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
    histories = [_load(Path(d)) for d in directories]
    labels = [label for h in histories for label in h.runs]
    for directory, h in zip(directories, histories, strict=True):
        names = {label: f"{Path(directory).resolve().name}/{label}" for label in h.runs if labels.count(label) > 1}
        for record in h.records:
            record["run"] = names.get(record["run"], record["run"])
        h.facts = {names.get(label, label): facts for label, facts in h.facts.items()}
        h.theory = {names.get(label, label): said for label, said in h.theory.items()}
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
    records = read_records(directory)
    for label, held in ((label, known.get("records", 0)) for label, known in facts.items()):
        there = sum(r["run"] == label for r in records)
        if there < held:
            warn(
                f"{path} holds {there} of the {held} records of {label!r} that {directory / 'run.json'} counts; some were lost"
            )
    history = History(records, facts, directory=directory)
    history.interrupted = any(f.get("status", "done").startswith("interrupted") for f in facts.values())
    if (directory / "theory.json").is_file():
        history.theory = read_json(directory / "theory.json")
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


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """A stretch that writes `path`; what the system refuses says which file, and what to do.

    Raises:
      OSError: of the same number, in words.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OSError:
    """The error of a file that cannot be written, in words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way = "make room, and resume the run from what was written before" if full else "mend that, and resume the run"
    reason = error.strerror or error
    return OSError(f"{path} cannot be written: {reason}; {way}")


def append(path: Path, text: str) -> None:
    """Add text at the end of a file, on the disk when this returns."""
    with named(path), open(path, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: readers and kills see the old or the new one."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    name = ""
    with named(path):
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            if name:
                Path(name).unlink(missing_ok=True)
            raise


__all__ = [
    "append",
    "cannot_write",
    "check_path",
    "columns",
    "csv_text",
    "jsonl",
    "line",
    "load",
    "named",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_records",
    "save",
    "write",
]
