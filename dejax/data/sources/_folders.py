"""Images in folders, one folder a class; Tiny-ImageNet among them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.checks import Wholes
from ...core.types import PathLike
from ...errors import bad
from ..dataset import Dataset, source
from ..pixels import Normalize, pixels_of
from .files import damaged, find_folder, needs

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".gif", ".tif", ".tiff")
TINY = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
File = tuple[Path, int]  # an image and its class


@source
def from_folder(
    folder: PathLike,
    size: tuple[int, int] | None = None,
    *,
    gray: bool = False,
    name: str | None = None,
    normalize: Normalize = False,
) -> Dataset:
    """Read images from folders of classes: FOLDER/CLASS/*.png or FOLDER/train/CLASS/*.png.

    Classes are the names of the folders under train (or under FOLDER), in sorted order. x uint8 [., H, W, 3], or
    [., H, W] where `gray`, which tasks see as float32 (`Pixels`); y int32. Needs Pillow.

    Args:
      folder: of the classes, or of train and maybe test and val (or valid, or validation), the part by which runs are chosen.
      size: (H, W), to which every image is resized (bilinear); None: all have one size.
      gray: one channel in place of three.
      name: for summaries; default the folder's.
      normalize: True: less the mean and over the std of each channel of the training part; or (mean, std).
    Raises:
      ImportError: Pillow is missing. FileNotFoundError: no such folder. ValueError: no images; images of several sizes; a
        file that is no image, named; a class that the training part lacks.
    Example:
      >>> from_folder("flowers/", size=(64, 64)).partition(iid(), nodes=8)  # doctest: +SKIP
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"from_folder: there is no folder {root}; give the one that holds a folder per class")
    found = {PARTS[f.name]: f for f in sorted(root.iterdir()) if f.is_dir() and f.name in PARTS}
    parts = found if "train" in found else {"train": root}
    classes = [f.name for f in sorted(parts["train"].iterdir()) if f.is_dir()]
    files = {part: _files(place, classes) for part, place in parts.items()}
    if not files["train"]:
        way = f"give FOLDER/CLASS/*.png, endings {', '.join(ENDINGS)}"
        raise damaged(parts["train"], "holds no folder with images in it", instead=way)
    return _dataset(name or root.name, files, len(classes), size, gray, normalize, f"images in {root}")


@source
def tiny_imagenet(folder: PathLike | None = None, *, normalize: Normalize = False) -> Dataset:
    """Tiny-ImageNet: 100,000 + 10,000 color images of 64 x 64 pixels, 200 classes.

    x uint8 [., 64, 64, 3], which tasks see as float32 (`Pixels`); y int32, by the order of wnids.txt. The published
    validation part is the test part here, as in papers: labels of its test part are not published. Needs Pillow.

    Args:
      folder: with wnids.txt, train and val, or with the folder tiny-imagenet-200; None: $DEJAX_DATA.
      normalize: True: less the mean and over the std of each channel of the training part; or (mean, std), [3] each.
    Raises:
      ImportError: Pillow is missing. FileNotFoundError: not found; says where to get the files. ValueError: a damaged file.
    Reference: Le and Yang, Tiny ImageNet visual recognition challenge, 2015; terms of ImageNet, non-commercial research.
    Example:
      >>> tiny_imagenet("tiny-imagenet-200").num_classes  # doctest: +SKIP
      200
    """
    inside, has = ("tiny-imagenet-200", "tiny-imagenet"), lambda f: (f / "wnids.txt").is_file()
    place = find_folder("tiny_imagenet", folder, inside, has, "wnids.txt, train and val of Tiny-ImageNet", TINY)
    classes = (place / "wnids.txt").read_text(encoding="utf-8").split()
    number = {c: i for i, c in enumerate(classes)}
    train: list[File] = []
    for c in classes:
        images = _images(place / "train" / c / "images")
        if not images:
            raise damaged(place / "train" / c / "images", "holds no images")
        train += [(f, number[c]) for f in images]
    notes = place / "val" / "val_annotations.txt"
    if not notes.is_file():
        raise FileNotFoundError(f"there is no {notes}; get it from {TINY} and put it there")
    test: list[File] = []
    for i, line in enumerate(notes.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("\t")
        if len(words) < 2 or words[1] not in number:
            raise damaged(notes, f"says {line!r} in line {i}", "and no image and class of wnids.txt")
        test.append((place / "val" / "images" / words[0], number[words[1]]))
    said = f"{TINY}; Le and Yang 2015"
    return _dataset("tiny_imagenet", {"train": train, "test": test}, len(classes), None, False, normalize, said)


def _files(place: Path, classes: Sequence[str]) -> list[File]:
    folders = [f for f in sorted(place.iterdir()) if f.is_dir()]
    if more := [f.name for f in folders if f.name not in classes]:
        raise damaged(place, f"holds the class {more[0]!r}", "which the training part lacks", "give it there, too")
    return [(file, classes.index(f.name)) for f in folders for file in _images(f)]


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in ENDINGS) if folder.is_dir() else []


def _dataset(
    name: str, files: dict[str, list[File]], classes: int, size: Any, gray: bool, normalize: Normalize, source: str
) -> Dataset:
    arrays, shape = {}, None
    for part, some in files.items():
        if not some:
            continue
        x = read_images([f for f, _ in some], size, gray, name, shape)
        arrays[part], shape = {"x": x, "y": np.array([c for _, c in some], np.int32)}, x.shape[1:3]
    pixels = pixels_of(arrays["train"]["x"], normalize, name)
    return Dataset(
        arrays["train"], arrays.get("test"), classes, name, source, pixels=pixels, validation=arrays.get("validation")
    )


def read_images(
    files: Iterable[Path], size: Any, gray: bool, reader: str, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Images as uint8 [N, H, W, 3], or [N, H, W] where `gray`.

    Args:
      size: (H, W) to resize to, or None. shape: (H, W) that they must have; None: that of the first.
    Raises:
      ImportError: Pillow is missing. ValueError: a file that cannot be read, or that has another size.
    """
    try:
        from PIL import Image
    except ImportError:
        raise needs("Pillow", reader, "images") from None
    if size is not None:
        size = Wholes(2, example="[64, 64]")("size", size)
        if len(size) != 2:
            raise bad("size", list(size), owner=reader, instead="give (H, W), e.g. [64, 64]")
    files = list(files)
    out: np.ndarray | None = None
    for i, file in enumerate(files):
        try:
            with Image.open(file) as image:
                made = image.convert("L" if gray else "RGB")
                made = made if size is None else made.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                pixels = np.asarray(made, np.uint8)
        except FileNotFoundError:
            raise
        except Exception as e:  # decoders raise whatever their pieces do
            raise damaged(file, f"cannot be read as an image ({e or type(e).__name__})") from e
        want = pixels.shape[:2] if shape is None else shape
        shape = want
        if pixels.shape[:2] != tuple(want):
            says, why = f"has {list(pixels.shape[:2])} pixels", f"but {files[0].name} has {list(want)}"
            raise damaged(file, says, why, "give size=(H, W), to which all are resized")
        out = np.empty((len(files), *pixels.shape), np.uint8) if out is None else out
        out[i] = pixels
    assert out is not None
    return out


__all__ = ["from_folder", "read_images", "tiny_imagenet"]
