"""Tables: rows of numbers with a label, from CSV and parquet files."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from ._own import from_arrays
from .files import damaged, needs

Columns = Mapping[str, np.ndarray]


@source
def from_csv(
    path: PathLike,
    label: str = "y",
    *,
    group: str | None = None,
    drop: Sequence[str] = (),
    test: PathLike | None = None,
    separator: str = ",",
    name: str | None = None,
) -> Dataset:
    """Read a table from a CSV file with a line of headings.

    x float32 [., features]: all other columns, in their order. y: classes, numbered in sorted order, where the label is
    text; classes as they are where it is whole numbers >= 0; else float32 targets.

    Args:
      path: of the file.
      label: heading of what is learned.
      group: heading of the owner of each row (writer, user, station), for `by_group`; None: none.
      drop: headings to leave out.
      test: of a second file with the same headings, or None.
      separator: between the cells of a line.
      name: for summaries; default the file's stem.
    Raises:
      FileNotFoundError: no such file. ValueError: headings that are missing or double, lines of another length, text in a
        feature, or as for `from_arrays`.
    Example:
      >>> from_csv("adult.csv", label="income", group="state")  # doctest: +SKIP
    """
    read = lambda p: _csv(Path(p), separator)
    return _from_columns("from_csv", path, read, label, group, drop, test, name)


@source
def from_parquet(
    path: PathLike,
    label: str = "y",
    *,
    group: str | None = None,
    drop: Sequence[str] = (),
    test: PathLike | None = None,
    name: str | None = None,
) -> Dataset:
    """Read a table from a parquet file. Needs pyarrow.

    Columns become x, y and groups as in `from_csv`.

    Args:
      path, label, group, drop, test, name: as for `from_csv`.
    Raises:
      ImportError: pyarrow is missing. FileNotFoundError, ValueError: as for `from_csv`.
    Example:
      >>> from_parquet("adult.parquet", label="income")  # doctest: +SKIP
    """
    return _from_columns("from_parquet", path, _parquet, label, group, drop, test, name)


def _csv(file: Path, separator: str) -> Columns:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, delimiter=separator, strict=True)
            head = next(reader, [])
            rows = []
            for row in reader:
                if len(row) != len(head):
                    if not row:
                        continue
                    raise damaged(
                        file, f"has {len(row)} cells in line {reader.line_num}", f"but {len(head)} headings", "mend it"
                    )
                rows.append(row)
    except (csv.Error, UnicodeDecodeError) as e:
        raise damaged(file, f"cannot be read as CSV ({e})", instead="mend it, or give the separator") from e
    if not rows:
        raise damaged(file, "holds no rows under a line of headings", instead="give some")
    if len(set(head)) < len(head):
        twice = next(h for h in head if head.count(h) > 1)
        raise damaged(file, f"has the heading {twice!r} twice", instead="give each column its own")
    return dict(zip(head, np.array(rows).T, strict=True))


def _parquet(path: PathLike) -> Columns:
    try:
        from pyarrow import ArrowException, parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise needs("pyarrow", "from_parquet", "parquet") from None
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as e:
        raise damaged(path, f"cannot be read as parquet ({e})") from e
    return {c: np.asarray(table.column(c).to_numpy()) for c in table.column_names}


def _from_columns(
    reader: str, path: PathLike, read: Callable[[PathLike], Columns], label: str, group: str | None, drop: Sequence[str], test: PathLike | None,
    name: str | None,
) -> Dataset:  # fmt: skip
    tables: list[Columns] = []
    for p in (path,) if test is None else (path, test):
        if not Path(p).is_file():
            raise FileNotFoundError(
                f"{reader}: there is no file {p}; give one with a column {label!r} and columns of numbers"
            )
        tables.append(read(p))
    head = list(tables[0])
    for field, wanted in (("label", [label]), ("group", [] if group is None else [group]), ("drop", drop)):
        if missing := [w for w in wanted if w not in head]:
            raise bad(
                field, missing[0], owner=reader, why=f"and no column of {path}", instead=f"there are: {', '.join(head)}"
            )
    if test is not None and set(tables[1]) != set(head):
        raise damaged(
            test, f"has the columns {', '.join(tables[1])}", f"but {path} {', '.join(head)}", "give both the same"
        )
    features = [h for h in head if h not in (label, group, *drop)]
    if not features:
        raise bad("drop", list(drop), owner=reader, why="which leaves no features", instead="leave a column of numbers")
    files = [path] if test is None else [path, test]
    x = [np.stack([_numbers(t[h], h, f) for h in features], 1) for t, f in zip(tables, files, strict=True)]
    y, classes = _labels([t[label] for t in tables])
    owner = [t[group] for t in tables] if group is not None else [None] * len(tables)
    pair = None if test is None else (x[1], y[1])
    tested = owner[1] if test is not None else None
    return from_arrays(
        x[0], y[0], pair, groups=owner[0], test_groups=tested, num_classes=classes, name=name or Path(path).stem
    )


def _numbers(column: np.ndarray, head: str, file: PathLike) -> np.ndarray:
    """A feature as float64."""
    try:
        made = np.asarray(column, np.float64)
    except (ValueError, TypeError):
        made = np.array([np.nan] * len(column))
    if np.isfinite(made).all():
        return made
    row = next((i for i, v in enumerate(column) if not _is_number(v)), 0)
    instead = f"make numbers of it, or leave it out: drop=[{head!r}]"
    raise damaged(file, f"holds {str(column[row])!r} in column {head!r}, row {row}", "and no finite number", instead)


def _is_number(value: object) -> bool:
    try:
        return bool(np.isfinite(float(value)))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return False


def _labels(columns: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int | None]:
    """Classes or targets, and how many classes text makes."""
    try:
        made = [np.asarray(c, np.float64) for c in columns]
    except (ValueError, TypeError):
        text = [np.asarray(c).astype(np.str_) for c in columns]
        known = np.unique(np.concatenate(text))
        return [np.searchsorted(known, t) for t in text], len(known)
    if all((v == np.round(v)).all() and v.min() >= 0 and v.max() < 2**31 for v in made):
        return [v.astype(np.int64) for v in made], None
    return [v.astype(np.float32) for v in made], None


__all__ = ["from_csv", "from_parquet"]
