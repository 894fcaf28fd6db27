"""LEAF: data of many users, from the JSON files that its scripts write."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.checks import whole
from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from ..pixels import Pixels
from .files import damaged, find_folder, local
from .pictures import read_images

WHERE = "https://leaf.cmu.edu (run preprocess.sh of https://github.com/TalwalkarLab/leaf)"
# the 80 characters that the models of LEAF know, in their order
LETTERS = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
Samples = list[tuple[str, np.ndarray, np.ndarray]]  # the name of each user, its x [s, ...] and y [s]
Read = Callable[[list[Any], list[Any]], tuple[np.ndarray, np.ndarray]]  # what a file says of a user, as arrays


@source
def femnist(folder: PathLike | None = None) -> Dataset:
    """FEMNIST: handwritten letters and digits by writer, 28 x 28 pixels, 62 classes.

    x uint8 [., 28, 28] where the files hold whole pixels (as LEAF writes them: value / 255), which tasks see as float32
    (`Pixels`), else float32; y int32. `groups` are the writers, for `by_group`.

    Args:
      folder: of LEAF's femnist, which holds data/train/*.json and data/test/*.json, or of train and test; None:
        $DEJAX_DATA/femnist.
    Raises:
      FileNotFoundError: not found; says where to get the files. ValueError: a damaged file, named, with the user; a user
        in two files of a part.
    Reference: Caldas et al., LEAF: a benchmark for federated settings, 2018; NIST Special Database 19, public domain.
    Example:
      >>> femnist("leaf/data/femnist").partition(by_group(), nodes=100)  # doctest: +SKIP
    """
    return _leaf("femnist", folder, _picture, _class(62), 62)


@source
def shakespeare(folder: PathLike | None = None) -> Dataset:
    """Shakespeare's plays by speaking role: 80 characters, and the next one.

    x int32 [., 80], y int32, in LEAF's alphabet of 80 characters. `groups` are the roles, for `by_group`.

    Args:
      folder: of LEAF's shakespeare, as for `femnist`; None: $DEJAX_DATA/shakespeare.
    Raises:
      FileNotFoundError, ValueError: as for `femnist`.
    Reference: Caldas et al., LEAF: a benchmark for federated settings, 2018; text of Project Gutenberg, public domain in
      the USA.
    Example:
      >>> shakespeare("leaf/data/shakespeare").num_classes  # doctest: +SKIP
      80
    """
    return _leaf("shakespeare", folder, _letters, lambda y: _one(_letters(y), "one character"), len(LETTERS))


@source
def sent140(folder: PathLike | None = None, *, length: int = 140) -> Dataset:
    """Sent140: tweets by the account that wrote them, with a good or a bad mood.

    x int32 [., length]: bytes of the text in UTF-8 plus 1, cut or filled with 0, so that there are 257 symbols; y int32:
    1 is good. `groups` are the accounts, for `by_group`.

    Args:
      folder: of LEAF's sent140, as for `femnist`; None: $DEJAX_DATA/sent140.
      length: bytes of a text that are kept, >= 1.
    Raises:
      FileNotFoundError, ValueError: as for `femnist`.
    Reference: Go, Bhayani and Huang, Twitter sentiment classification using distant supervision, 2009; Caldas et al.,
      LEAF, 2018. Texts are their authors'.
    Example:
      >>> sent140("leaf/data/sent140", length=80).train["x"].shape[1:]  # doctest: +SKIP
      (80,)
    """
    length = whole("sent140.length", length)
    return _leaf("sent140", folder, lambda x: _text(x, length), _mood, 2)


@source
def celeba(
    folder: PathLike | None = None, *, images: PathLike | None = None, size: tuple[int, int] = (84, 84)
) -> Dataset:
    """CelebA: faces by the person shown, smiling or not.

    x uint8 [., H, W, 3], which tasks see as float32 (`Pixels`); y int32. `groups` are the persons, for `by_group`. Needs
    Pillow.

    Args:
      folder: of LEAF's celeba, as for `femnist`; None: $DEJAX_DATA/celeba.
      images: folder of the aligned faces; None: data/raw/img_align_celeba or raw/img_align_celeba in that of LEAF.
      size: (H, W), to which every image is resized; LEAF takes 84 x 84.
    Raises:
      ImportError: Pillow is missing. FileNotFoundError, ValueError: as for `femnist`.
    Reference: Liu, Luo, Wang and Tang, Deep learning face attributes in the wild, 2015 (non-commercial research); Caldas
      et al., LEAF, 2018.
    Example:
      >>> celeba("leaf/data/celeba", size=(32, 32)).num_classes  # doctest: +SKIP
      2
    """
    made = _leaf("celeba", folder, _file_name, _class(2), 2)
    base = _place("celeba", folder)
    places = (
        [local(images)] if images is not None else [base / "raw/img_align_celeba", base.parent / "raw/img_align_celeba"]
    )
    faces = next((f for f in places if f.is_dir()), None)
    if faces is None:
        raise FileNotFoundError(
            f"celeba: there is no folder {places[0]}; get img_align_celeba from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html "
            "and put it there, or give celeba(images=...)"
        )
    for part in (made.train, made.test):
        if part is not None:
            part["x"] = read_images([faces / str(f) for f in part["x"]], size, False, "celeba")
    return replace(made, pixels=Pixels())


def _leaf(
    name: str, folder: PathLike | None, read_x: Callable[[Any], Any], read_y: Callable[[Any], int], classes: int
) -> Dataset:
    """Read train and test of one data set, users as groups.

    `test_groups` are kept where every user of the training part has test samples: LEAF splits by sample or by user.
    """
    base = _place(name, folder)
    shape: list[tuple[int, ...]] = []  # of the first sample

    def read(x: list[Any], y: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        made = [read_x(v) for v in x]
        shape.extend([] if shape else [made[0].shape])
        if other := [v for v in made if v.shape != shape[0]]:
            raise ValueError(f"its shape is {list(other[0].shape)}, but that of the first {list(shape[0])}")
        return _stored(np.stack(made)), np.array([read_y(v) for v in y], np.int32)

    parts = {part: _users(base / part, name, read) for part in ("train", "test") if list((base / part).glob("*.json"))}
    owners = sorted({user for some in parts.values() for user, *_ in some})
    number = {user: i for i, user in enumerate(owners)}
    if lacking := [base / part for part, some in parts.items() if not some]:
        raise damaged(lacking[0], "holds no samples", instead="run LEAF's preprocess.sh again")
    pixels = Pixels() if all(x.dtype == np.uint8 for some in parts.values() for _, x, _ in some) else None
    arrays, groups = {}, {}
    for part, some in parts.items():
        x = [_floats(x) if pixels is None else x for _, x, _ in some]
        arrays[part] = {"x": np.concatenate(x), "y": np.concatenate([y for *_, y in some])}
        groups[part] = np.repeat(np.array([number[user] for user, *_ in some], np.int32), [len(y) for *_, y in some])
        some.clear()  # they stand in `arrays` now
    apart = "test" not in groups or bool(np.setdiff1d(groups["train"], groups["test"]).size)
    return Dataset(
        arrays["train"],
        arrays.get("test"),
        classes,
        name,
        f"{WHERE}; Caldas et al. 2018",
        groups["train"],
        None if apart else groups["test"],
        pixels=pixels,
        owners=tuple(owners),
    )


def _place(name: str, folder: PathLike | None) -> Path:
    """The folder of train and test."""
    has = lambda f: bool(list((f / "train").glob("*.json")))
    what = f"data/train/*.json and data/test/*.json of LEAF's {name}"
    return find_folder(name, folder, (f"{name}/data", name, "data"), has, what, WHERE)


def _users(folder: Path, name: str, read: Read) -> Samples:
    """The samples of every user in the files of a folder, files and users in order.

    Of a file no more is kept than what `read` makes of it.
    """
    out: Samples = []
    first: dict[str, Path] = {}
    for file in sorted(folder.glob("*.json")):
        for user, (x, y) in _of_file(file):
            if (other := first.setdefault(user, file)) != file:
                why, way = f"and so does {other.name}", "keep one of the files, or give users names of their own"
                raise damaged(file, f"holds samples of user {user!r}", why, way)
            if not x:
                continue
            try:
                out.append((user, *read(x, y)))
            except (ValueError, TypeError, KeyError, IndexError, OverflowError) as e:
                raise damaged(file, f"holds a sample of user {user!r} that is none of {name}: {e}") from e
    return out


def _of_file(file: Path) -> Iterator[tuple[str, tuple[list[Any], list[Any]]]]:
    """Each user of a file with x and y, which are forgotten when the next one comes."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise damaged(
            file, f"is no JSON ({e})", "so it is cut short or damaged", "run LEAF's preprocess.sh again"
        ) from e
    users, data = (held.get(k) for k in ("users", "user_data")) if isinstance(held, dict) else (None, None)
    if not isinstance(users, list) or not isinstance(data, dict):
        raise damaged(file, "lacks users and user_data", instead="give a file that LEAF wrote")
    counts = held.get("num_samples", [None] * len(users))
    if not isinstance(counts, list) or len(counts) != len(users):
        said = len(counts) if isinstance(counts, list) else repr(counts)
        raise damaged(file, f"names {len(users)} users", f"but num_samples holds {said}", "give a file that LEAF wrote")
    if more := sorted(set(data) - {u for u in users if isinstance(u, str)}):
        raise damaged(
            file, f"holds samples of user {more[0]!r}", "whom users does not name", "give a file that LEAF wrote"
        )
    for user, count in zip(users, counts, strict=True):
        own = data.pop(user, None) if isinstance(user, str) else None  # None also for one that comes twice
        x, y = (own.get(k) for k in "xy") if isinstance(own, dict) else (None, None)
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise damaged(file, f"holds no x and y of equal length for user {user!r}")
        if count not in (None, len(x)):
            raise damaged(file, f"holds {len(x)} samples of user {user!r}", f"but num_samples says {count}")
        yield user, (x, y)


