"""Text: files of bytes or tokens by author, in windows that learn their next symbols."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.checks import choice, in_, whole
from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from .files import damaged, flat, local, visible

Streams = Mapping[str, list[np.ndarray]]  # author -> the symbols of each file
SHARE = in_(0, 1, "[)", "a share")


@source
def from_text(
    folder: PathLike,
    length: int = 80,
    *,
    symbols: Literal["bytes", "characters"] = "bytes",
    test: float = 0.1,
    name: str | None = None,
) -> Dataset:
    """Read .txt files by author, as windows of symbols and the symbol after each.

    x int32 [., length], y int32 [., length]: y[i] is x[i + 1], so that the loss of a task is the mean over places. An
    author is a folder of files, or a single file; a file alone may be given, too. Names that begin with a dot are passed
    over. `groups` are the authors, for `by_group`. The last `test` of every author's windows are test rows.

    Args:
      folder: with AUTHOR.txt or AUTHOR/*.txt; or one .txt file.
      length: symbols of a window, >= 1; windows do not overlap, and what is left over is not used.
      symbols: "bytes" (256 classes), or "characters" (those that occur, in the order of their code points).
      test: share of windows, 0 <= test < 1.
      name: for summaries; default that of the folder.
    Raises:
      FileNotFoundError: no such place. ValueError: no .txt files; files in a folder below an author's; an author with
        too little text for one window (two, where test > 0); characters that are no UTF-8.
    Example:
      >>> from_text("speeches/", length=64).partition(by_group(), nodes=43)  # doctest: +SKIP
    """
    symbols = choice("bytes", "characters")("from_text.symbols", symbols)
    root = local(folder)
    files = _by_author(root, (".txt",), "from_text")
    if symbols == "bytes":
        streams = {a: [np.frombuffer(f.read_bytes(), np.uint8) for f in some] for a, some in files.items()}
        classes = 256
    else:
        points = {a: [_points(f) for f in some] for a, some in files.items()}
        known = np.unique(np.concatenate([p for some in points.values() for p in some]))
        streams = {a: [np.searchsorted(known, p) for p in some] for a, some in points.items()}
        classes = len(known)
    return _windows(streams, length, test, max(classes, 1), name or root.stem, f"text in {root}", "from_text")


@source
def from_tokens(
    folder: PathLike,
    length: int = 128,
    *,
    dtype: Literal["uint16", "uint32", "int32"] = "uint16",
    vocabulary: int | None = None,
    test: float = 0.1,
    name: str | None = None,
) -> Dataset:
    """Read files of tokens by author: .npy arrays of whole numbers, or .bin files of raw ones.

    As `from_text`, of text that a tokenizer of yours made numbers of.

    Args:
      folder: with AUTHOR.npy or AUTHOR.bin, or AUTHOR/*.npy and AUTHOR/*.bin; or one such file.
      length: tokens of a window, >= 1.
      dtype: of .bin files, little-endian.
      vocabulary: number of tokens; None: the largest token + 1.
      test: share of windows of each author, 0 <= test < 1.
      name: for summaries; default that of the folder.
    Raises:
      FileNotFoundError: no such place. ValueError: as for `from_text`; a file that is cut short, or holds no whole
        numbers >= 0; a token that the vocabulary lacks.
    Example:
      >>> from_tokens("tokens/", length=128, vocabulary=50257)  # doctest: +SKIP
    """
    dtype = choice("uint16", "uint32", "int32")("from_tokens.dtype", dtype)
    root = local(folder)
    files = _by_author(root, (".npy", ".bin"), "from_tokens")
    streams = {a: [_tokens(f, dtype) for f in some] for a, some in files.items()}
    largest = max((int(s.max()) for some in streams.values() for s in some if s.size), default=0)
    if vocabulary is not None and (vocabulary := whole("from_tokens.vocabulary", vocabulary)) <= largest:
        why, way = f"but a token is {largest}", f"give vocabulary >= {largest + 1}, or leave it out"
        raise bad("vocabulary", vocabulary, owner="from_tokens", why=why, instead=way)
    classes = largest + 1 if vocabulary is None else vocabulary
    return _windows(streams, length, test, classes, name or root.stem, f"tokens in {root}", "from_tokens")


def _by_author(root: Path, endings: Sequence[str], reader: str) -> dict[str, list[Path]]:
    """Author -> files, both in order."""
    if root.is_file():
        return {root.stem: [root]}
    if not root.is_dir():
        raise FileNotFoundError(
            f"{reader}: there is no {root}; give a folder with AUTHOR{endings[0]} or AUTHOR/*{endings[0]}"
        )
    found = {f.name: flat(f, endings, f"the author {f.name!r}") for f in visible(root) if f.is_dir()}
    for file in (f for f in visible(root) if f.is_file() and f.suffix.lower() in endings):
        found.setdefault(file.stem, []).append(file)
    found = {author: found[author] for author in sorted(found) if found[author]}
    if not found:
        raise damaged(root, f"holds no {' or '.join(endings)} files", instead="give the folder that does")
    return found


def _points(file: Path) -> np.ndarray:
    """Code points of a text, [characters]."""
    try:
        return np.frombuffer(file.read_bytes().decode("utf-8").encode("utf-32-le"), np.uint32)
    except UnicodeDecodeError as e:
        raise damaged(file, f"is no UTF-8 ({e})", instead="convert it, or give symbols='bytes'") from e


def _tokens(file: Path, dtype: str) -> np.ndarray:
    if file.suffix.lower() == ".bin":
        kind = np.dtype(dtype).newbyteorder("<")
        raw = file.read_bytes()
        if len(raw) % kind.itemsize:
            says = f"holds {len(raw)} bytes, which is no number of tokens of {kind.itemsize}"
            raise damaged(file, says, "so it is cut short, or of another dtype")
        made = np.frombuffer(raw, kind)
    else:
        try:
            made = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as e:
            raise damaged(file, f"cannot be read ({e})", instead="write it with np.save") from e
    if made.ndim != 1 or made.dtype.kind not in "iu" or (made.size and (made.min() < 0 or made.max() >= 2**31)):
        instead = "give whole numbers >= 0, [tokens]"
        raise damaged(file, f"holds {made.dtype}{list(made.shape)}, or numbers that are no tokens", instead=instead)
    return made


def _windows(streams: Streams, length: int, test: float, classes: int, name: str, said: str, reader: str) -> Dataset:
    """Cut the symbols of every author into windows; its last ones are test rows."""
    length, test = whole(f"{reader}.length", length), SHARE(f"{reader}.test", test)
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    owner: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for i, (author, some) in enumerate(streams.items()):
        cut = []
        for symbols in some:
            rows = max((len(symbols) - 1) // length, 0)
            at = np.arange(rows)[:, None] * length + np.arange(length + 1)
            cut.append(symbols[at].astype(np.int32))
        windows = np.concatenate(cut)
        away = max(round(test * len(windows)), 1) if test else 0
        if len(windows) - away < 1:
            says = f"has {sum(map(len, some))} symbols of author {author!r}"
            why = f"but {1 + bool(test)} window{'s' * bool(test)} of {length} and the symbol after are needed"
            raise bad(
                "folder", owner=reader, says=says, why=why, instead="give a smaller length, or leave the author out"
            )
        for part, rows in (("train", windows[: len(windows) - away]), ("test", windows[len(windows) - away :])):
            parts[part].append(rows)
            owner[part].append(np.full(len(rows), i, np.int32))
    both = {part: np.concatenate(rows) for part, rows in parts.items()}
    pair = {part: {"x": rows[:, :-1], "y": rows[:, 1:]} for part, rows in both.items()}
    pair = {part: {k: np.ascontiguousarray(v) for k, v in arrays.items()} for part, arrays in pair.items()}
    groups = {part: np.concatenate(ids) for part, ids in owner.items()}
    tested = bool(len(groups["test"]))
    return Dataset(
        pair["train"],
        pair["test"] if tested else None,
        classes,
        name,
        said,
        groups["train"],
        groups["test"] if tested else None,
        owners=tuple(streams),
    )


__all__ = ["from_text", "from_tokens"]
