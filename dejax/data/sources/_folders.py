"""Images in folders, one folder a class; Tiny-ImageNet among them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.types import PathLike
from ..dataset import Dataset, source
from ..pixels import Normalize, pixels_of
from .files import damaged, find_folder, flat, local, visible
from .pictures import read_images

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

    Classes are the names of the folders under train (or under FOLDER), in sorted order; names that begin with a dot are
    passed over. x uint8 [., H, W, 3], or [., H, W] where `gray`, which tasks see as float32 (`Pixels`); y int32. Palettes
    and CMYK become colors, 16 bits a pixel become 8. Needs Pillow.

    Args:
      folder: of the classes, or of train and maybe test and val (or valid, or validation; any case), the part by which runs
        are chosen.
      size: (H, W), to which every image is resized (bilinear); None: all have one size.
      gray: one channel in place of three.
      name: for summaries; default the folder's.
      normalize: True: less the mean and over the std of each channel of the training part; or (mean, std).
    Raises:
      ImportError: Pillow is missing. FileNotFoundError: no such folder. ValueError: no images; images of several sizes; a
        file that is no image or has transparent pixels, named; a class that is empty, or that the training part lacks;
        images beside or below the folders of classes; a folder beside train that is no part, or a second one of a part.
    Example:
      >>> from_folder("flowers/", size=(64, 64)).partition(iid(), nodes=8)  # doctest: +SKIP
    """
    root = local(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"from_folder: there is no folder {root}; give the one that holds a folder per class")
    parts = _parts(root)
    classes = [f.name for f in visible(parts["train"]) if f.is_dir()]
    files = {part: _files(place, classes) for part, place in parts.items()}
    if lacking := [parts[part] for part, some in files.items() if not some]:
        way = f"give FOLDER/CLASS/*.png, endings {', '.join(ENDINGS)}"
        raise damaged(lacking[0], "holds no folder with images in it", instead=way)
    made = _dataset(name or root.name, files, len(classes), size, gray, normalize, f"images in {root}")
    return replace(made, class_names=tuple(classes))


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


def _parts(root: Path) -> dict[str, Path]:
    """The folders of the parts; all of `root` is for training where it has no folder train."""
    folders = [f for f in visible(root) if f.is_dir()]
    if not any(f.name.lower() == "train" for f in folders):
        return {"train": root}
    found: dict[str, Path] = {}
    for folder in folders:
        part = PARTS.get(folder.name.lower())
        if part is None:
            why = f"beside {', '.join(f.name for f in folders if f != folder)}"
            way = f"name it one of {', '.join(PARTS)}, or move it away"
            raise damaged(folder, "is no part of the data", why, way)
        if part in found:
            raise damaged(folder, f"is the {part} part", f"and so is {found[part].name}", "keep one of them there")
        found[part] = folder
    return found


def _files(place: Path, classes: Sequence[str]) -> list[File]:
    """The images of every class, none of which is passed over."""
    folders = [f for f in visible(place) if f.is_dir()]
    if more := [f.name for f in folders if f.name not in classes]:
        raise damaged(place, f"holds the class {more[0]!r}", "which the training part lacks", "give it there, too")
    if loose := _images(place):
        raise damaged(loose[0], "lies in no folder of a class", instead="move it into one, or away")
    files = [(file, classes.index(f.name)) for f in folders for file in flat(f, ENDINGS, f"the class {f.name!r}")]
    if empty := [f for f in folders if classes.index(f.name) not in {c for _, c in files}]:
        says = f"holds no images with endings {', '.join(ENDINGS)}"
        raise damaged(empty[0], says, "but every folder is a class", "give it some, or remove it")
    return files


def _images(folder: Path) -> list[Path]:
    return [f for f in visible(folder) if f.is_file() and f.suffix.lower() in ENDINGS] if folder.is_dir() else []


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


__all__ = ["from_folder", "tiny_imagenet"]