def _picture(x: Any) -> np.ndarray:
    made = np.asarray(x, np.float32)
    if made.shape != (784,) or not (np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1):
        raise ValueError("784 numbers in [0, 1] are needed")
    return made.reshape(28, 28)


def _stored(x: np.ndarray) -> np.ndarray:
    """Pictures as bytes where they hold whole pixels; all else as it is."""
    if x.dtype != np.float32:
        return x
    rounded = np.round(x * 255)
    return rounded.astype(np.uint8) if np.abs(rounded - x * 255).max() <= 1e-2 else x


def _floats(x: np.ndarray) -> np.ndarray:
    """Pictures that were stored as bytes as float32 again; all else as it is."""
    return x.astype(np.float32) / 255 if x.dtype == np.uint8 else x


def _class(classes: int) -> Callable[[Any], int]:
    allowed = frozenset(range(classes))
    return lambda y: _label(y, allowed, f"no class from 0 to {classes - 1}")


def _label(y: Any, allowed: frozenset[int], otherwise: str) -> int:
    """A whole number, or text of one, among those allowed."""
    try:
        number = None if isinstance(y, bool) else float(y)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number not in allowed:
        raise ValueError(f"the label {y!r} is {otherwise}")
    return int(number)


def _letters(x: Any) -> np.ndarray:
    if not isinstance(x, str) or not x:
        raise ValueError(f"{x!r} is no text")
    made = np.array([LETTERS.find(c) for c in x], np.int32)
    if made.min() < 0:
        raise ValueError(f"the character {x[int(made.argmin())]!r} is none of LEAF's {len(LETTERS)}")
    return made


def _one(values: np.ndarray, want: str) -> int:
    if len(values) != 1:
        raise ValueError(f"{len(values)} characters are no label; {want} is needed")
    return int(values[0])


def _text(x: Any, length: int) -> np.ndarray:
    text = x[4] if isinstance(x, list) and len(x) > 4 else x  # [id, date, query, user, text]
    if not isinstance(text, str):
        raise ValueError("a text, or [id, date, query, user, text], is needed")
    raw = np.frombuffer(text.encode("utf-8", "replace")[:length], np.uint8)
    return np.pad(raw.astype(np.int32) + 1, (0, length - len(raw)))


def _mood(y: Any) -> int:
    return int(_label(y, frozenset((0, 1, 4)), "none of 0, 1, 4") > 0)  # raw files say 4 for good


def _file_name(x: Any) -> np.ndarray:
    if not isinstance(x, str) or Path(x).name != x:
        raise bad("x", x, instead="give the name of an image file")
    return np.array(x)


__all__ = ["celeba", "femnist", "sent140", "shakespeare"]
