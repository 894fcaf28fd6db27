"""Image sets in IDX files: MNIST, EMNIST, Fashion-MNIST and their relatives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.checks import choice
from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from ..pixels import Normalize, pixels_of
from .files import damaged, find_folder, local, read_bytes

STEMS = {
    ("train", "x"): "train-images-idx3-ubyte",
    ("train", "y"): "train-labels-idx1-ubyte",
    ("test", "x"): "t10k-images-idx3-ubyte",
    ("test", "y"): "t10k-labels-idx1-ubyte",
}
FASHION = (
    "https://github.com/zalandoresearch/fashion-mnist (on Debian or Ubuntu by `sudo apt-get install dataset-fashion-mnist`; without "
    "root by `apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb ~/dejax-data` and `export "
    "DEJAX_DATA=~/dejax-data/usr/share/datasets`)"
)
MNIST, EMNIST = "http://yann.lecun.com/exdb/mnist", "https://www.nist.gov/itl/products-and-services/emnist-dataset"
SPLITS = {"balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26, "mnist": 10}  # classes


@source
def fashion_mnist(folder: PathLike | None = None, *, normalize: Normalize = False) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 images of 28 x 28 pixels, 10 kinds of clothing.

    Read from local IDX files.

    x uint8 [., 28, 28], which tasks see as float32 in [0, 1] or normalized (`Pixels`); y int32. Nothing is downloaded:
    the files are looked for in `folder`, else in `$DEJAX_DATA`, in either also in fashion-mnist and FashionMNIST/raw;
    then in /usr/share/datasets/fashion-mnist.

    Args:
      folder: with the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz.
      normalize: True: less the mean and over the std of the training part; or (mean, std), [1] each.
    Raises:
      FileNotFoundError: not found; says where to get the files, and by which commands. ValueError: damaged files.
    Reference: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking
      machine learning algorithms, 2017; MIT licence.
    Example:
      >>> fashion_mnist().train["x"].shape  # doctest: +SKIP
      (60000, 28, 28)
    """
    place = find_folder(
        "fashion_mnist",
        folder,
        ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
        lambda f: _find(f, STEMS["train", "x"]) is not None,
        "the four IDX files of Fashion-MNIST, such as train-images-idx3-ubyte.gz,",
        FASHION,
        ("/usr/share/datasets/fashion-mnist",),
    )
    return _read(place, "fashion_mnist", "Fashion-MNIST, Zalando, MIT licence", normalize, FASHION)


@source
def mnist(folder: PathLike | None = None, *, normalize: Normalize = False) -> Dataset:
    """MNIST: 60,000 + 10,000 handwritten digits of 28 x 28 pixels, 10 classes.

    Read from local IDX files: x uint8 [., 28, 28], which tasks see as float32 (`Pixels`); y int32.

    Args:
      folder: with the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz; None: $DEJAX_DATA/mnist.
      normalize: True: less the mean and over the std of the training part; or (mean, std), [1] each.
    Raises:
      FileNotFoundError: not found; says where to get the files. ValueError: damaged files.
    Reference: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998;
      CC BY-SA 3.0.
    Example:
      >>> mnist("mnist/").partition(shards(per_node=2), nodes=100)  # doctest: +SKIP
    """
    place = find_folder(
        "mnist",
        folder,
        ("mnist", "MNIST/raw", "MNIST"),
        lambda f: _find(f, STEMS["train", "x"]) is not None,
        "the four IDX files of MNIST, such as train-images-idx3-ubyte.gz,",
        MNIST,
    )
    return _read(place, "mnist", "MNIST, LeCun, Cortes and Burges, CC BY-SA 3.0", normalize, MNIST)


@source
def emnist(
    folder: PathLike | None = None,
    *,
    split: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"] = "balanced",
    normalize: Normalize = False,
) -> Dataset:
    """EMNIST: handwritten letters and digits of 28 x 28 pixels, in one of six splits.

    x uint8 [., 28, 28], upright (the files hold them transposed), which tasks see as float32 (`Pixels`); y int32, from 0
    (the files of "letters" count from 1). It has no writers: those are in FEMNIST (`femnist`).

    Args:
      folder: with emnist-SPLIT-{train,test}-{images-idx3,labels-idx1}-ubyte, plain or .gz; None: $DEJAX_DATA/emnist.
      split: "balanced" (47 classes), "byclass" (62), "bymerge" (47), "digits" (10), "letters" (26), "mnist" (10).
      normalize: True: less the mean and over the std of the training part; or (mean, std), [1] each.
    Raises:
      FileNotFoundError: not found; says where to get the files. ValueError: an unknown split, damaged files.
    Reference: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters, 2017; NIST
      Special Database 19, public domain.
    Example:
      >>> emnist("emnist/", split="letters").num_classes  # doctest: +SKIP
      26
    """
    split = choice(*SPLITS)("emnist.split", split)
    stems = {
        (part, kind): f"emnist-{split}-{part}-{'images-idx3' if kind == 'x' else 'labels-idx1'}-ubyte"
        for part, kind in STEMS
    }
    place = find_folder(
        "emnist",
        folder,
        ("emnist", "gzip", "emnist/gzip", "EMNIST/raw"),
        lambda f: _find(f, stems["train", "x"]) is not None,
        f"the four IDX files of EMNIST, such as {stems['train', 'x']}.gz,",
        EMNIST,
    )
    first = 1 if split == "letters" else 0
    return _read(place, "emnist", f"EMNIST {split}, NIST", normalize, EMNIST, stems, (first, SPLITS[split]), True)


