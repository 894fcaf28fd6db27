"""Tables: rows of numbers with a label, from CSV and parquet files."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.checks import choice, or_none
from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from ._own import from_arrays
from .files import damaged, local, needs

Columns = Mapping[str, np.ndarray]
Target = Literal["classes", "numbers"] | None
MISSING = (
    "",
    "?",
    "na",
    "n/a",
    "nan",
    "nat",
    "null",
    "<na>",
)  # what stands in a cell that holds nothing, in small letters


@source
def from_csv(
    path: PathLike,
    label: str = "y",
    *,
    group: str | None = None,
    drop: Sequence[str] = (),
    test: PathLike | None = None,
    target: Target = None,
    separator: str = ",",
    name: str | None = None,
) -> Dataset:
    """Read a table from a CSV file with a line of headings.

    x float32 [., features]: all other columns, in their order. y: int32 classes, numbered 0, 1, ... by sorted label
    (numbers by size), or float32 targets. Where classes are not 0 to k - 1 in the file, `class_names` keeps what they were.

    Args:
      path: of the file.
      label: heading of what is learned.
      group: heading of the owner of each row (writer, user, station), for `by_group`; None: none. `owners` are its names,
        of which "NA" is one; of a column of numbers their values, so that 1 and 1.0 are one owner.
      drop: headings to leave out.
      test: of a second file with the same headings, or None.
      target: "classes" or "numbers" (regression). None: classes where labels are text, -1 and 1, or the whole numbers 0 to
        k - 1 or 1 to k, none left out; numbers where one has a fraction; other whole numbers (years, counts) are refused.
      separator: one character, between the cells of a line.
      name: for summaries; default the file's stem.
    Raises:
      FileNotFoundError: no such file. ValueError: headings that are missing or double, or serve twice; lines of another
        length; text in a feature; a label or owner that is missing; text among numbers; or as for `from_arrays`.
    Example:
      >>> from_csv("adult.csv", label="income", group="state")  # doctest: +SKIP
    """
    if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
        raise bad("separator", separator, owner="from_csv", instead="give one character, e.g. ';' or '\\t'")
    return _from_columns("from_csv", path, lambda p: _csv(p, separator), label, group, drop, test, target, name)


@source
def from_parquet(
    path: PathLike,
    label: str = "y",
    *,
    group: str | None = None,
    drop: Sequence[str] = (),
    test: PathLike | None = None,
    target: Target = None,
    name: str | None = None,
) -> Dataset:
    """Read a table from a parquet file. Needs pyarrow.

    Columns become x, y and groups as in `from_csv`.

    Args:
      path, label, group, drop, test, target, name: as for `from_csv`.
    Raises:
      ImportError: pyarrow is missing. FileNotFoundError, ValueError: as for `from_csv`.
    Example:
      >>> from_parquet("adult.parquet", label="income")  # doctest: +SKIP
    """
    return _from_columns("from_parquet", path, _parquet, label, group, drop, test, target, name)


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


def _parquet(path: Path) -> Columns:
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
    reader: str, path: PathLike, read: Callable[[Path], Columns], label: str, group: str | None, drop: Sequence[str], test: PathLike | None,
    target: Target, name: str | None,
) -> Dataset:  # fmt: skip
    target = or_none(choice("classes", "numbers"))(f"{reader}.target", target)
    if isinstance(drop, str):
        raise bad("drop", drop, owner=reader, instead=f"give a list, [{drop!r}]")
    if label in drop:
        raise bad("drop", list(drop), owner=reader, why=f"but {label!r} is the label", instead="leave it out")
    if group == label:
        raise bad("group", group, owner=reader, why="which is the label, too", instead="give another column, or None")
    files = [local(p) for p in (path, test) if p is not None]
    tables: list[Columns] = []
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"{reader}: there is no file {file}; give one with a column {label!r} and columns of numbers"
            )
        tables.append(read(file))
    head = list(tables[0])
    for field, wanted in (("label", [label]), ("group", [] if group is None else [group]), ("drop", drop)):
        if missing := [w for w in wanted if w not in head]:
            why, way = f"and no column of {files[0]}", f"there are: {', '.join(head)}"
            raise bad(field, missing[0], owner=reader, why=why, instead=way)
    if test is not None and set(tables[1]) != set(head):
        says, why = f"has the columns {', '.join(tables[1])}", f"but {files[0]} {', '.join(head)}"
        raise damaged(files[1], says, why, "give both the same")
    features = [h for h in head if h not in (label, group, *drop)]
    if not features:
        raise bad("drop", list(drop), owner=reader, why="which leaves no features", instead="leave a column of numbers")
    x = [np.stack([_numbers(t[h], h, f) for h in features], 1) for t, f in zip(tables, files, strict=True)]
    y, names = _targets([t[label] for t in tables], label, files, reader, target)
    owner, owners = [None] * len(files), ()
    if group is not None:
        owner, owners = _numbered(_owners([t[group] for t in tables], group, files))
    made = from_arrays(
        x[0],
        y[0],
        None if test is None else (x[1], y[1]),
        groups=owner[0],
        test_groups=None if test is None else owner[1],
        num_classes=None if names is None else len(names),
        name=name or files[0].stem,
    )
    plain = names is None or names == tuple(map(str, range(len(names))))
    return replace(made, owners=owners, class_names=() if plain or names is None else names)


def _numbers(column: np.ndarray, head: str, file: Path, way: str = "") -> np.ndarray:
    """A column as float64.

    way: what to do with one that holds anything else; default that for a feature.
    """
    made = _as_numbers(column)
    if made is not None:
        return made
    row = next((i for i, v in enumerate(column) if not _is_number(v)), 0)
    instead = way or f"make numbers of it, or leave it out: drop=[{head!r}]"
    raise damaged(file, f"holds {str(column[row])!r} in column {head!r}, row {row}", "and no finite number", instead)


def _is_number(value: object) -> bool:
    try:
        return bool(np.isfinite(float(value)))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return False


def _owners(columns: Sequence[np.ndarray], head: str, files: Sequence[Path]) -> list[np.ndarray]:
    """Names of owners; of numbers by their value, so that 1 and 1.0 are one.

    Codes such as 007 stay as they are. Among names a text "NA" is one, too (a country's code): there only an empty cell, or null, lacks its owner.
    """
    named = any(not _is_number(v) and not _lacks(v) for c in columns for v in c)
    missing = ("", "null") if named else MISSING
    columns = [_whole(c, head, f, missing) for c, f in zip(columns, files, strict=True)]
    made = [v for c in columns if (v := _as_numbers(c)) is not None and np.abs(v).max(initial=0) < 2**53]
    coded = any(c.dtype == bool or any(re.match(r"\s*[+-]?0\d", str(v)) for v in c) for c in columns)
    return columns if coded or len(made) < len(columns) else [_spelled(v) for v in made]  # from 2^53 digits are lost


def _spelled(values: np.ndarray) -> np.ndarray:
    """Numbers as text, whole ones without a fraction."""
    return np.array([str(int(v)) if v == int(v) else repr(v) for v in values.tolist()])


def _lacks(value: object, missing: Sequence[str] = MISSING) -> bool:
    """Whether a cell holds nothing; `missing`: the texts that say so."""
    texts = missing if isinstance(value, str) else MISSING
    return value is None or str(value).strip().lower() in texts


def _whole(column: np.ndarray, head: str, file: Path, missing: Sequence[str] = MISSING) -> np.ndarray:
    """A column in which no cell is missing."""
    column = np.asarray(column)
    lacking = np.array([_lacks(v, missing) for v in column])
    if lacking.any():
        row = int(lacking.argmax())
        way = "fill it, or leave the row out"
        raise damaged(
            file, f"holds {str(column[row])!r} in column {head!r}, row {row}", "where a value is missing", way
        )
    return column


def _numbered(columns: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Number the values of columns in sorted order, by size where all are numbers.

    Returns the numbers, and the values as text.
    """
    known, which = np.unique(np.concatenate([c.astype(np.str_) for c in columns]), return_inverse=True)
    if all(map(_is_number, known)):
        order = np.argsort([float(k) for k in known], kind="stable")
        known, which = known[order], np.argsort(order)[which]
    return np.split(which.astype(np.int32), np.cumsum([len(c) for c in columns])[:-1]), tuple(map(str, known))


def _as_numbers(column: np.ndarray) -> np.ndarray | None:
    """A column as finite float64, or None where a cell is none."""
    if column.dtype.kind in "mM":
        return None
    try:
        made = np.asarray(column, np.float64)
    except (ValueError, TypeError):
        return None
    return made if np.isfinite(made).all() else None


def _targets(
    columns: Sequence[np.ndarray], head: str, files: Sequence[Path], reader: str, target: Target
) -> tuple[list[np.ndarray], tuple[str, ...] | None]:
    """What is learned: numbers of classes and their names, or float64 targets and None."""
    columns = [_whole(c, head, f) for c, f in zip(columns, files, strict=True)]
    if target == "numbers":
        way = "make numbers of it, or give target='classes'"
        return [_numbers(c, head, f, way) for c, f in zip(columns, files, strict=True)], None
    made = [v for c in columns if (v := _as_numbers(c)) is not None]
    if len(made) < len(columns):
        is_text = [[not _is_number(v) for v in c] for c in columns]
        if target is None and not all(map(all, is_text)):
            i = next(i for i, some in enumerate(is_text) if any(some))
            row = is_text[i].index(True)
            says = f"holds {str(columns[i][row])!r} in column {head!r}, row {row}"
            way = "mend it, or give target='classes' if all of them are names"
            raise damaged(files[i], says, "and numbers in other rows", way)
        return _numbered(columns)
    known = np.unique(np.concatenate(made))
    if target is None and (known != np.round(known)).any():
        return made, None
    usual = known.tolist() in ([-1, 1], [*range(len(known))], [*range(1, len(known) + 1)])
    if target is None and not usual:
        says = f"is {head!r}, which holds {len(known)} whole numbers from {int(known[0])} to {int(known[-1])}"
        way = "give target='classes' (each is one, numbered by size) or target='numbers'"
        raise bad("label", head, owner=reader, says=says, why="which may be classes or targets", instead=way)
    return _numbered([_spelled(some) for some in made])


__all__ = ["from_csv", "from_parquet"]
