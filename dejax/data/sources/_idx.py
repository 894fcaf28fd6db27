"""Image sets in IDX files from the local disk: Fashion-MNIST, MNIST and their relatives."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np

from ...errors import bad
from ..dataset import Dataset, source

STEMS = {
    ("train", "x"): "train-images-idx3-ubyte",
    ("train", "y"): "train-labels-idx1-ubyte",
    ("test", "x"): "t10k-images-idx3-ubyte",
    ("test", "y"): "t10k-labels-idx1-ubyte",
}


@source
def fashion_mnist(path: str | os.PathLike[str] | None = None) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 images of 28 x 28 pixels, 10 kinds of clothing.

    Read from local IDX files.

    x float32 [., 28, 28] in [0, 1]; y int32. Nothing is downloaded: the files are looked for in
    `path`, then in `$DEJAX_DATA/fashion-mnist` and `$DEJAX_DATA`, then in
    /usr/share/datasets/fashion-mnist.

    Args:
      path: folder with the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz.
    Raises:
      FileNotFoundError: not found; the text gives the commands that fetch the files. ValueError:
        damaged files.
    Reference: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking
      machine learning algorithms, 2017; MIT licence.
    Example:
      >>> fashion_mnist().train["x"].shape  # doctest: +SKIP
      (60000, 28, 28)
    """
    if path is not None:
        return from_idx(path, name="fashion_mnist", source="Fashion-MNIST, Zalando, MIT licence")
    own = os.environ.get("DEJAX_DATA")
    places = [Path(own) / "fashion-mnist", Path(own)] if own else []
    places.append(Path("/usr/share/datasets/fashion-mnist"))
    for place in places:
        if _find(place, STEMS["train", "x"]) is not None:
            return from_idx(place, name="fashion_mnist", source="Fashion-MNIST, Zalando, MIT licence")
    raise FileNotFoundError(
        f"fashion_mnist: no {STEMS['train', 'x']}(.gz) in {', '.join(map(str, places))}. dejax downloads nothing; on Debian or Ubuntu run\n"
        "  sudo apt-get install dataset-fashion-mnist\n"
        "or, without root,\n"
        "  apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb ~/dejax-data\n"
        "  export DEJAX_DATA=~/dejax-data/usr/share/datasets\n"
        "or put the four original files into a folder and give fashion_mnist(path=...)"
    )


@source
def from_idx(path: str | os.PathLike[str], name: str = "idx", source: str = "") -> Dataset:
    """Read images and labels from the four IDX files of a folder.

    MNIST and its relatives are published in this form.

    x float32 [., H, W] = pixel / 255; y int32; classes counted from the labels.

    Args:
      path: folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz.
      name, source: for summaries.
    Raises:
      FileNotFoundError: a file is missing. ValueError: a damaged file, or images and labels that
        differ in number.
    Reference: LeCun, Cortes and Burges, The MNIST database of handwritten digits (the format).
    Example:
      >>> from_idx("mnist/").partition(iid(), nodes=10)  # doctest: +SKIP
    """
    arrays: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for (part, kind), stem in STEMS.items():
        file = _find(Path(path), stem)
        if file is None:
            raise FileNotFoundError(
                f"{name}: there is no {stem} or {stem}.gz in {path}; give the folder that holds the four IDX files"
            )
        a = read_idx(file)
        if a.ndim != (3 if kind == "x" else 1):
            says = f"holds {file} of shape {list(a.shape)}"
            raise bad(
                "path",
                path,
                owner=name,
                says=says,
                instead="give " + ("images [N, H, W]" if kind == "x" else "labels [N]"),
            )
        arrays[part][kind] = a.astype(np.float32) / np.float32(255) if kind == "x" else a.astype(np.int32)
    for part, a in arrays.items():
        if len(a["x"]) != len(a["y"]) or not len(a["x"]):
            says = f"holds {len(a['x'])} {part} images but {len(a['y'])} labels"
            raise bad("path", path, owner=name, says=says, instead="give files that belong together")
    classes = 1 + max(int(a["y"].max()) for a in arrays.values())
    return Dataset(arrays["train"], arrays["test"], classes, name, source or f"IDX files in {path}")


def read_idx(file: str | os.PathLike[str]) -> np.ndarray:
    """The uint8 array of one IDX file, plain or gzipped.

    Raises:
      ValueError: not an IDX file of bytes, cut short, or damaged.
    """
    try:
        raw = Path(file).read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError, zlib.error) as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise bad(str(file), says=f"is damaged ({e})", instead="fetch it again") from e
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        instead = "give an IDX file of bytes, which begins with 0, 0, 8, number of axes"
        raise bad(str(file), says=f"begins with {raw[:4]!r}", instead=instead)
    shape = [int(s) for s in np.frombuffer(raw, ">i4", raw[3], 4)]
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    size = int(np.prod(shape, dtype=np.int64))
    if body.size != size:
        says = f"holds {body.size} bytes for the shape {shape} ({size})"
        raise bad(str(file), says=says, why="so it is cut short or damaged", instead="fetch it again")
    return body.reshape(shape)


def _find(folder: Path, stem: str) -> Path | None:
    return next((f for f in (folder / stem, folder / f"{stem}.gz") if f.is_file()), None)
