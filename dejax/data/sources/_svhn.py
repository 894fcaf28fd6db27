"""SVHN, cropped digits, from its published .mat files."""

from pathlib import Path

import numpy as np

from ...core.types import PathLike
from ..dataset import Dataset, source
from ..pixels import Normalize, pixels_of
from .files import damaged, find_folder

WHERE = "http://ufldl.stanford.edu/housenumbers"


@source
def svhn(folder: PathLike | None = None, *, extra: bool = False, normalize: Normalize = False) -> Dataset:
    """SVHN: 73,257 + 26,032 color images of 32 x 32 pixels of house numbers, 10 digits.

    x uint8 [., 32, 32, 3], which tasks see as float32 (`Pixels`); y int32, the digit (the files write 10 for 0).

    Args:
      folder: with train_32x32.mat and test_32x32.mat; None: $DEJAX_DATA/svhn.
      extra: also train on the 531,131 easier images of extra_32x32.mat.
      normalize: True: less the mean and over the std of each channel of the training part; or (mean, std), [3] each.
    Raises:
      FileNotFoundError: not found; says where to get the files. ValueError: a damaged file, named.
    Reference: Netzer et al., Reading digits in natural images with unsupervised feature learning, 2011; for
      non-commercial use.
    Example:
      >>> svhn("svhn/").train["x"].shape  # doctest: +SKIP
      (73257, 32, 32, 3)
    """
    has = lambda f: (f / "train_32x32.mat").is_file()
    place = find_folder("svhn", folder, ("svhn", "SVHN"), has, "train_32x32.mat and test_32x32.mat of SVHN", WHERE)
    train, test = _read(place / "train_32x32.mat"), _read(place / "test_32x32.mat")
    if extra:
        more = _read(place / "extra_32x32.mat")
        train = {k: np.concatenate([v, more[k]]) for k, v in train.items()}
    pixels = pixels_of(train["x"], normalize, "svhn")
    return Dataset(train, test, 10, "svhn", f"{WHERE}; Netzer et al. 2011, non-commercial use", pixels=pixels)


def _read(file: Path) -> dict[str, np.ndarray]:
    """Images [N, 32, 32, 3] and digits [N] of one file."""
    from scipy.io import loadmat

    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}; get it from {WHERE} and put it there")
    try:
        held = loadmat(file, variable_names=["X", "y"])
    except Exception as e:  # a damaged file raises whatever its pieces do
        raise damaged(file, f"cannot be read as a MATLAB file ({e or type(e).__name__})") from e
    x, y = held.get("X"), held.get("y")
    if x is None or y is None or x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3):
        said = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in (("X", x), ("y", y)) if v is not None)
        raise damaged(file, f"holds {said or 'neither X nor y'}", "and not X uint8 [32, 32, 3, N] and y [N, 1]")
    y = y.reshape(-1)
    if len(y) != x.shape[3] or not len(y) or y.dtype.kind not in "iuf" or not ((y >= 0) & (y <= 10)).all():
        raise damaged(file, f"holds {len(y)} labels for {x.shape[3]} images", "one from 1 to 10 for each is needed")
    return {"x": np.ascontiguousarray(x.transpose(3, 0, 1, 2)), "y": (y.astype(np.int64) % 10).astype(np.int32)}


__all__ = ["svhn"]
