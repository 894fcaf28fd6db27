"""CIFAR-10 and CIFAR-100 from their published files, python or binary version."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.types import PathLike
from ..dataset import Dataset, source
from ..pixels import Normalize, pixels_of
from .files import damaged, find_folder, read_bytes
from .pickles import read_pickle

PIXELS = 3 * 32 * 32
WHERE = "https://www.cs.toronto.edu/~kriz/cifar.html"
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
Part = tuple[np.ndarray, np.ndarray]


@source
def cifar10(folder: PathLike | None = None, *, normalize: Normalize = False) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 color images of 32 x 32 pixels, 10 classes.

    x uint8 [., 32, 32, 3], which tasks see as float32 in [0, 1] or normalized (`Pixels`); y int32. Read is the python
    version (data_batch_1 to 5, test_batch) or the binary one (the same names with .bin). Of a pickle arrays and plain
    containers are read and nothing else; one that names anything else is refused.

    Args:
      folder: with the files, or with the folder cifar-10-batches-py or cifar-10-batches-bin; None: $DEJAX_DATA.
      normalize: True: less the mean and over the std of each channel of the training part; or (mean, std), [3] each.
    Raises:
      FileNotFoundError: not found; says where to get the files. ValueError: a damaged file, named.
    Reference: Krizhevsky, Learning multiple layers of features from tiny images, 2009; published without a licence.
    Example:
      >>> cifar10("cifar-10-batches-py").partition(dirichlet(alpha=0.1), nodes=100)  # doctest: +SKIP
    """
    place = find_folder(
        "cifar10",
        folder,
        ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar10", "cifar-10"),
        lambda f: _has(f, BATCHES[0]),
        "data_batch_1 to 5 and test_batch of CIFAR-10 (python or binary version)",
        WHERE,
    )
    parts = [_read(place, name, b"labels", 1, 0) for name in BATCHES]
    sizes = [len(y) for _, y in parts]
    if len(set(sizes)) > 1:
        odd = next(i for i, s in enumerate(sizes) if sizes.count(s) < 3)
        says, why = f"holds {sizes[odd]} images", f"but the others {max(set(sizes), key=sizes.count)}"
        raise damaged(_file(place, BATCHES[odd]), says, why)
    train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    return _dataset("cifar10", train, _read(place, "test_batch", b"labels", 1, 0), 10, normalize)


@source
def cifar100(folder: PathLike | None = None, *, coarse: bool = False, normalize: Normalize = False) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 color images of 32 x 32 pixels, 100 classes in 20 superclasses.

    As `cifar10`; read are the files train and test (python version) or train.bin and test.bin.

    Args:
      folder: with the files, or with the folder cifar-100-python or cifar-100-binary; None: $DEJAX_DATA.
      coarse: y is the superclass, 20 classes; default the class, 100.
      normalize: as for `cifar10`.
    Raises:
      FileNotFoundError, ValueError: as for `cifar10`.
    Reference: Krizhevsky, Learning multiple layers of features from tiny images, 2009; published without a licence.
    Example:
      >>> cifar100("cifar-100-python").num_classes  # doctest: +SKIP
      100
    """
    inside = ("cifar-100-python", "cifar-100-binary", "cifar100", "cifar-100")
    what = "the files train and test of CIFAR-100 (python or binary version)"
    has = lambda f: _has(f, "train") and _has(f, "test")
    place = find_folder("cifar100", folder, inside, has, what, WHERE)
    key, at = (b"coarse_labels", 0) if coarse else (b"fine_labels", 1)
    train, test = (_read(place, name, key, 2, at) for name in ("train", "test"))
    return _dataset("cifar100", train, test, 20 if coarse else 100, normalize)


def _file(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_file() else folder / f"{name}.bin"


def _has(folder: Path, name: str) -> bool:
    return _file(folder, name).is_file()


def _read(folder: Path, name: str, key: bytes, labels: int, at: int) -> Part:
    """(pixels [N, 3072], labels [N]) of one file.

    key: of the labels in a pickle. labels, at: label bytes before each image of a binary file, and which of them.
    """
    file = _file(folder, name)
    if not file.is_file():
        raise FileNotFoundError(f"there is no {folder / name} or {name}.bin; get it from {WHERE} and put it there")
    if file.suffix == ".bin":
        raw, row = np.frombuffer(read_bytes(file), np.uint8), labels + PIXELS
        if not raw.size or raw.size % row:
            says = f"holds {raw.size} bytes, which is no number of records of {row}"
            raise damaged(file, says, "so it is cut short or no binary version of CIFAR")
        rows = raw.reshape(-1, row)
        return rows[:, labels:], rows[:, at]
    held = read_pickle(file)
    if not isinstance(held, dict):
        raise damaged(file, f"holds {type(held).__name__}", "and no dict with data and labels")
    held = {k.encode() if isinstance(k, str) else k: v for k, v in held.items()}
    x, y = held.get(b"data"), held.get(key)
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != PIXELS or not len(x):
        said = f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise damaged(file, f"holds data {said}", f"and not bytes [N, {PIXELS}]")
    if not isinstance(y, (list, np.ndarray)) or len(y) != len(x) or not _whole(y):
        count = len(y) if isinstance(y, (list, np.ndarray)) else "no"
        raise damaged(file, f"holds {count} {key.decode()} for {len(x)} images", "one whole number each is needed")
    return x, np.asarray(y)


def _whole(y: Sequence[object] | np.ndarray) -> bool:
    return y.dtype.kind in "iu" and y.ndim == 1 if isinstance(y, np.ndarray) else all(type(v) is int for v in y)


def _dataset(name: str, train: Part, test: Part, classes: int, normalize: Normalize) -> Dataset:
    parts = []
    for x, y in (train, test):
        images = np.ascontiguousarray(x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        if y.min() < 0 or y.max() >= classes:
            raise damaged(
                name, f"holds the label {int(y.max() if y.max() >= classes else y.min())}", f"of {classes} classes"
            )
        parts.append({"x": images, "y": y.astype(np.int32)})
    return Dataset(
        *parts,
        num_classes=classes,
        name=name,
        source=f"{WHERE}; Krizhevsky 2009",
        pixels=pixels_of(parts[0]["x"], normalize, name),
    )


__all__ = ["cifar10", "cifar100"]
