"""Images of Pillow as bytes, whatever the mode that they are stored in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...core.checks import Wholes
from ...core.types import PathLike
from ...errors import FieldError, bad
from .files import damaged, needs

GRAY = ("1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N")  # modes of one channel, transparency aside


def is_picture(value: Any) -> bool:
    """Whether a value is an image of Pillow."""
    return all(hasattr(value, name) for name in ("mode", "convert", "getbands"))


def picture(image: Any, place: PathLike, gray: bool, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as bytes [H, W, 3], or [H, W] where `gray`.

    Palettes and CMYK become colors, 16 bits become 8 by a division by 257, and an opaque fourth channel is dropped.

    Args:
      place: where it lies, for errors. size: (H, W) to resize to, or None.
    Raises:
      ValueError: transparent pixels; numbers of which nobody says where white is.
    """
    info = getattr(image, "info", {})
    if "A" in image.getbands() or "transparency" in info:
        rgba = image.convert("RGBA")
        if rgba.getextrema()[3][0] < 255:
            raise damaged(place, "has transparent pixels", instead="paint it on a background before")
        image = rgba.convert("L") if image.mode in GRAY else rgba.convert("RGB")
    if image.mode.startswith("I;16") or (image.mode == "I" and getattr(image, "format", None) == "PNG"):
        image = _pillow().fromarray(np.round(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        says = f"holds pixels of mode {image.mode}"
        raise damaged(place, says, "of which nobody knows what is white", "write it with 8 bits a channel")
    made = image.convert("L" if gray else "RGB")
    made = made if size is None else made.resize((size[1], size[0]), _pillow().Resampling.BILINEAR)
    return np.asarray(made, np.uint8)


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
        pillow = _pillow()
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
            with pillow.open(file) as image:
                pixels = picture(image, file, gray, size)
        except (FileNotFoundError, FieldError):
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


def _pillow() -> Any:
    from PIL import Image

    return Image


__all__ = ["GRAY", "is_picture", "picture", "read_images"]
