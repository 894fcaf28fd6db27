"""Find the original files of a data set on the local disk. Nothing is downloaded."""

import gzip
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ...core.types import PathLike
from ...errors import FieldError, bad


def find_folder(
    reader: str,
    folder: PathLike | None,
    inside: Sequence[str],
    has: Callable[[Path], bool],
    what: str,
    where: str,
    usual: Sequence[str] = (),
) -> Path:
    """Return the folder that holds the files of a reader.

    Looked into are `folder` and then the names `inside` of it; without one the names inside of $DEJAX_DATA, then that
    itself, then the places `usual`. `~` is the home directory.

    Args:
      has: whether a folder holds the files. what: the files, in words. where: where they are published.
    Raises:
      FileNotFoundError: one sentence that says what is missing, where to get it and where to put it.
    """
    root = folder if folder is not None else os.environ.get("DEJAX_DATA")
    places = []
    if root:
        base = local(root)
        below = [base / name for name in inside]
        places = [base, *below] if folder is not None else [*below, base]
    places += [] if folder is not None else map(Path, usual)
    for place in places:
        if has(place):
            return place
    looked = "DEJAX_DATA is not set and no folder was given" if not root else f"there is no such thing in {root}"
    put = f"$DEJAX_DATA/{inside[0]}" if inside else "$DEJAX_DATA"
    raise FileNotFoundError(
        f"{reader}: needs {what}, but {looked}; get them from {where} and put them into {put}, or give {reader}(folder=...)"
    )


def local(path: PathLike) -> Path:
    """Return a path of the user, `~` being the home directory."""
    return Path(path).expanduser()


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in order, but for names that begin with a dot."""
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))


def flat(folder: Path, endings: Sequence[str], of: str) -> list[Path]:
    """The files of a folder with these endings, in order.

    Args:
      of: whose they are, in words, "the class 'cat'".
    Raises:
      ValueError: such files in a folder below it, which would be passed over.
    """
    found = []
    for f in visible(folder):
        if f.is_file() and f.suffix.lower() in endings:
            found.append(f)
        elif f.is_dir() and any(inner.suffix.lower() in endings for inner in f.rglob("*")):
            raise damaged(
                f, f"holds files of {of}", "and only those in its own folder are read", f"move them into {folder}"
            )
    return found


def read_bytes(file: Path) -> bytes:
    """Return what a file holds, unpacked where it is gzipped.

    Raises:
      ValueError: a damaged archive.
    """
    raw = file.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as e:
        raise damaged(file, f"is damaged ({e})") from e


def damaged(file: PathLike, says: str, why: str = "", instead: str = "fetch it again") -> FieldError:
    """Make the error of a file: its name, and what is wrong with it."""
    return bad(str(file), says=says, why=why, instead=instead)


def needs(package: str, reader: str, extra: str) -> ImportError:
    """Make the error of a package that is not installed."""
    return ImportError(
        f"{reader} needs {package}, which is not installed; `pip install {package}`, or dejax-sim[{extra}]"
    )


__all__ = ["damaged", "find_folder", "flat", "local", "needs", "read_bytes", "visible"]
