"""Arrays that metrics return, such as one number per node: kept by run, round and seed.

On disk each evaluation of a run is a file of its own, written whole or not at all:

    arrays/LABEL/round_000000100.npz     entries "SEED/NAME", e.g. "0/accuracy/local_nodes"
"""

import hashlib
import io
import re
import urllib.parse
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import bad
from . import writing

FOLDER = "arrays"
LONGEST = 120  # letters of a label in the name of a directory; file systems take 255 bytes
NAME = re.compile(r"round_(\d{9,})\.npz")
Part = dict[int, dict[str, np.ndarray]]  # seed -> name -> array


class Arrays:
    """The arrays of some runs: label -> round -> those of each seed, or their file."""

    def __init__(self, parts: Mapping[str, Mapping[int, Part | Path]] | None = None):
        self.parts: dict[str, dict[int, Part | Path]] = {k: dict(v) for k, v in (parts or {}).items()}

    @classmethod
    def of(cls, directory: Path, labels: Iterable[str]) -> "Arrays":
        """Those of some runs in a run directory; files are read when they are asked for."""
        return cls({label: dict(existing(directory, label)) for label in labels})

    def __add__(self, other: "Arrays") -> "Arrays":
        return Arrays(self.parts | other.parts)

    def __len__(self) -> int:
        """How many evaluations of runs have arrays."""
        return sum(map(len, self.parts.values()))

    def only(self, label: str) -> "Arrays":
        """Those of one run."""
        return Arrays({label: self.parts.get(label, {})})

    def renamed(self, names: Mapping[str, str]) -> "Arrays":
        """Those of some labels, under new ones."""
        return Arrays({names[label]: rounds for label, rounds in self.parts.items() if label in names})

    def put(self, label: str, seed: int, round: int, arrays: dict[str, np.ndarray]) -> None:
        """Add those of one evaluation of a seed."""
        part = self.parts.setdefault(label, {}).setdefault(round, {})
        assert isinstance(part, dict)
        part[seed] = arrays

    def keep(self, label: str, rounds: Iterable[int]) -> None:
        """Leave out those of rounds that have no record."""
        known = set(rounds)
        self.parts[label] = {t: part for t, part in self.parts.get(label, {}).items() if t in known}

    def at(self, label: str, round: int) -> Part:
        """Those of one evaluation."""
        part = self.parts[label][round]
        return read(part) if isinstance(part, Path) else part

    def names(self, label: str) -> list[str]:
        """Names of the arrays of one run at its last evaluation that has some."""
        rounds = self.parts.get(label, {})
        last = self.at(label, max(rounds)) if rounds else {}
        return list(dict.fromkeys(name for arrays in last.values() for name in arrays))

    def series(self, name: str, label: str, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """One array of a run over the rounds that have it: rounds [R] and values [seeds, R, ...].

        Raises:
          ValueError: no such array; one whose shape changes.
        """
        found = {t: self.at(label, t) for t in sorted(self.parts.get(label, {}))}
        found = {t: part for t, part in found.items() if any(name in arrays for arrays in part.values())}
        if not found:
            there = ", ".join(self.names(label)) or "none: measure e.g. metrics=['per_node']"
            raise bad("name", name, why=f"but run {label!r} has no such array", instead=f"there are: {there}")
        shapes = {part[seed][name].shape for part in found.values() for seed in part if name in part[seed]}
        if len(shapes) > 1:
            why = f"whose shape changes: {sorted(shapes)}"
            raise bad("name", name, why=why, instead="return arrays of one shape all along")
        gap = np.full(shapes.pop(), np.nan)
        rows = [[part.get(seed, {}).get(name, gap) for part in found.values()] for seed in seeds]
        return np.asarray(list(found), np.int64), np.asarray(rows)

    def write(self, directory: Path) -> None:
        """Write all of them into a run directory."""
        for label, rounds in self.parts.items():
            for t in rounds:
                write(directory, label, t, self.at(label, t))


def folder_name(label: str) -> str:
    """A name for a directory out of any label."""
    name = urllib.parse.quote(label, safe=" ,()-_") or "run"
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]} {hashlib.sha256(label.encode()).hexdigest()[:12]}"
    return name if name.strip(".") else name.replace(".", "%2E")


def existing(directory: Path, label: str) -> list[tuple[int, Path]]:
    """(round, file) of a run in a run directory, in order."""
    folder = Path(directory) / FOLDER / folder_name(label)
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(m[1]), path) for path in found if (m := NAME.fullmatch(path.name)))


def write(directory: Path, label: str, round: int, part: Part) -> None:
    """Write the arrays of one evaluation of a run, in one step."""
    folder = Path(directory) / FOLDER / folder_name(label)
    with writing.named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    entries: Any = {f"{seed}/{name}": x for seed, arrays in part.items() for name, x in arrays.items()}
    out = io.BytesIO()
    np.savez(out, **entries)
    writing.write(folder / f"round_{round:09d}.npz", out.getvalue())


def read(path: Path) -> Part:
    """The arrays of one file.

    Raises:
      ValueError: it is damaged.
    """
    out: Part = {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            for entry in held.files:
                seed, _, name = entry.partition("/")
                out.setdefault(int(seed), {})[name] = held[entry]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        says = f"holds {path}, which is no file of arrays ({error})"
        raise bad("directory", str(path), says=says, why="so it was damaged", instead="restore it") from None
    return out


def cut(directory: Path, labels: Iterable[str], round: int) -> None:
    """Remove the arrays of some runs after `round`."""
    for label in labels:
        for t, path in existing(directory, label):
            if t > round:
                path.unlink()


def checked(value: Any) -> np.ndarray | None:
    """A metric's array as NumPy has it; None where it holds no numbers."""
    array = np.asarray(value)
    if array.dtype.kind == "V" and "float" in str(array.dtype):  # bfloat16 and smaller, which files do not name
        array = array.astype(np.float32)
    return array if array.dtype.kind in "biuf" else None


__all__ = ["FOLDER", "Arrays", "Part", "checked", "cut", "existing", "folder_name", "read", "write"]