@source
def from_idx(folder: PathLike, name: str = "idx", source: str = "", *, normalize: Normalize = False) -> Dataset:
    """Read images and labels from the four IDX files of a folder.

    Relatives of MNIST are published in this form.

    x uint8 [., H, W], which tasks see as float32 pixel / 255 (`Pixels`); y int32; classes counted from the labels.

    Args:
      folder: with {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz.
      name, source: for summaries.
      normalize: True: less the mean and over the std of the training part; or (mean, std), [1] each.
    Raises:
      FileNotFoundError: a file is missing. ValueError: a damaged file, or images and labels that
        differ in number.
    Reference: LeCun, Cortes and Burges, The MNIST database of handwritten digits (the format).
    Example:
      >>> from_idx("kmnist/").partition(iid(), nodes=10)  # doctest: +SKIP
    """
    return _read(local(folder), name, source or f"IDX files in {folder}", normalize)


def _read(
    folder: Path,
    name: str,
    source: str,
    normalize: Normalize,
    where: str = "",
    stems: dict[tuple[str, str], str] = STEMS,
    labels: Sequence[int] = (),
    turned: bool = False,
) -> Dataset:
    """A data set of four files.

    where: they are published, or "". labels: the first label and how many there are; () counts them from 0. turned: the files hold images transposed.
    """
    arrays: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for (part, kind), stem in stems.items():
        file = _find(folder, stem)
        if file is None:
            way = f"get it from {where} and put it there" if where else "give the folder that holds the four IDX files"
            raise FileNotFoundError(f"{name}: there is no {stem} or {stem}.gz in {folder}; {way}")
        a = read_idx(file)
        if a.ndim != (3 if kind == "x" else 1):
            instead = "give " + ("images [N, H, W]" if kind == "x" else "labels [N]")
            raise damaged(file, f"holds an array {list(a.shape)}", instead=instead)
        a = np.ascontiguousarray(a.transpose(0, 2, 1)) if kind == "x" and turned else a
        arrays[part][kind] = a if kind == "x" else a.astype(np.int32) - (labels[0] if labels else 0)
        if (
            kind == "y"
            and labels
            and a.size
            and not 0 <= arrays[part][kind].min() <= arrays[part][kind].max() < labels[1]
        ):
            why = f"but those of {name} are {labels[0]} to {labels[0] + labels[1] - 1}"
            raise damaged(file, f"holds labels from {a.min()} to {a.max()}", why)
    for part, a in arrays.items():
        if len(a["x"]) != len(a["y"]) or not len(a["x"]):
            says = f"holds {len(a['x'])} {part} images but {len(a['y'])} labels"
            raise bad("folder", folder, owner=name, says=says, instead="give files that belong together")
    classes = labels[1] if labels else 1 + max(int(a["y"].max()) for a in arrays.values())
    train = arrays["train"]
    return Dataset(train, arrays["test"], classes, name, source, pixels=pixels_of(train["x"], normalize, name))


def read_idx(file: PathLike) -> np.ndarray:
    """The uint8 array of one IDX file, plain or gzipped.

    Raises:
      ValueError: not an IDX file of bytes, cut short, or damaged.
    """
    raw = read_bytes(Path(file))
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        instead = "give an IDX file of bytes, which begins with 0, 0, 8, number of axes"
        raise damaged(file, f"begins with {raw[:4]!r}", instead=instead)
    shape = [int(s) for s in np.frombuffer(raw, ">i4", raw[3], 4)]
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    size = int(np.prod(shape, dtype=np.int64))
    if body.size != size:
        raise damaged(file, f"holds {body.size} bytes for the shape {shape} ({size})", "so it is cut short or damaged")
    return body.reshape(shape)


def _find(folder: Path, stem: str) -> Path | None:
    return next((f for f in (folder / stem, folder / f"{stem}.gz") if f.is_file()), None)


__all__ = ["emnist", "fashion_mnist", "from_idx", "mnist", "read_idx"]
